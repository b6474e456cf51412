"""Charts of a comparison and of one run's training, as PNG and SVG; equal input gives equal bytes."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from recbole_cllm4rec.report.rows import higher_is_better, kept
from recbole_cllm4rec.report.table import Cell, Line, Table

Look: TypeAlias = dict[str, Any]

# Blue and vermillion of Okabe and Ito, apart for colour-blind eyes; shapes carry the meaning, also in grey.
INK, ACCENT = "#0072B2", "#D55E00"
STYLE: Sequence[str | Path | dict[str, Any]] = [
    "default",  # whatever a matplotlibrc on this machine says
    {
        "svg.hashsalt": "recbole_cllm4rec",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": "0.9",
        "axes.axisbelow": True,
        "font.size": 9,
        "axes.titlesize": 10,
        "lines.markersize": 4,
        "text.parse_math": False,  # a dollar in a name is a dollar
    },
]
_MEASURED: Look = {"marker": "o", "color": INK, "markersize": 4}
_REFERENCE: Look = {"marker": "D", "color": ACCENT, "markersize": 5.5}
# A ring around what was measured, not a disc over it.
_PRINTED: Look = {"marker": "o", "color": "0.2", "markerfacecolor": "none", "markersize": 7, "zorder": 3}
_CURVES: list[Look] = [
    {"marker": marker, "linestyle": line} for marker, line in (("o", "-"), ("s", "--"), ("^", ":"), ("D", "-."))
]
_PANELS = 5  # side by side


def comparison_chart(table: Table) -> dict[str, bytes]:
    """File suffix -> content: a panel a metric, a line a model, the best by the first metric on top.

    Bars are 95 % confidence intervals over users. Rows that failed have no line.
    """
    names = _order(table)
    n = len(table.metrics)
    shape = -(-n // _PANELS), min(n, _PANELS)
    with style.context(STYLE):
        size = (2 + 2.2 * shape[1], shape[0] * (1 + 0.24 * len(names)) + 0.6)
        figure = Figure(size, layout="constrained")
        panels = figure.subplots(*shape, sharey=True, squeeze=False).flatten()
        for axes, metric in zip(panels, table.metrics, strict=False):
            _dots(axes, table, metric, names)
        for axes in panels[n:]:
            axes.remove()
        figure.suptitle(table.head["dataset"])
        figure.legend(handles=_legend(table), loc="outside lower center", ncols=3, frameon=False)
        return as_files(figure)


def validation_curves(result: Mapping[str, Any]) -> dict[str, bytes]:
    """File suffix -> content: a panel a stage, the validation score by epoch, or the losses where none was validated.

    Empty for a model that has no epochs to show.
    """
    stages: dict[str, list[Mapping[str, Any]]] = {}
    for record in result["history"]:
        stages.setdefault(record["stage"], []).append(record)
    if not stages:
        return {}
    with style.context(STYLE):
        figure = Figure((3.6 * len(stages), 3), layout="constrained")
        panels = figure.subplots(1, len(stages), squeeze=False)[0]
        for axes, (name, records) in zip(panels, stages.items(), strict=True):
            axes.set(title=name, xlabel="epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            if any("valid score" in record for record in records):
                _scores(axes, records, result)
            else:
                _losses(axes, records)
        figure.suptitle(f"{result['run']}, seed {result['seed']}, {result['dataset']}")
        return as_files(figure)


def _order(table: Table) -> list[str]:
    """Names of the lines, bottom to top; a published row shares the line of the measured one of its name."""
    first = table.metrics[0]
    sign = 1 if higher_is_better(first) else -1
    heights: dict[str, float] = {}
    for line in table.lines:
        if line.cells:
            value = sign * line.cells[first].mean if first in line.cells else float("-inf")
            heights.setdefault(_place(line, table), value)
    return sorted(heights, key=lambda name: heights[name])


def _place(line: Line, table: Table) -> str:
    """Where a row of the table is drawn."""
    ours = any(other.name == line.name and other.cells and not other.published for other in table.lines)
    return line.name if ours else line.label


def _dots(axes: Axes, table: Table, metric: str, names: Sequence[str]) -> None:
    for line in table.lines:
        if metric not in line.cells:
            continue
        y = names.index(_place(line, table))
        cell = line.cells[metric]
        if line.published:
            axes.plot(cell.mean, y, linestyle="none", **_PRINTED)
        else:
            _dot(axes, cell, y, line.name == table.reference)
    axes.set_title(metric)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.tick_params(left=False)


def _dot(axes: Axes, cell: Cell, y: int, is_reference: bool) -> None:
    look = _REFERENCE if is_reference else _MEASURED
    if is_reference:
        axes.axvline(cell.mean, color=ACCENT, linewidth=0.8, linestyle="--")
    axes.errorbar(cell.mean, y, xerr=cell.half_width, capsize=2, elinewidth=1.2, **look)


def _legend(table: Table) -> list[Line2D]:
    entries = [
        ("measured, with its 95 % interval over users", _MEASURED),
        (f"{table.reference}, reference", _REFERENCE),
    ]
    if any(line.published for line in table.lines):
        entries.append(("printed in a paper", _PRINTED))
    return [Line2D([], [], linestyle="none", label=label, **look) for label, look in entries]


def _scores(axes: Axes, records: Sequence[Mapping[str, Any]], result: Mapping[str, Any]) -> None:
    scored = [record for record in records if "valid score" in record]
    epochs, scores = [record["epoch"] + 1 for record in scored], [record["valid score"] for record in scored]
    axes.plot(epochs, scores, color=INK, **_CURVES[0])
    axes.set_ylabel(f"{result['config']['valid_metric']}, validation")
    best = kept(result)
    if best in scored:
        axes.plot(best["epoch"] + 1, best["valid score"], linestyle="none", label="kept", **_REFERENCE)
        axes.legend(frameon=False)


def _losses(axes: Axes, records: Sequence[Mapping[str, Any]]) -> None:
    names = [name for name in records[0] if name.endswith("loss")]
    epochs = [record["epoch"] + 1 for record in records]
    for number, name in enumerate(names):
        look = _CURVES[number % len(_CURVES)]
        axes.plot(epochs, [record[name] for record in records], color=(INK, ACCENT)[number % 2], label=name, **look)
    axes.set_ylabel("training loss")
    axes.legend(frameon=False)


def as_files(figure: Figure) -> dict[str, bytes]:
    """File suffix -> content, with nothing in it that another day would change."""
    contents = {}
    for suffix, metadata in ((".png", {"Software": None}), (".svg", {"Date": None})):
        file = io.BytesIO()
        figure.savefig(file, format=suffix[1:], dpi=150, metadata=metadata)
        contents[suffix] = file.getvalue()
    return contents
