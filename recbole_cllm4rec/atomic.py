"""Atomic files as they are: tab-separated cells under ``name:type`` headers, without quoting or guessing."""

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
from recbole.utils import FeatureType

from recbole_cllm4rec.errors import UserError


def read_atomic(path: Path, separator: str, encoding: str) -> pd.DataFrame:
    r"""The cells of an atomic file as strings, under its ``name:type`` headers.

    Quotes are characters, ``NA`` is a word, an empty cell is the empty string; lines end in ``\n``, or in ``\r\n`` if
    the first does. Raises :class:`UserError` for a malformed header, for a row with too few or too many cells, and for
    text in another encoding.
    """
    rows: list[list[str]] = []
    try:
        with path.open(encoding=encoding, newline="\n") as file:
            first = file.readline().removeprefix("\ufeff")
            ending = "\r" if first.endswith("\r\n") else ""
            for line in chain([first], file):
                rows.append(line.removesuffix("\n").removesuffix(ending).split(separator))
    except LookupError:
        raise UserError(f"{path} cannot be read, as Python has no encoding {encoding!r}: set `encoding`") from None
    except UnicodeDecodeError as error:  # in the block that was read to complete the line after the last row
        number = len(rows) + 1 + error.object[: error.start].count(b"\n")
        raise UserError(f"{path}, line {number}: not {encoding} ({error.reason}); set `encoding`") from None
    header = rows.pop(0)
    _check_header(path, header)
    while len(header) > 1 and rows and rows[-1] == [""]:
        rows.pop()
    for number, cells in enumerate(rows, start=2):
        if len(cells) != len(header):
            raise UserError(
                f"{path}, line {number}: {len(cells)} cells where the header names {len(header)}; a tab or a newline "
                "inside a text must be escaped (see text_escaped)"
            )
    columns = zip(*rows, strict=True) if rows else [()] * len(header)
    return pd.DataFrame({name: pd.Series(cells, dtype=object) for name, cells in zip(header, columns, strict=True)})


def _check_header(path: Path, header: Sequence[str]) -> None:
    types = sorted(kind.value for kind in FeatureType)
    for name in header:
        if name.count(":") != 1 or name.split(":")[1] not in types:
            raise UserError(f"{path}, line 1: the header {name!r} is not NAME:TYPE with TYPE one of {', '.join(types)}")
    fields = Counter(name.split(":")[0] for name in header)
    if repeated := [field for field, times in fields.items() if times > 1]:
        raise UserError(f"{path}, line 1: the column {repeated[0]!r} appears twice")


def to_floats(column: pd.Series, field: str, filepath: str) -> pd.Series:
    """A column of cells as numbers, empty ones missing. Raises :class:`UserError` for a cell that is none."""
    numbers = pd.to_numeric(column, errors="coerce")
    wrong = numbers.isna() & ~column.str.lower().isin(["", "nan"])
    if wrong.any():
        raise UserError(f"{filepath}, line {line_of(wrong)}: {field} is {column[wrong].iloc[0]!r}, not a number")
    return numbers.astype(np.float64)


def line_of(wrong: pd.Series) -> int:
    """Number of the first line for which ``wrong``, indexed by rows, holds, the header being line 1."""
    return int(wrong.index[wrong.to_numpy()][0]) + 2
