"""The atomic files of a run, byte for byte: the split tells which pairs they hold, not their texts, times and order."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from recbole_cllm4rec.checkpoint.files import sha256


def digest(path: Path) -> str:
    """sha256 of a file, read once as long as it stays as it is."""
    there = path.stat()
    return _digest(path, there.st_size, there.st_mtime_ns)


@lru_cache(maxsize=64)  # a comparison asks for every run
def _digest(path: Path, size: int, time: int) -> str:
    return sha256(path)


def changed(then: Mapping[str, str], now: Mapping[str, str]) -> str | None:
    """The first name of which two mappings, from names to sha256, differ.

    Weights go by internal ids, which RecBole numbers as the rows of the files come.
    """
    return next((name for name in sorted({*then, *now}) if then.get(name) != now.get(name)), None)


def changed_since(then: Mapping[str, str], folder: Path) -> str | None:
    """The first of the files that is not in ``folder`` as it was ``then``."""
    return changed(then, {name: digest(folder / name) for name in then if (folder / name).is_file()})
