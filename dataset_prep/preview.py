"""A look at a dataset before it is written: what columns became, first rows, counts, what each filter would remove."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import shorten

from dataset_prep import filters
from dataset_prep.atomic import undescribed
from dataset_prep.staging import Staging
from dataset_prep.tables import Dataset, Filters, Row, Table

ROWS, WIDTH = 3, 100


def of(dataset: Dataset) -> str:
    """The lines of a dry run. Everything is read and filtered, apart from the dataset's folder."""
    lines = list(dataset.notes)
    firsts: dict[str, list[Row]] = {ending: [] for ending in dataset.tables}
    with TemporaryDirectory(prefix="dataset_prep-") as scratch:
        staging = Staging(Path(scratch), "preview")
        try:
            for ending, table in dataset.tables.items():
                staging.add(ending, replace(table, rows=_noting(table.rows, firsts[ending])))
            steps = filters.apply(staging.db, dataset.filters or Filters())
            unknown = {ending: len(undescribed(staging, ending)) for ending in dataset.tables if ending != "inter"}
        finally:
            staging.db.close()
    for ending, table in dataset.tables.items():
        lines += ["", f"first rows of .{ending}", *_shown(table, firsts[ending])]
    lines += ["", f"{'interactions':>12} {'users':>10} {'items':>10}  after"]
    lines += [f"{step.interactions:>12,} {step.users:>10,} {step.items:>10,}  {step.name}" for step in steps]
    left = {"user": steps[-1].users, "item": steps[-1].items}
    lines += [
        f"{n:,} of {left[ending]:,} {ending}s have no row of their own, and no text."
        for ending, n in unknown.items()
        if n
    ]
    lines += [
        f"{n:,} lines of {dataset.name_of(file)} cannot be used and are left out."
        for file, n in dataset.left_out.items()
    ]
    return "\n".join([*lines, "", "Nothing was written. If this is right, leave --dry-run out."])


def _noting(rows: Iterable[Row], firsts: list[Row]) -> Iterator[Row]:
    for row in rows:
        if len(firsts) < ROWS:
            firsts.append(row)
        yield row


def _shown(table: Table, rows: list[Row]) -> Iterator[str]:
    """Interactions a row a line; of other tables a column a line, as texts are long."""
    names = [header.partition(":")[0] for header in table.headers]
    texts = table.fields(text=True)
    for row in rows:
        cells = [f"{name} {shorten(str(cell), WIDTH)!r}" for name, cell in zip(names, row, strict=True)]
        yield from ([f"  {cells[0]}", *(f"    {cell}" for cell in cells[1:])] if texts else [f"  {', '.join(cells)}"])
