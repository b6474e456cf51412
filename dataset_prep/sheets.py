"""Files of records whose values are text: CSV, TSV, JSON lines, compressed or not, and Parquet.

A value is the string that stands there: none is taken for a number, a date or a missing value. CSV goes through
Python's csv module, over the very lines that are counted: a record that cannot be used is named by its line, and may be
left out alone. DuckDB reads Parquet, whose records are columns, and which is larger than memory as well.
"""

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeAlias

import duckdb
from tqdm import tqdm

from dataset_prep.lines import BadRecordError, Reader, numbered, parse
from dataset_prep.staging import BLOCK, MEMORY
from dataset_prep.tables import Row
from recbole_cllm4rec.errors import UserError

Strings: TypeAlias = dict[str, str]
Quotes: TypeAlias = Literal["csv", "none"]
Found: TypeAlias = tuple[int, bytes, Strings | BadRecordError]
"""The number of a line, the line, and its record or what is wrong with it."""

KINDS = {".csv": "CSV", ".tsv": "TSV", ".jsonl": "JSON", ".ndjson": "JSON", ".json": "JSON", ".parquet": "Parquet"}
DELIMITERS = ",;\t|"  # of CSV; the first is the one that a header of one column has
SAMPLE = 100  # records of which the columns of JSON lines are told
LONGEST = 2**24  # characters of a cell; more are a quote that nobody closed


@dataclass(frozen=True)
class Sheet:
    """A file of records. ``quoted``: cells may stand in double quotes, with delimiters and line breaks in them."""

    path: Path
    kind: str
    columns: tuple[str, ...]
    delimiter: str = ","
    quoted: bool = False

    @property
    def layout(self) -> str:
        """What the file was taken for, in words."""
        if self.kind not in ("CSV", "TSV"):
            return "JSON lines" if self.kind == "JSON" else self.kind
        name = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}[self.delimiter]
        return f"cells between {name}, {'maybe in quotes' if self.quoted else 'quotes are characters'}"

    def rows(self, reader: Reader, convert: Callable[[Strings], Row]) -> Iterator[Row]:
        """A row for every record, in order. ``convert`` raises BadRecordError for a record without one."""
        for number, line, record in self._found():
            try:
                if isinstance(record, BadRecordError):
                    raise record
                yield convert(record)
            except BadRecordError as error:
                reader.refuse(self.path, number, line, error)

    def sample(self) -> list[Strings]:
        """The first records that can be read."""
        some = islice(self._found(), SAMPLE)
        return [record for _, _, record in some if not isinstance(record, BadRecordError)]

    def _found(self) -> Iterator[Found]:
        match self.kind:
            case "JSON":
                return _json(self.path)
            case "Parquet":
                return _parquet(self.path, self.columns)
        return _named(_cells(self.path, self.delimiter, self.quoted), self.columns)


def open_sheet(path: Path, quotes: Quotes | None = None) -> Sheet:
    """The file and its columns; ``quotes`` is told by the kind of file if not given.

    Raises UserError for a file that is missing, of another kind, or without a header.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    kind = KINDS.get(next((suffix for suffix in reversed(suffixes) if suffix != ".gz"), ""))
    if kind is None:
        legal = ", ".join(KINDS)
        raise UserError(f"{path}: its name does not tell what it is; legal are {legal}, all but the last also with .gz")
    if kind == "JSON":
        records = [record for _, _, record in islice(_json(path), SAMPLE) if isinstance(record, dict)]
        if not records:
            raise UserError(f"{path}: none of its first lines is a record, which stands in braces; is it JSON lines?")
        return Sheet(path, kind, tuple(dict.fromkeys(key for record in records for key in record)))
    if kind == "Parquet":
        return Sheet(path, kind, tuple(_parquet_types(path)))
    quoted = quotes == "csv" if quotes else kind == "CSV"
    headers = {delimiter: _header(path, delimiter, quoted) for delimiter in (DELIMITERS if kind == "CSV" else "\t")}
    delimiter = max(headers, key=lambda delimiter: len(headers[delimiter]))
    header = headers[delimiter]
    if again := [name for place, name in enumerate(header) if name and name in header[:place]]:
        raise UserError(f"{path}, line 1: the column {again[0]!r} appears twice; rename one")
    if not quoted and header[0].startswith('"'):
        raise UserError(f"{path}, line 1: the names of columns stand in quotes; add --quotes csv if cells do so too")
    return Sheet(path, kind, tuple(header), delimiter, quoted)


def _header(path: Path, delimiter: str, quoted: bool) -> list[str]:
    for number, _, cells in _cells(path, delimiter, quoted):
        if isinstance(cells, BadRecordError):
            raise UserError(f"{path}, line {number}: {cells}; the first line must name the columns")
        return cells
    raise UserError(f"{path} is empty; its first line must name the columns")


def _named(found: Iterator[tuple[int, bytes, list[str] | BadRecordError]], columns: tuple[str, ...]) -> Iterator[Found]:
    """The records under the header, which is the first."""
    next(found)
    for number, line, cells in found:
        if isinstance(cells, BadRecordError):
            yield number, line, cells
        elif len(cells) != len(columns):
            yield number, line, BadRecordError(f"{len(cells)} cells where the header names {len(columns)}")
        else:
            yield number, line, dict(zip(columns, cells, strict=True))


def _cells(path: Path, delimiter: str, quoted: bool) -> Iterator[tuple[int, bytes, list[str] | BadRecordError]]:
    """The cells of every record that is not blank, the header among them, with the line that it begins on."""
    lines = _Lines(path)
    if not quoted:
        for text in lines:
            cells = text.removesuffix("\n").removesuffix("\r" if lines.returns else "").split(delimiter)
            if lines.fault or cells != [""]:
                yield lines.number, lines.line, lines.fault or cells
            lines.begin()
        return
    csv.field_size_limit(LONGEST)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.begin()
        fault: BadRecordError | None = None
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if lines.ended or "field limit" in str(error):
                raise UserError(
                    f"{path}, line {lines.first}: a quote is opened that is never closed; close it, or write it twice "
                    "where it is a character of a quoted cell"
                ) from None
            fault = BadRecordError(str(error).partition(" - ")[0])
        if fault or lines.fault or cells:
            yield lines.first, lines.line, lines.fault or fault or cells


class _Lines:
    """The lines of a file as text, which remembers those of the record at hand."""

    def __init__(self, path: Path):
        self._found = numbered(path, blank=True)
        self.returns = False
        """Whether lines end in a carriage return too, as the first does."""
        self.ended = False
        self.number = 0
        self.begin()

    def begin(self) -> None:
        """The next line begins a record."""
        self.first = self.number + 1
        self.line = b""
        self.fault: BadRecordError | None = None

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        self.ended = True
        self.number, line = next(self._found)
        self.ended = False
        if self.number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
            self.returns = line.endswith(b"\r\n")
        self.line = self.line or line
        try:
            return line.decode()
        except UnicodeDecodeError as error:
            self.fault = BadRecordError(f"not UTF-8 ({error.reason} at byte {error.start})")
            return line.decode(errors="replace")  # so that a record of several lines is left out as a whole


def _json(path: Path) -> Iterator[Found]:
    for number, line in numbered(path):
        try:
            yield number, line, {key: _text(value) for key, value in parse(line, str).items()}
        except BadRecordError as error:
            yield number, line, error


def _text(value: Any) -> str:
    """A value of JSON: numbers by their digits, parts of a list after one another, anything deeper as JSON."""
    match value:
        case str():
            return value
        case None:
            return ""
        case list():
            return ", ".join(part for part in map(_text, value) if part)
    return json.dumps(value, ensure_ascii=False)


def _parquet_types(path: Path) -> dict[str, str]:
    """The types of the columns, by name."""
    if not path.is_file():
        raise UserError(f"{path} is not a file; give the path of one")
    try:
        with duckdb.connect() as db:
            found = db.execute("DESCRIBE SELECT * FROM read_parquet(?, binary_as_string = true)", [str(path)])
            return {name: kind for name, kind, *_ in found.fetchall()}
    except duckdb.Error as error:
        raise _unreadable(path, error) from None


def _parquet(path: Path, columns: tuple[str, ...]) -> Iterator[Found]:
    types = _parquet_types(path)
    chosen = ", ".join(_as_text(name, types[name]) for name in columns)
    source = "FROM read_parquet(?, binary_as_string = true)"
    try:
        with duckdb.connect(config={"memory_limit": MEMORY, "threads": 1}) as db:
            (total,) = db.execute(f"SELECT count(*) {source}", [str(path)]).fetchone() or (0,)
            rows = db.execute(f"SELECT {chosen} {source}", [str(path)])
            bar = tqdm(total=total, unit="row", desc=f"reading {path.name}", delay=5, leave=False)
            done = 0
            with bar:
                while block := rows.fetchmany(BLOCK):
                    for number, cells in enumerate(block, start=done + 1):
                        yield number, b"", dict(zip(columns, cells, strict=True))
                    done += len(block)
                    bar.update(len(block))
    except duckdb.Error as error:
        raise _unreadable(path, error) from None


def _as_text(name: str, kind: str) -> str:
    quoted = '"' + name.replace('"', '""') + '"'
    value = f"array_to_string({quoted}::VARCHAR[], ', ')" if kind.endswith("[]") else f"{quoted}::VARCHAR"
    return f"coalesce({value}, '')"


def _unreadable(path: Path, error: duckdb.Error) -> UserError:
    return UserError(f"{path} is no Parquet file that can be read ({' '.join(str(error).split())[:200]})")
