"""Text of cells between delimiters, cut by the csv module over the very lines that are counted.

A record that cannot be used is named by its line, and may be left out alone.
"""

import csv
from collections.abc import Iterator

from dataset_prep.lines import File, Found, numbered
from dataset_prep.records import BadRecordError
from recbole_cllm4rec.errors import UserError

LONGEST = 2**24  # characters of a cell; more are a quote that nobody closed


def cells_of(path: File, delimiter: str, quoted: bool, latin: bool = False) -> Iterator[Found[list[str]]]:
    """The cells of every record that is not blank, the header among them, with the line that it begins on.

    ``quoted``: cells may stand in double quotes, with delimiters and line breaks in them. ``latin``: lines that are not
    UTF-8 are Latin-1. Raises UserError for a quote that is never closed, and as :func:`numbered` does.
    """
    lines = _Lines(path, latin)
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

    def __init__(self, path: File, latin: bool):
        self._found = numbered(path, blank=True)
        self._latin = latin
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
            if self._latin:
                return line.decode("latin-1")
            self.fault = BadRecordError(f"not UTF-8 ({error.reason} at byte {error.start})")
            return line.decode(errors="replace")  # so that a record of several lines is left out as a whole
