"""Files of records whose values are text: CSV, TSV, JSON lines, compressed or not, in a zip or not, and Parquet.

A value is the string that stands there: none is taken for a number, a date or a missing value.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, TypeAlias

from dataset_prep import parquet
from dataset_prep.cells import cells_of
from dataset_prep.lines import File, Found, Reader, records
from dataset_prep.records import BadRecordError, joined
from dataset_prep.tables import Row
from recbole_cllm4rec.errors import UserError

Strings: TypeAlias = dict[str, str]
Quotes: TypeAlias = Literal["csv", "none"]

KINDS = {".csv": "CSV", ".tsv": "TSV", ".jsonl": "JSON", ".ndjson": "JSON", ".json": "JSON", ".parquet": "Parquet"}
DELIMITERS = ",;\t|"  # of CSV; the first is the one that a header of one column has
SAMPLE = 100
"""Cells of which a column is told to be text or times."""
LOOK = 100_000
"""Records that are looked at for these cells, and for the columns of JSON lines: what few records have comes late."""


@dataclass(frozen=True)
class Sheet:
    """A file of records; ``quoted`` and ``latin`` as in :func:`cells_of`."""

    path: File
    kind: str
    columns: tuple[str, ...]
    delimiter: str = ","
    quoted: bool = False
    headed: bool = True
    """Whether the first record names the columns."""
    latin: bool = False

    @property
    def layout(self) -> str:
        """What the file was taken for, in words."""
        if self.kind not in ("CSV", "TSV"):
            return "JSON lines" if self.kind == "JSON" else self.kind
        name = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}[self.delimiter]
        return f"cells between {name}, {'maybe in quotes' if self.quoted else 'quotes are characters'}"

    def rows(self, reader: Reader, convert: Callable[[Strings], Row]) -> Iterator[Row]:
        """A row for every record, in order. ``convert`` raises BadRecordError for a record without one."""
        return reader.judge(self.path, self._found(), convert)

    def sample(self) -> dict[str, list[str]]:
        """The first cells of every column that are not blank, without the blanks around them."""
        found: dict[str, list[str]] = {column: [] for column in self.columns}
        sought = dict(found)
        for _, _, record in islice(self._found(), LOOK):
            if isinstance(record, BadRecordError):
                continue
            for column in list(sought):
                if cell := record.get(column, "").strip():
                    found[column].append(cell)
                    if len(found[column]) == SAMPLE:
                        del sought[column]
            if not sought:
                break
        return found

    def _found(self) -> Iterator[Found[Strings]]:
        match self.kind:
            case "JSON":
                return _json(self.path)
            case "Parquet":
                return parquet.rows(self.path, self.columns)
        return _named(cells_of(self.path, self.delimiter, self.quoted, self.latin), self.columns, self.headed)


def open_sheet(path: File, quotes: Quotes | None = None) -> Sheet:
    """The file and its columns; ``quotes`` is told by the kind of file if not given.

    Raises UserError for a file that is missing, of another kind, or without a header.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    kind = KINDS.get(next((suffix for suffix in reversed(suffixes) if suffix != ".gz"), ""))
    if kind is None:
        legal = ", ".join(KINDS)
        raise UserError(f"{path}: its name does not tell what it is; legal are {legal}, all but the last also with .gz")
    if kind == "JSON":
        readable = (record for _, _, record in islice(_json(path), LOOK) if isinstance(record, dict))
        columns = dict.fromkeys(key for record in readable for key in record)
        if not columns:
            raise UserError(f"{path}: none of its first lines is a record, which stands in braces; is it JSON lines?")
        return Sheet(path, kind, tuple(columns))
    if kind == "Parquet":
        return Sheet(path, kind, tuple(parquet.types_of(path)))
    quoted = quotes == "csv" if quotes else kind == "CSV"
    delimiter, header = _header(path, DELIMITERS if kind == "CSV" else "\t", quoted)
    if again := [name for place, name in enumerate(header) if name and name in header[:place]]:
        raise UserError(f"{path}, line 1: the column {again[0]!r} appears twice; rename one")
    if not quoted and header[0].startswith('"'):
        raise UserError(f"{path}, line 1: the names of columns stand in quotes; add --quotes csv if cells do so too")
    return Sheet(path, kind, tuple(header), delimiter, quoted)


def bare_sheet(path: File, columns: tuple[str, ...], delimiter: str, latin: bool = False) -> Sheet:
    """A file without a header, whose cells hold no delimiter, which may be of several characters."""
    return Sheet(path, "text", columns, delimiter, headed=False, latin=latin)


def _header(path: File, delimiters: str, quoted: bool) -> tuple[str, list[str]]:
    """The delimiter that cuts the most names of columns, and these; with a wrong one quotes may not make sense."""
    found: dict[str, list[str]] = {}
    faults: list[UserError] = []
    for delimiter in delimiters:
        try:
            found[delimiter] = _names(path, delimiter, quoted)
        except UserError as error:
            faults.append(error)
    if not found:
        raise faults[0]
    return max(found.items(), key=lambda pair: len(pair[1]))


def _names(path: File, delimiter: str, quoted: bool) -> list[str]:
    for number, _, cells in cells_of(path, delimiter, quoted):
        if isinstance(cells, BadRecordError):
            raise UserError(f"{path}, line {number}: {cells}; the first line must name the columns")
        return cells
    raise UserError(f"{path} is empty; its first line must name the columns")


def _named(found: Iterator[Found[list[str]]], columns: tuple[str, ...], headed: bool) -> Iterator[Found[Strings]]:
    """The records by their columns, without the header, which is the first."""
    for number, line, cells in islice(found, int(headed), None):
        if isinstance(cells, BadRecordError):
            yield number, line, cells
        elif len(cells) != len(columns):
            listed = ", ".join(columns[:4])
            yield number, line, BadRecordError(f"{len(cells)} cells, not the {len(columns)} of {listed}")
        else:
            yield number, line, dict(zip(columns, cells, strict=True))


def _json(path: File) -> Iterator[Found[Strings]]:
    for number, line, record in records(path, str):
        if isinstance(record, BadRecordError):
            yield number, line, record
        else:
            try:
                strings = {key: joined(value, ", ", _dumped) for key, value in record.items()}
            except RecursionError:
                yield number, line, BadRecordError("nested too deeply")
            else:
                yield number, line, strings


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
