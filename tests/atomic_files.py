"""Atomic files of a few lines, and datasets read from them through the real configuration."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from recbole.data.dataset import Dataset

from recbole_cllm4rec.config import Config
from recbole_cllm4rec.dataset import TextDataset
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.protocol.split import Split, split
from recbole_cllm4rec.registry import resolve

# Options of :func:`load`: with times, split in their order, split beforehand into train.inter, valid.inter, test.inter.
TIMED = {"load_col.inter": ["user_id", "item_id", "timestamp"]}
BY_TIME = {**TIMED, "eval_args.order": "TO"}
PRESPLIT = {"benchmark_filename": ["train", "valid", "test"]}

START = 881250949  # a time of MovieLens: in float32 the next ones are the same


def atomic(header: str, *rows: str | Sequence[str]) -> str:
    """The text of an atomic file. A row is its cells, or a string of cells that have no spaces."""
    cells = [row.split() if isinstance(row, str) else row for row in (header, *rows)]
    return "".join("\t".join(row) + "\n" for row in cells)


INTER = atomic("user_id:token item_id:token", "u1 i1", "u2 i2", "u3 i3")


def load(folder: Path, files: Mapping[str, str], model: str = "EASE", **options: Any) -> TextDataset:
    """The dataset ``toy`` as the registry has it for ``model``, from ``files``, texts by suffix, and those before them.

    Metrics have a cut-off that few items allow.
    """
    (folder / "toy").mkdir(exist_ok=True)
    for suffix, text in files.items():
        (folder / "toy" / f"toy.{suffix}").write_bytes(text.encode())
    entry = resolve(model)
    small = {"topk": [2], "metrics": ["NDCG"], "valid_metric": "NDCG@2", "data_path": str(folder), "gpu_id": ""}
    dataset: TextDataset = entry.dataset(Config(entry.model, "toy", (), small | options, entry.options))
    return dataset


def split_up(dataset: TextDataset) -> Split:
    """The data loaders of its three parts."""
    return split(dataset.config, dataset)


def pairs(part: Dataset) -> list[tuple[str, str]]:
    """Raw ids of the users and items of a part, in the order of its rows."""
    ids = (part.id2token(field, part.inter_feat[field].numpy()).tolist() for field in (part.uid_field, part.iid_field))
    return list(zip(*ids, strict=True))


def refusal(call: Callable[..., Any], *args: Any, **options: Any) -> str:
    """The message, of one line, with which ``call`` refuses its arguments."""
    with pytest.raises(UserError) as caught:
        call(*args, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)
