"""Raw files of one record a line, compressed or not, in a zip or not: read with an eye on every line."""

import gzip
import zipfile
import zlib
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from tqdm import tqdm

from dataset_prep.records import BadRecordError, Record, parse
from dataset_prep.tables import Row
from recbole_cllm4rec.errors import UserError

T = TypeVar("T")
File: TypeAlias = Path | zipfile.Path
Found: TypeAlias = tuple[int, bytes, T | BadRecordError]
"""The number of a line, the line, and what it holds or what is wrong with it."""


class Reader:
    """Reads raw files and judges their lines: one that cannot be used is an error, or left out and counted."""

    def __init__(self, skip_bad: bool):
        self.skip_bad = skip_bad
        self.left_out: Counter[str] = Counter()
        """Number of lines left out, by the path of their file."""

    def rows(self, path: File, convert: Callable[[Record], Row]) -> Iterator[Row]:
        """A row for every line of JSON or of a Python literal, in order; see :meth:`judge`."""
        return self.judge(path, records(path), convert)

    def judge(self, path: File, found: Iterable[Found[T]], convert: Callable[[T], Row]) -> Iterator[Row]:
        """A row for every record that was found, in order. ``convert`` raises BadRecordError for one without a row."""
        for number, line, record in found:
            try:
                if isinstance(record, BadRecordError):
                    raise record
                yield convert(record)
            except (BadRecordError, RecursionError) as error:
                if not self.skip_bad:
                    what = "nested too deeply" if isinstance(error, RecursionError) else error
                    shown = line.decode("utf-8", "backslashreplace").strip()[:80]
                    raise UserError(
                        f"{path}, line {number}: {what}: {shown!r}; mend the line, or add --skip-bad to leave such out"
                    ) from None
                self.left_out[str(path)] += 1


def records(path: File, number: Callable[[str], Any] | None = None) -> Iterator[Found[Record]]:
    """What the lines of a file hold, those left out that are blank; ``number`` as in :func:`parse`."""
    for place, line in numbered(path):
        try:
            yield place, line, parse(line, number)
        except BadRecordError as error:
            yield place, line, error


def first_record(path: File) -> Record:
    """The first line that is a record, of which a file's format is told. Raises UserError where there is none."""
    for number, _, record in records(path):
        if not isinstance(record, BadRecordError):
            return record
        if number >= 100:
            raise UserError(f"{path}: none of its first lines is a record ({record}); is it the right file?")
    raise UserError(f"{path} holds no record: it is empty, or not a file of JSON lines")


def numbered(path: File, blank: bool = False) -> Iterator[tuple[int, bytes]]:
    """The lines, without those that are blank unless asked for, numbered from 1, under a bar after five seconds.

    A file is taken for gzip by its first bytes, not by its name. Raises UserError if it is missing or damaged.
    """
    number = 0
    try:
        with (
            path.open("rb") as raw,
            tqdm(
                total=_size(path), unit="B", unit_scale=True, desc=f"reading {path.name}", delay=5, leave=False
            ) as bar,
        ):
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            for number, line in enumerate(gzip.GzipFile(fileobj=raw) if packed else raw, start=1):
                if number == 1:
                    line = line.removeprefix(BOM_UTF8)  # of which no format here knows
                if number % 4096 == 0:
                    bar.update(raw.tell() - bar.n)
                if blank or not line.isspace():
                    yield number, line
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise UserError(f"{path} is not a file; give the path of one") from None
    except (EOFError, gzip.BadGzipFile, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path} is cut off or damaged after line {number} ({error}); download it again") from None
    except RuntimeError as error:  # of zip files: a password, a way of packing that Python has not
        raise UserError(f"{path} cannot be unpacked ({error}); unpack it yourself") from None


def _size(path: File) -> int:
    return path.root.getinfo(path.at).file_size if isinstance(path, zipfile.Path) else path.stat().st_size
