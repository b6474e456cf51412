"""Texts of the rows of atomic files, by raw ids: plain strings, which RecBole's tensors never hold."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from recbole_cllm4rec.corpus.escape import unescape
from recbole_cllm4rec.corpus.text import Review
from recbole_cllm4rec.errors import UserError, suggestion


class Wanted(NamedTuple):
    """What is text in a file: its ``keys``, the columns of ids; the ``fields`` that make one text a row, joined by
    ``template`` or by a full stop; whether cells are ``escaped``.
    """

    source: str  # user, item or inter
    keys: Sequence[str]
    fields: Sequence[str]
    template: str | None
    escaped: bool


class RawTexts:
    """What the rows of files say, until it is known which of their ids a split has."""

    def __init__(self) -> None:
        self._rows: dict[str, list[tuple[Any, str]]] = {"user": [], "item": [], "inter": []}

    def keep(self, frame: pd.DataFrame, wanted: Wanted, filepath: str) -> None:
        """Take the texts of ``frame``, a file with headers of ``name:type``. Raises :class:`UserError` for a column
        that is not there, and for a template that cannot be filled.
        """
        columns = {str(header).split(":")[0]: frame[header] for header in frame}
        for field in [*wanted.keys, *wanted.fields]:
            if field not in columns:
                raise UserError(
                    f"{filepath} has no column {field!r}, which text_fields[{wanted.source}] needs; it has "
                    f"{', '.join(columns)}{suggestion(field, columns)}"
                )
        texts = _texts([columns[field] for field in wanted.fields], wanted)
        ids = zip(*(columns[key] for key in wanted.keys), strict=True)
        self._rows[wanted.source] += list(zip(ids, texts, strict=True))

    def rows(self, source: str) -> Sequence[tuple[Any, str]]:
        """Raw ids, a tuple, and the text of every row, the empty ones too."""
        return self._rows[source]

    def by_id(self, source: str, ids: Mapping[str, int], n: int) -> list[str]:
        """The first text of every internal id [n], empty where there is none; ``ids``: raw id -> internal id."""
        texts = [""] * n
        for (token,), text in self._rows[source]:
            if token in ids and not texts[ids[token]]:
                texts[ids[token]] = text
        return texts

    def reviews(self, users: Mapping[str, int], items: Mapping[str, int]) -> list[Review]:
        """All that was written on pairs, in internal ids; 0 where an id is unknown."""
        return [
            Review(users.get(user, 0), items.get(item, 0), text)
            for (user, item), text in self._rows["inter"]
            if text.strip()
        ]


def _texts(columns: Sequence[pd.Series], wanted: Wanted) -> list[str]:
    read = unescape if wanted.escaped else str
    where = f"text_template[{wanted.source}]"
    try:
        cells = (dict(zip(wanted.fields, map(read, row), strict=True)) for row in zip(*columns, strict=True))
        return [compose(row, wanted.template) for row in cells]
    except KeyError as error:
        raise UserError(
            f"{where} uses {error}, which is not among text_fields[{wanted.source}]: {', '.join(wanted.fields)}"
        ) from None
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise UserError(
            f"{where} is {wanted.template!r}: {error}; write {{COLUMN}} for a cell, {{{{ for a brace"
        ) from None


def compose(cells: dict[str, str], template: str | None) -> str:
    """One text from several cells: by the template, where any cell has something, or joined as sentences."""
    present = [cell.strip() for cell in cells.values() if cell.strip()]
    if not present:
        return ""
    return template.format(**cells) if template else ". ".join(text.removesuffix(".") for text in present) + "."
