"""A dataset as RecBole reads it: atomic files, its yaml and its card. What every source shares."""

import hashlib
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from dataset_prep import filters
from dataset_prep.card import Origin, Summary, card, settings
from dataset_prep.staging import Staging
from dataset_prep.tables import Dataset
from recbole_cllm4rec.errors import UserError

SUFFIXES = {".inter", ".item", ".user", ".yaml", ".md"}


def made_by(recipe: Sequence[str], out: Path) -> str:
    """The command that makes the dataset anew, without the folders of this machine."""
    return shlex.join(["python", "-m", "dataset_prep", *recipe, "--out", f"dataset/{out.name}"])


def check_out(out: Path, overwrite: bool, command: str) -> None:
    """Raise UserError unless a dataset, made by ``command``, may be written to ``out`` or may be there already.

    Another dataset is replaced only if asked, and only in a folder that holds nothing but files of its name.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", out.name):
        raise UserError(f"--out {out}: {out.name!r} cannot name a dataset; legal are letters, digits, '-', '_' and '.'")
    if not out.exists():
        return
    if not out.is_dir():
        raise UserError(f"--out {out} is a file; give a folder")
    there = sorted(out.iterdir())
    strangers = [
        file.name
        for file in there
        if not file.name.startswith(f"{out.name}.") or file.suffix not in SUFFIXES or not file.is_file()
    ]
    if not overwrite:
        found = _origin(out)[:1]
        if found == [f"# Made by: {command}"]:
            return
        what = (
            found[0].removeprefix("# ") if found else f"{len(there)} files, not by dataset_prep" if there else "empty"
        )
        raise UserError(f"--out {out} exists ({what}): choose another folder, or add --overwrite to replace it")
    if strangers:
        raise UserError(
            f"--out {out} holds {strangers[0]!r}, no file of a dataset named {out.name}, and is not replaced: "
            "move that file away, or choose another folder"
        )


def write(dataset: Dataset, out: Path, recipe: Sequence[str] = (), overwrite: bool = False) -> Summary | None:
    """Write the dataset into the folder ``out``, whose name becomes the dataset's; all of it or nothing.

    ``recipe`` is the source's name and its arguments. Returns None where ``out`` holds this very dataset already, which
    then stays as it is. Raises UserError if ``out`` may not be written, a line of the source cannot be used, or the
    filters leave nothing.
    """
    command = made_by(recipe, out)
    check_out(out, overwrite, command)
    origin = Origin(command, {dataset.name_of(path): _sha256(path) for path in dataset.sources})
    if out.exists() and not overwrite:
        files = [f"{out.name}.{ending}" for ending in (*dataset.tables, "yaml")]
        if lacking := [name for name in files if not (out / name).is_file()]:
            raise UserError(f"--out {out} exists, without {lacking[0]}; add --overwrite to make it anew")
        if _origin(out) == origin.lines():
            return None
        raise UserError(f"--out {out} exists, made from other files of these names; add --overwrite to replace it")
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
        new = Path(scratch, "new")
        new.mkdir()
        summary = _fill(dataset, new, out.name, Path(scratch))
        notes = {"yaml": settings(dataset, origin, summary), "card.md": card(out.name, dataset, origin, summary)}
        for ending, text in notes.items():
            (new / f"{out.name}.{ending}").write_text(text, encoding="utf-8", newline="\n")
        _put(new, out, Path(scratch, "old"))
    return summary


def _put(new: Path, out: Path, old: Path) -> None:
    """Give ``new`` the name ``out``; what has it goes to ``old``, and comes back if that fails."""
    if not out.exists():
        new.rename(out)
        return
    out.rename(old)
    try:
        new.rename(out)
    except BaseException:
        old.rename(out)
        raise


def _fill(dataset: Dataset, new: Path, name: str, scratch: Path) -> Summary:
    """Write the atomic files into ``new``; the rows go through ``scratch``."""
    staging = Staging(scratch, name)
    try:
        for ending, table in dataset.tables.items():
            staging.add(ending, table)
        summary = Summary()
        if dataset.filters:
            summary.steps += filters.apply(staging.db, dataset.filters)
        for ending in dataset.tables:
            kept, more = _chosen(staging, ending, dataset) if dataset.filters else (None, [])
            summary.undescribed |= {f"{ending}s": len(more)} if more else {}
            words = staging.write(ending, new / f"{name}.{ending}", kept, more)
            summary.words |= {f"{ending}: {field}": count for field, count in words.items()}
        summary.count(staging, bool(dataset.filters))
    finally:
        staging.db.close()
    return summary


def _chosen(staging: Staging, ending: str, dataset: Dataset) -> tuple[npt.NDArray[np.bool_], list[str]]:
    """Which rows of a table pass the filters, and the ids that have an interaction but no row, in order."""
    if ending == "inter":
        rows = "SELECT n FROM pairs"
        more = []
    else:
        live, own = _live_and_own(ending)
        rows = f"SELECT min(n) AS n FROM {own} SEMI JOIN {live} USING ({ending}_id) GROUP BY {ending}_id"
        more = undescribed(staging, ending)
    kept = np.zeros(staging.rows[ending], dtype=bool)
    kept[staging.db.execute(rows).fetchnumpy()["n"]] = True
    if not kept.any():
        raise UserError(
            f"none of the {len(more):,} {ending}s that are left is among the {len(kept):,} that the source describes; "
            f"do {', '.join(path.name for path in dataset.sources)} belong together?"
        )
    return kept, more


def undescribed(staging: Staging, ending: str) -> list[str]:
    """The users or items that have an interaction after the filters, but no row of their own, in order."""
    live, own = _live_and_own(ending)
    found = f"SELECT {ending}_id FROM {live} ANTI JOIN {own} USING ({ending}_id) ORDER BY {ending}_id"
    return [raw_id for (raw_id,) in staging.db.execute(found).fetchall()]


def _live_and_own(ending: str) -> tuple[str, str]:
    """Of the users or items those that have interactions, and the rows that describe them."""
    live = f"(SELECT {ending}_id FROM {ending}s SEMI JOIN pairs USING ({ending[0]}))"  # by u or i
    return live, f"(SELECT * FROM ids WHERE ending = '{ending}')"


def _origin(out: Path) -> list[str]:
    """The lines in which the yaml of a dataset that is there tells its origin."""
    path = out / f"{out.name}.yaml"
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    first_key = next((k for k, line in enumerate(lines) if not line.startswith("# ")), len(lines))
    return lines[:first_key] if lines[0].startswith("# Made by: ") else []


def _sha256(path: Path) -> str:
    """The digest of a raw file, under a progress bar after five seconds."""
    digest = hashlib.sha256()
    size = path.stat().st_size
    with (
        path.open("rb") as file,
        tqdm(total=size, unit="B", unit_scale=True, desc=f"sha256 of {path.name}", delay=5, leave=False) as bar,
    ):
        while block := file.read(1 << 20):
            digest.update(block)
            bar.update(len(block))
    return digest.hexdigest()
