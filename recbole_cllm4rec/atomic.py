"""Atomic files as they are: tab-separated cells under ``name:type`` headers, without quoting or guessing."""

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
from recbole.utils import FeatureType

from recbole_cllm4rec.errors import UserError, shown


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
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except LookupError:
        raise UserError(f"{path} cannot be read, as Python has no encoding {encoding!r}: set `encoding`") from None
    except UnicodeDecodeError as error:  # in the block that was read to complete the line after the last row
        number = len(rows) + 1 + error.object[: error.start].count(b"\n")
        raise UserError(f"{path}, line {number}: not {encoding} ({error.reason}); set `encoding`") from None
    except UnicodeError as error:  # of encodings that are not of files: idna, punycode
        raise UserError(f"{path} is not {encoding} ({error}); set `encoding`") from None
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
    if header == [""]:
        raise UserError(f"{path} is empty; its first line has to name the columns, as user_id:token, with tabs between")
    types = sorted(kind.value for kind in FeatureType)
    for name in header:
        field, _, kind = name.partition(":")
        if not field or kind not in types:
            raise UserError(
                f"{path}, line 1: the header {shown(name)} is not NAME:TYPE with TYPE one of {', '.join(types)}; "
                "columns are separated by tabs, unless field_separator says otherwise"
            )
    fields = Counter(name.split(":")[0] for name in header)
    if repeated := [field for field, times in fields.items() if times > 1]:
        raise UserError(f"{path}, line 1: the column {repeated[0]!r} appears twice")


def to_floats(column: pd.Series, field: str, filepath: str) -> pd.Series:
    """A column of cells as numbers, empty ones missing. Raises :class:`UserError` for a cell that is none."""
    numbers = pd.to_numeric(column, errors="coerce")
    wrong = numbers.isna() & ~column.str.lower().isin(["", "nan"])
    if wrong.any():
        raise UserError(f"{filepath}, line {line_of(wrong)}: {field} is {shown(column[wrong].iloc[0])}, not a number")
    wrong = numbers.abs() > np.finfo(np.float32).max  # infinite, or so in RecBole's tensors
    if wrong.any():
        raise UserError(
            f"{filepath}, line {line_of(wrong)}: {field} is {shown(column[wrong].iloc[0])}; numbers go up to 3.4e38"
        )
    return numbers.astype(np.float64)


def check_ids(column: pd.Series, field: str, filepath: str) -> None:
    """Raise :class:`UserError` for an id that RecBole or numpy would take for another one."""
    wrong = (column == "[PAD]") | column.str.endswith("\0")
    if wrong.any():
        raise UserError(
            f"{filepath}, line {line_of(wrong)}: {field} is {shown(column[wrong].iloc[0])}; an id is not '[PAD]', "
            "which RecBole keeps for no id at all, and ends in no NUL character"
        )


def line_of(wrong: pd.Series) -> int:
    """Number of the first line for which ``wrong``, indexed by rows, holds, the header being line 1."""
    return int(wrong.index[wrong.to_numpy()][0]) + 2
