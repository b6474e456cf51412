"""Rows on disk while it is decided which stay: their lines as they will be written, their ids in a DuckDB database.

Text never enters the database, so that filters and joins move ids only. DuckDB, and not Polars: it keeps to a limit of
memory and spills beyond it.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd
from tqdm import tqdm

from dataset_prep.tables import ITEM, RATING, TIME, USER, Cell, Row, Table
from recbole_cllm4rec.corpus.escape import escape, unescape
from recbole_cllm4rec.errors import UserError

BLOCK = 50_000  # rows
MEMORY = "768MB"
IDS = {"user_id": USER, "item_id": ITEM, "rating": RATING, "time": TIME}


class Staging:
    """The rows of all tables of a dataset, in the folder ``folder``, which is the caller's to remove."""

    def __init__(self, folder: Path, name: str):
        self.name = name
        self.folder = folder
        self.headers: dict[str, tuple[str, ...]] = {}
        self.rows: dict[str, int] = {}
        self.db = duckdb.connect(
            str(folder / "ids.duckdb"), config={"memory_limit": MEMORY, "temp_directory": str(folder / "spilled")}
        )
        self.db.execute("SET preserve_insertion_order = false")
        self.db.execute("SET enable_progress_bar = false")
        self.db.execute(
            "CREATE TABLE ids (ending VARCHAR, n BIGINT, user_id VARCHAR, item_id VARCHAR, rating DOUBLE, time DOUBLE)"
        )

    def add(self, ending: str, table: Table) -> None:
        """Read a table to its end. Raises UserError for a raw id that cannot stand in an atomic file."""
        cells = [_writer(f"{self.name}.{ending}", header) for header in table.headers]
        places = {column: table.headers.index(header) for column, header in IDS.items() if header in table.headers}
        rows, n = iter(table.rows), 0
        with self._spool(ending).open("wb") as spool:
            while block := list(islice(rows, BLOCK)):
                spool.write("".join(_line(cells, row) for row in block).encode())
                self._add_ids(ending, n, block, places)
                n += len(block)
        self.headers[ending], self.rows[ending] = table.headers, n

    def _add_ids(self, ending: str, start: int, block: list[Row], places: dict[str, int]) -> None:
        kinds = {"user_id": object, "item_id": object, "rating": float, "time": float}
        columns = {
            column: pd.Series([row[places[column]] for row in block], dtype=kind)
            if column in places
            else pd.Series([None] * len(block), dtype=kind)
            for column, kind in kinds.items()
        }
        block_of_ids = pd.DataFrame({"n": np.arange(start, start + len(block)), **columns})
        self.db.register("block_of_ids", block_of_ids)
        chosen = ", ".join("NULL" if column not in places else column for column in kinds)
        self.db.execute(f"INSERT INTO ids SELECT ?, n, {chosen} FROM block_of_ids", [ending])
        self.db.unregister("block_of_ids")

    def write(self, ending: str, path: Path, kept: npt.NDArray[np.bool_] | None, more: list[str]) -> dict[str, "Words"]:
        """Write one atomic file, of the rows that are kept, or all, and of ids ``more`` that have no text.

        Returns, for every column of text, how many words its cells have.
        """
        headers = self.headers[ending]
        texts = [place for place, header in enumerate(headers) if header.endswith(":token_seq")]
        words = [Words() for _ in texts]
        rest = "\t" * (len(headers) - 1) + "\n"
        with path.open("wb") as file:
            file.write(("\t".join(headers) + "\n").encode())
            for line in self._lines(ending, kept):
                file.write(line)
                if texts:
                    cells = line[:-1].decode().split("\t")
                    for place, count in zip(texts, words, strict=True):
                        count.add(cells[place])
            for raw_id in more:
                file.write((raw_id + rest).encode())
        for count in words:
            count.lengths[0] += len(more)
        return {headers[place].partition(":")[0]: count for place, count in zip(texts, words, strict=True)}

    def _lines(self, ending: str, kept: npt.NDArray[np.bool_] | None) -> Iterator[bytes]:
        total = self.rows[ending]
        with self._spool(ending).open("rb") as spool:
            for n, line in enumerate(
                tqdm(spool, desc=f"writing {self.name}.{ending}", total=total, delay=5, leave=False)
            ):
                if kept is None or kept[n]:
                    yield line

    def _spool(self, ending: str) -> Path:
        return self.folder / f"lines.{ending}"


class Words:
    """How many cells of a column have how many words."""

    def __init__(self) -> None:
        self.lengths: Counter[int] = Counter()

    def add(self, escaped: str) -> None:
        """Count one cell."""
        self.lengths[len((unescape(escaped) if "\\" in escaped else escaped).split())] += 1


def _line(cells: list[Callable[[Cell], str]], row: Row) -> str:
    return "\t".join([write(cell) for write, cell in zip(cells, row, strict=True)]) + "\n"


def _writer(file: str, header: str) -> Callable[[Cell], str]:
    """What turns the cells of a column into those of an atomic file."""
    if header.endswith(":token_seq"):
        return lambda cell: escape(str(cell)) if cell else ""
    if header.endswith(":float"):
        return _number

    needed = header in (USER, ITEM)

    def token(cell: Cell) -> str:
        if not cell and not needed:
            return ""
        if not isinstance(cell, str) or not cell or "\t" in cell or "\n" in cell or "\r" in cell or cell == "[PAD]":
            raise UserError(
                f"{file} would hold {cell!r} as {header}; a raw id is not empty, not RecBole's '[PAD]', and holds no "
                "tab or line break: mend it in the source"
            )
        return cell

    return token


def _number(cell: Cell) -> str:
    """A number, the shortest that reads back the same; whole ones without a point."""
    if cell is None or cell != cell:
        return ""
    value = float(cell)
    return str(int(value)) if value.is_integer() else repr(value)
