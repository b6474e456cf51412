"""Files whose lines are fields between separators, in the order of their columns."""

import csv
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from dataset_prep.lines import BadRecordError, File, Reader, Record, numbered
from dataset_prep.tables import Row
from recbole_cllm4rec.errors import UserError, suggestion

Cut = Callable[[str], list[str]]
"""The fields of a line, which has lost its line break."""


class Sheet(NamedTuple):
    """A file of a record a line. Of a ``latin`` one, lines that are not UTF-8 are Latin-1."""

    path: File
    columns: tuple[str, ...]
    cut: Cut
    numbers: tuple[str, ...] = ()
    latin: bool = False
    header: int = 0
    """Number of lines above the records."""

    def rows(self, reader: Reader, convert: Callable[[Record], Row]) -> Iterator[Row]:
        """A row for every record, its cells strings but for those of ``numbers``; see :meth:`Reader.rows`."""
        return reader.rows(self.path, convert, self.parse, self.header)

    def parse(self, line: bytes) -> Record:
        """The record of a line."""
        cells = self.cut(self._decode(line.rstrip(b"\r\n")))
        if len(cells) != len(self.columns):
            raise BadRecordError(f"{len(cells)} fields, not the {len(self.columns)} of {', '.join(self.columns[:4])}")
        record: Record = dict(zip(self.columns, cells, strict=True))
        for name in self.numbers:
            try:
                record[name] = float(record[name])
            except ValueError:
                raise BadRecordError(f"{name} is {record[name][:40]!r}, not a number") from None
        return record

    def _decode(self, line: bytes) -> str:
        try:
            return line.decode("utf-8")
        except UnicodeDecodeError as error:
            if self.latin:
                return line.decode("latin-1")
            raise BadRecordError(f"not UTF-8 ({error.reason} at byte {error.start})") from None


def between(separator: str) -> Cut:
    """Cuts at a separator that no field holds."""
    return lambda line: line.split(separator)


def commas(line: str) -> list[str]:
    """Cuts a line of CSV, in which fields that hold a comma or a quote stand in quotes."""
    if '"' not in line:
        return line.split(",")
    try:
        (fields,) = csv.reader([line], strict=True)
    except csv.Error as error:
        raise BadRecordError(f"not CSV ({error})") from None
    return fields


def csv_sheet(path: File, needed: Sequence[str], numbers: tuple[str, ...] = ()) -> Sheet:
    """The sheet of a CSV file under a header. Raises UserError where that lacks one of the columns ``needed``."""
    number, line = next(numbered(path), (1, b""))
    try:
        columns = commas(line.decode("utf-8-sig").rstrip("\r\n"))
    except (UnicodeDecodeError, BadRecordError):
        columns = []
    for column in needed:
        if columns.count(column) != 1:
            fault = "repeats" if column in columns else "lacks"
            near = suggestion(column, [other for other in columns if other not in needed])
            raise UserError(
                f"{path}, line {number}: the header {fault} {column!r}; it must name each of {', '.join(needed)}{near}"
            )
    return Sheet(path, tuple(columns), commas, numbers, header=number)
