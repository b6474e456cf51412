"""What a run prints, and what the table of a comparison says, whatever it is written in."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from recbole_cllm4rec.report.rows import Row, higher_is_better, kept
from recbole_cllm4rec.report.significance import Effect, effects, half_width

DIGITS = 4  # of figures in print; figures that print alike are alike


@dataclass(frozen=True)
class Cell:
    """One figure: the mean over seeds."""

    mean: float
    std: float | None = None  # sample standard deviation over seeds, if there are several
    half_width: float | None = None  # of the 95 % confidence interval over users, if there are figures of users
    place: int = 0  # 1 for the best measured row of the metric, 2 for the second, 0 for any other
    effect: Effect | None = None  # against the reference


@dataclass(frozen=True)
class Facts:
    """What a row cost, the mean over its seeds but for memory, the most of them, and which epochs were kept."""

    seeds: list[int]
    parameters_trained: int
    training_seconds: float
    scoring_seconds: float
    peak_memory_gib: float
    chosen: str


@dataclass(frozen=True)
class Line:
    """A row in print. Those of papers have no facts, those that failed have an error in place of all else."""

    name: str
    cells: dict[str, Cell]
    facts: Facts | None = None
    error: str | None = None
    published: bool = False

    @property
    def label(self) -> str:
        """The name in print."""
        return f"{self.name} (paper)" if self.published else self.name


@dataclass(frozen=True)
class Table:
    """Lines under the columns ``metrics``; ``head`` says what was compared, ``notes`` how to read it."""

    head: dict[str, Any]
    metrics: list[str]
    reference: str
    lines: list[Line]
    notes: list[str]


def row(result: Mapping[str, Any], metrics: Sequence[str]) -> str:
    """A header and one line: the run's name, then its test figures, those of ``metrics`` that were measured."""
    figures = result["test"]
    shown = [metric for metric in metrics if metric in figures] or list(figures)
    width = max(len(result["run"]), len("model"))
    header = f"{'model':<{width}}" + "".join(f"  {metric:>15}" for metric in shown)
    line = f"{result['run']:<{width}}" + "".join(f"  {figures[metric]:>15.4f}" for metric in shown)
    return f"{header}\n{line}"


def lay_out(
    rows: Sequence[Row],
    reference: str,
    metrics: Sequence[str],
    head: Mapping[str, Any],
    published: Mapping[str, Mapping[str, float]],
    source: str = "",
) -> Table:
    """The table of ``rows``; a published row stands below the measured one of its name, others at the end.

    Published rows without any of ``metrics`` are left out; ``source`` says where the others come from. Raises
    :class:`recbole_cllm4rec.errors.UserError` where figures of users are of fewer than two users.
    """
    cells = _cells(rows, reference, metrics)
    printed = {name: line for name, figures in published.items() if (line := _published(name, figures, metrics)).cells}
    lines = []
    for measured in rows:
        lines.append(Line(measured.name, cells[measured.name], _facts(measured), measured.error))
        if measured.name in printed:
            lines.append(printed.pop(measured.name))
    lines += printed.values()
    notes = _notes(reference, [cell for line in lines for cell in line.cells.values()], head)
    if any(line.published for line in lines):
        notes.append(f"(paper): {source}")
    return Table(dict(head), list(metrics), reference, lines, notes)


def as_dict(table: Table) -> dict[str, Any]:
    """The table as plain values for JSON, figures unrounded."""
    rows = [{key: value for key, value in asdict(line).items() if value is not None} for line in table.lines]
    return {"head": table.head, "metrics": table.metrics, "rows": rows, "notes": table.notes}


def as_csv(table: Table) -> str:
    """One line a row and metric, figures unrounded; one without a metric for a row that failed."""
    records = []
    for line in table.lines:
        facts = asdict(line.facts) | {"seeds": len(line.facts.seeds)} if line.facts else {}
        base = {"row": line.name, "source": "paper" if line.published else "measured", "error": line.error} | facts
        for metric, cell in line.cells.items():
            effect = {f"effect_{key}": value for key, value in asdict(cell.effect).items()} if cell.effect else {}
            figures = {"mean": cell.mean, "std": cell.std, "half_width": cell.half_width}
            records.append(base | {"metric": metric} | figures | effect)
        if not line.cells:
            records.append(base)
    file = io.StringIO()
    writer = csv.DictWriter(file, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return file.getvalue()


_EFFECT = [f"effect_{name}" for name in Effect.__dataclass_fields__]
_COLUMNS = ["row", "source", "metric", "mean", "std", "half_width", *_EFFECT, *Facts.__dataclass_fields__, "error"]


def _cells(rows: Sequence[Row], reference: str, metrics: Sequence[str]) -> dict[str, dict[str, Cell]]:
    """Row -> metric -> cell; rows that failed have none."""
    cells: dict[str, dict[str, Cell]] = {row.name: {} for row in rows}
    against = effects(rows, reference, metrics)
    for metric in metrics:
        seeds = {row.name: [result["test"][metric] for result in row.results] for row in rows if not row.error}
        means = {name: float(np.mean(values)) for name, values in seeds.items()}
        places = _places(means, metric)
        for row in rows:
            if row.error:
                continue
            values = seeds[row.name]
            cells[row.name][metric] = Cell(
                means[row.name],
                float(np.std(values, ddof=1)) if len(values) > 1 else None,
                half_width(row.per_user[metric]) if metric in row.per_user else None,
                places[row.name],
                against[metric].get(row.name),
            )
    return cells


def _places(means: Mapping[str, float], metric: str) -> dict[str, int]:
    """1 for the best figure in print, 2 for the next, 0 for the others."""
    printed = {name: round(mean, DIGITS) for name, mean in means.items()}
    ranked = sorted(set(printed.values()), reverse=higher_is_better(metric))[:2]
    return {name: ranked.index(value) + 1 if value in ranked else 0 for name, value in printed.items()}


def _facts(row: Row) -> Facts | None:
    if row.error:
        return None

    def mean(key: str) -> float:
        return float(np.mean([result["seconds"][key] for result in row.results]))

    return Facts(
        [result["seed"] for result in row.results],
        row.results[0]["parameters"]["trained"],
        mean("model") + mean("training"),  # a closed form is solved where its model is made
        mean("scoring"),
        max(result["peak_memory_gib"] for result in row.results),
        _chosen(row),
    )


def _chosen(row: Row) -> str:
    """The validation score that chose the model, the mean over seeds, and the epochs at which it was reached."""
    metric = row.results[0]["config"]["valid_metric"]
    scores = [result["valid"].get(metric.lower()) for result in row.results]
    if None in scores:
        return "nothing"
    epochs = [record["epoch"] + 1 for result in row.results if (record := kept(result))]
    if not epochs:
        return f"{metric} {np.mean(scores):.{DIGITS}f}"
    span = f"{min(epochs)}" if len(set(epochs)) == 1 else f"{min(epochs)} to {max(epochs)}"
    return f"{metric} {np.mean(scores):.{DIGITS}f}, epoch {span}"


def _published(name: str, figures: Mapping[str, float], metrics: Sequence[str]) -> Line:
    cells = {metric: Cell(figures[metric]) for metric in metrics if metric in figures}
    return Line(name, cells, published=True)


def _notes(reference: str, cells: Sequence[Cell], head: Mapping[str, Any]) -> list[str]:
    notes = []
    if any(cell.std is not None for cell in cells):
        notes.append("mean ± sample standard deviation over seeds")
    if any(cell.effect for cell in cells):
        notes.append(
            f"† p < 0.05, ‡ p < 0.01: differs from {reference}, in a two-sided paired t-test over {head['users']} "
            "users, corrected by Holm's method over the rows of a metric"
        )
    else:
        notes.append(f"no test of differences: {reference} has no figures of users, or stands alone")
    return notes
