"""What a source hands over: tables of rows under RecBole's headers, read once and in their order."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Literal, TypeAlias

import pandas as pd

USER, ITEM, RATING, TIME = "user_id:token", "item_id:token", "rating:float", "timestamp:float"
UNIX_TIME = "# Unix seconds.\nTIME_FIELD: timestamp\n"  # a dataset's facts where its rows have this column

Cell: TypeAlias = str | float | None
Row: TypeAlias = Sequence[Cell]


@dataclass(frozen=True)
class Table:
    """Rows under RecBole's headers.

    Cells of type ``token`` are raw ids, of type ``token_seq`` text, both strings; those of type ``float`` numbers.
    ``None`` is an empty cell. ``rows`` may be a generator: it is read once, and no row is kept in memory.
    """

    headers: tuple[str, ...]
    rows: Iterable[Row]

    @classmethod
    def of(cls, frame: pd.DataFrame) -> "Table":
        """The table of a frame whose columns are headers."""
        return cls(tuple(map(str, frame)), frame.itertuples(index=False, name=None))

    def fields(self, text: bool) -> list[str]:
        """The columns of text, or all others, without their types."""
        split = [header.partition(":") for header in self.headers]
        return [name for name, _, kind in split if (kind == "token_seq") == text]


@dataclass(frozen=True)
class Filters:
    """Which interactions stay; applied in the order of the fields.

    ``min_weight`` is the least of what a source with weights in place of ratings has in their column. ``keep`` says
    which of several interactions of one pair stays: the first in time, the last, or the one of the highest rating (of
    these, the first). Users and items with fewer than ``min_user`` and ``min_item`` interactions go, again and again
    until none is left to go.
    """

    rating_above: float | None = None
    min_weight: float | None = None
    keep: Literal["first", "last", "highest"] = "first"
    min_user: int = 0
    min_item: int = 0


@dataclass(frozen=True)
class Dataset:
    """What a source has found, in RecBole's terms.

    ``tables`` maps the ending of an atomic file to its table: ``inter`` or, where the source has a split of its own,
    ``train.inter``, ``valid.inter`` and ``test.inter``; then ``item`` and ``user``, each optional. An ``inter`` that is
    filtered has the columns ``rating`` and ``timestamp`` (unix seconds) where the filters look at them. ``facts`` is
    YAML: the dataset's settings that its columns do not tell. ``sources`` are the files read. ``left_out`` counts, by
    path, the lines that are skipped, and ``notes`` are paragraphs of the card; both are complete when all rows have
    been read. Without ``filters`` all rows stay; with them, of ``item`` and ``user`` those that still have an
    interaction.
    """

    tables: Mapping[str, Table]
    facts: str = ""
    sources: tuple[Path, ...] = ()
    filters: Filters | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def name_of(self, path: Path | str) -> str:
        """The name of a file that was read, with as many of its folders as tell it from the others."""
        paths = dict.fromkeys([str(path), *map(str, self.sources), *self.left_out])
        own, *others = (PurePath(found).parts for found in paths)
        size = next((k for k in range(1, len(own)) if all(other[-k:] != own[-k:] for other in others)), len(own))
        return "/".join(own[-size:])
