"""Raw files of one record a line, as JSON or as Python literals, compressed or not: read with an eye on every line."""

import ast
import gzip
import json
import math
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

from tqdm import tqdm

from dataset_prep.tables import Row
from recbole_cllm4rec.errors import UserError

Record: TypeAlias = dict[str, Any]

MILLISECONDS = 1e11  # as seconds the year 5138, as milliseconds 1973
LATEST = 1e14  # as milliseconds the year 5138


class BadRecordError(Exception):
    """What is wrong with a record; who reads the file adds where it stands."""


class Reader:
    """Reads raw files and judges their lines: one that cannot be used is an error, or left out and counted."""

    def __init__(self, skip_bad: bool):
        self.skip_bad = skip_bad
        self.left_out: Counter[str] = Counter()
        """Number of lines left out, by name of the file."""

    def rows(self, path: Path, convert: Callable[[Record], Row]) -> Iterator[Row]:
        """A row for every record of the file, in order. ``convert`` raises BadRecordError for a record without one."""
        for number, line in numbered(path):
            try:
                yield convert(parse(line))
            except BadRecordError as error:
                self.refuse(path, number, line, error)

    def refuse(self, path: Path, number: int, line: bytes, error: BadRecordError) -> None:
        """Raise UserError for a line that cannot be used, or count it as left out."""
        if not self.skip_bad:
            shown = line.decode("utf-8", "backslashreplace").strip()[:80]
            raise UserError(
                f"{path}, line {number}: {error}: {shown!r}; mend the line, or add --skip-bad to leave such out"
            ) from None
        self.left_out[path.name] += 1


def first_record(path: Path) -> Record:
    """The first line that is a record, of which a file's format is told. Raises UserError where there is none."""
    for number, line in numbered(path):
        try:
            return parse(line)
        except BadRecordError as error:
            if number >= 100:
                raise UserError(
                    f"{path}: none of its first lines is a record ({error}); is it the right file?"
                ) from None
    raise UserError(f"{path} holds no record: it is empty, or not a file of JSON lines")


def numbered(path: Path, blank: bool = False) -> Iterator[tuple[int, bytes]]:
    """The lines, without those that are blank unless asked for, numbered from 1, under a bar after five seconds.

    A file is taken for gzip by its first bytes, not by its name. Raises UserError if it is missing or damaged.
    """
    number = 0
    try:
        with (
            path.open("rb") as raw,
            tqdm(
                total=path.stat().st_size, unit="B", unit_scale=True, desc=f"reading {path.name}", delay=5, leave=False
            ) as bar,
        ):
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            for number, line in enumerate(gzip.GzipFile(fileobj=raw) if packed else raw, start=1):
                if number % 4096 == 0:
                    bar.update(raw.tell() - bar.n)
                if blank or not line.isspace():
                    yield number, line
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise UserError(f"{path} is not a file; give the path of one") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path} is cut off or damaged after line {number} ({error}); download it again") from None


def parse(line: bytes, number: Callable[[str], Any] | None = None) -> Record:
    """The record of one line: a JSON object or, in the oldest Amazon releases, a Python dictionary of literals.

    ``number`` makes the value of a JSON number of its digits, as JSON does unless given.
    """
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRecordError(f"not UTF-8 ({error.reason} at byte {error.start})") from None
    try:
        record = json.loads(text, parse_int=number, parse_float=number, parse_constant=number)
    except ValueError as error:
        record = _literal(text, error)
    except RecursionError:
        raise BadRecordError("nested too deeply") from None
    if not isinstance(record, dict):
        raise BadRecordError("not a record, which stands in braces")
    if b"\\ud" in line.lower() or b"\\U" in line:  # half of a surrogate pair is a legal escape, but no text
        try:
            json.dumps(record, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise BadRecordError("half of a surrogate pair, which is no character") from None
        except (TypeError, ValueError):
            raise BadRecordError("holds what JSON cannot") from None
    return record


def _literal(text: str, error: ValueError) -> object:
    """The Python literal of a line that is not JSON, for the reason given by ``error``."""
    if not text.lstrip().startswith("{'"):
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise BadRecordError(f"not JSON ({reason})")
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        raise BadRecordError("neither JSON nor a Python literal") from None


def raw_id(record: Record, key: str) -> str:
    """An id, which is not empty and fits one field of one line."""
    value = record.get(key)
    if value is None or value == "":
        raise BadRecordError(f"no {key}")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise BadRecordError(f"{key} is {_short(value)}, not an id")
    if "\t" in value or "\n" in value or "\r" in value:
        raise BadRecordError(f"{key} is {_short(value)}, which holds a tab or a line break")
    if value.endswith("\x00"):
        raise BadRecordError(f"{key} is {_short(value)}, which ends in a NUL character, as numpy keeps none at an end")
    if value == "[PAD]":
        raise BadRecordError(f"{key} is '[PAD]', which RecBole keeps for no id at all")
    return value


def number(record: Record, key: str) -> float:
    """A finite number."""
    value = record.get(key)
    if value is None:
        raise BadRecordError(f"no {key}")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadRecordError(f"{key} is {_short(value)}, not a number")
    return value


def unix_seconds(record: Record, key: str) -> float:
    """A time in seconds since 1970; milliseconds are told by their size."""
    value = number(record, key)
    if not 0 <= value < LATEST:
        raise BadRecordError(f"{key} is {_short(value)}, not a unix time in seconds or milliseconds")
    return value / 1000 if value >= MILLISECONDS else value


def _short(value: object) -> str:
    return repr(value)[:40]
