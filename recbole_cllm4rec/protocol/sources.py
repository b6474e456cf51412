"""The atomic files of a run, byte for byte: the split tells which pairs they hold, not their texts, times and order."""

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path


def digest(path: Path) -> str:
    """sha256 of a file."""
    there = path.stat()
    return _digest(path, there.st_size, there.st_mtime_ns)


@lru_cache(maxsize=64)  # a comparison asks for every run
def _digest(path: Path, size: int, time: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def changed(then: Mapping[str, str], now: Mapping[str, str]) -> str | None:
    """The first name of which two mappings, from names to sha256, differ.

    Weights go by internal ids, which RecBole numbers as the rows of the files come.
    """
    return next((name for name in sorted({*then, *now}) if then.get(name) != now.get(name)), None)


def changed_since(then: Mapping[str, str], folder: Path) -> str | None:
    """The first of the files that is not in ``folder`` as it was ``then``."""
    return changed(then, {name: digest(folder / name) for name in then if (folder / name).is_file()})
