"""A dataset as RecBole reads it: atomic files, its yaml and its card. What every source shares."""

import csv
import hashlib
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import yaml

from recbole_cllm4rec.corpus.escape import escape
from recbole_cllm4rec.errors import UserError

SUFFIXES = {".inter", ".item", ".user", ".yaml", ".md"}
QUANTILES = {"25%": 0.25, "median": 0.5, "75%": 0.75, "95%": 0.95, "longest": 1.0}


@dataclass(frozen=True)
class Dataset:
    """What a source has read, in RecBole's terms.

    ``tables`` maps the ending of an atomic file (``train.inter``, ``inter``, ``item``, ``user``) to its rows, under
    RecBole's headers (``user_id:token``). Columns of type ``token`` are raw ids, of type ``token_seq`` text, both
    strings; the others are numbers. ``facts`` is YAML: the dataset's settings that its columns do not tell. ``recipe``
    is the source's name and its arguments without folders. ``sources`` are the files read.
    """

    tables: dict[str, pd.DataFrame]
    facts: str
    recipe: tuple[str, ...]
    sources: tuple[Path, ...]


def check_out(out: Path, overwrite: bool) -> None:
    """Raise UserError unless a dataset may be written to ``out``.

    An existing folder is replaced only if asked, and only if it holds nothing but files of a dataset of its name.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", out.name):
        raise UserError(f"--out {out}: {out.name!r} cannot name a dataset; legal are letters, digits, '-', '_' and '.'")
    if not out.exists():
        return
    if not overwrite:
        raise UserError(f"--out {out} exists: choose another folder, or add --overwrite to replace it")
    strangers = sorted(
        file.name
        for file in out.iterdir()
        if not file.name.startswith(f"{out.name}.") or file.suffix not in SUFFIXES or not file.is_file()
    )
    if strangers:
        raise UserError(
            f"--out {out} holds {strangers[0]!r}, no file of a dataset named {out.name}, and is not replaced: "
            "move that file away, or choose another folder"
        )


def write(dataset: Dataset, out: Path, overwrite: bool = False) -> None:
    """Write the dataset into the folder ``out``, whose name becomes the dataset's; all of it or nothing.

    Raises UserError if ``out`` may not be written (``check_out``) or a raw id cannot stand in an atomic file.
    """
    check_out(out, overwrite)
    command = shlex.join(["python", "-m", "dataset_prep", *dataset.recipe, "--out", f"dataset/{out.name}"])
    digests = {path.name: _sha256(path) for path in dataset.sources}
    notes = {"yaml": _yaml(command, digests, dataset), "card.md": _card(out.name, command, digests, dataset)}
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
        new = Path(scratch, "new")
        new.mkdir()
        for ending, table in dataset.tables.items():
            _write_table(table, new / f"{out.name}.{ending}")
        for ending, text in notes.items():
            (new / f"{out.name}.{ending}").write_text(text, encoding="utf-8", newline="\n")
        if overwrite and out.exists():
            out.rename(Path(scratch, "old"))
        new.rename(out)


def counts(dataset: Dataset) -> dict[str, int]:
    """Number of users, of items, and of the interactions of each part."""
    tables = dataset.tables.values()
    number = {
        name: pd.concat([table[raw_id] for table in tables if raw_id in table]).nunique()
        for name, raw_id in (("users", "user_id:token"), ("items", "item_id:token"))
    }
    for ending, table in dataset.tables.items():
        part, _, kind = ending.rpartition(".")
        if kind == "inter":
            number[f"{part} interactions".lstrip()] = len(table)
    return number


def _fields(table: pd.DataFrame, text: bool) -> list[str]:
    """The columns of text, or all others, without their types."""
    split = [str(column).partition(":") for column in table]
    return [name for name, _, kind in split if (kind == "token_seq") == text]


def _write_table(table: pd.DataFrame, path: Path) -> None:
    """Write one atomic file: UTF-8, tab-separated, unquoted, text escaped, lines ended by a newline alone."""
    for column in table.columns[table.columns.str.endswith(":token")]:
        illegal = table.loc[~table[column].str.fullmatch(r"[^\t\n\r]+"), column]
        if len(illegal):
            raise UserError(
                f"{path.name} would hold {illegal.iloc[0]!r} as {column}; "
                "a raw id is not empty and holds no tab or line break: mend it in the source"
            )
    escaped = {f"{field}:token_seq": table[f"{field}:token_seq"].map(escape) for field in _fields(table, text=True)}
    table.assign(**escaped).to_csv(path, sep="\t", index=False, quoting=csv.QUOTE_NONE, lineterminator="\n")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _yaml(command: str, digests: dict[str, str], dataset: Dataset) -> str:
    """The dataset's settings in RecBole's keys, under comments that tell where it comes from."""
    kinds = {ending.rpartition(".")[2]: table for ending, table in dataset.tables.items()}
    settings: dict[str, object] = {
        "USER_ID_FIELD": "user_id",
        "ITEM_ID_FIELD": "item_id",
        "load_col": {kind: _fields(table, text=False) for kind, table in kinds.items()},
        "text_fields": {kind: text for kind, table in kinds.items() if (text := _fields(table, text=True))},
        "text_escaped": True,
    }
    parts = [ending.removesuffix(".inter") for ending in dataset.tables if ending.endswith(".inter")]
    if parts:
        settings["benchmark_filename"] = parts
    origin = [f"# Made by: {command}", *(f"# {name}: sha256 {digest}" for name, digest in digests.items())]
    keys = yaml.safe_dump(settings, default_flow_style=None, sort_keys=False, width=120)
    return "\n".join([*origin, keys]) + dataset.facts


def _card(name: str, command: str, digests: dict[str, str], dataset: Dataset) -> str:
    """The dataset at a glance, in Markdown: size, text, origin."""
    number = counts(dataset)
    interactions = sum(n for what, n in number.items() if what.endswith("interactions"))
    sparsity = 1 - interactions / (number["users"] * number["items"])
    text = [
        [f"{ending}: {field}", *_coverage(table[f"{field}:token_seq"])]
        for ending, table in dataset.tables.items()
        for field in _fields(table, text=True)
    ]
    return "\n".join(
        [
            f"# {name}\n",
            *_markdown([*number, "sparsity"], [[*(f"{n:,}" for n in number.values()), f"{sparsity:.2%}"]]),
            "\n## Text\n\nLengths are in words, over the rows that have text.\n",
            *_markdown(["field", "rows", "with text", "share", *QUANTILES], text),
            f"\n## Origin\n\n    {command}\n",
            *_markdown(["source", "sha256"], digests.items()),
            "",
        ]
    )


def _coverage(text: pd.Series) -> list[str]:
    """How much of a column is text, and how long that is: quantiles that are lengths of real rows."""
    words = np.array([len(value.split()) for value in text])
    some = words[words > 0]
    share = [f"{len(words):,}", f"{len(some):,}", f"{len(some) / len(words):.1%}"]
    if not len(some):
        return share + ["–"] * len(QUANTILES)
    return share + [f"{n:,}" for n in np.quantile(some, list(QUANTILES.values()), method="inverted_cdf")]


def _markdown(header: list[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """The lines of a Markdown table."""
    return [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)]
