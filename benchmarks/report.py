"""What was measured, as a table, as JSON and as a chart."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from matplotlib import style
from matplotlib.figure import Figure
from tabulate import tabulate

from benchmarks.cases import Work
from benchmarks.measure import Timing
from recbole_cllm4rec.report.plots import ACCENT, INK, STYLE, as_files

SIDES = ("reference", "ours")


@dataclass(frozen=True)
class Row:
    """One side of one case, with its peak ``memory`` in GiB."""

    backbone: str
    case: str
    side: str
    precision: str
    work: Work
    timing: Timing
    memory: float | None

    @property
    def milliseconds(self) -> float:
        """Of a document, or of a user scored."""
        return 1000 * self.timing.median / self.work.documents

    @property
    def tokens_per_second(self) -> float:
        """Without padding."""
        return self.work.tokens / self.timing.median

    @property
    def share(self) -> float:
        """Of the machine's rate in the precision of this side."""
        return self.work.operations / self.timing.median / self.timing.rate


def ratio(row: Row, rows: Sequence[Row]) -> float:
    """How many times the reference's time fits into this side's, of the same case: above 1 is faster."""
    (other,) = [r for r in rows if (r.backbone, r.case, r.side) == (row.backbone, row.case, SIDES[0])]
    return other.milliseconds / row.milliseconds


def table(rows: Sequence[Row]) -> str:
    """A line a row."""
    heads = ["backbone", "case", "side", "precision", "ms / document", "times", "tokens / s", "of the rate", "peak GiB"]
    lines = [
        [
            row.backbone,
            row.case,
            row.side,
            row.precision,
            f"{row.milliseconds:.2f}",
            f"{ratio(row, rows):.1f}",
            f"{row.tokens_per_second:,.0f}",
            f"{row.share:.0%}",
            "" if row.memory is None else f"{row.memory:.2f}",
        ]
        for row in rows
    ]
    return tabulate(lines, heads, tablefmt="github", stralign="left", disable_numparse=True)


def records(rows: Sequence[Row]) -> list[dict[str, object]]:
    """What JSON holds of the rows, derived figures too."""
    return [
        {
            **asdict(row),
            "ms_per_document": row.milliseconds,
            "tokens_per_second": row.tokens_per_second,
            "share_of_rate": row.share,
            "times_the_reference": ratio(row, rows),
        }
        for row in rows
    ]


def chart(rows: Sequence[Row]) -> dict[str, bytes]:
    """File suffix -> content: a panel a backbone, a line a case, from the reference's time a document to ours."""
    backbones = list(dict.fromkeys(row.backbone for row in rows))
    with style.context(STYLE):
        figure = Figure((4.2 * len(backbones), 2.6), layout="constrained")
        panels = figure.subplots(1, len(backbones), squeeze=False)[0]
        for axes, backbone in zip(panels, backbones, strict=True):
            of_one = [row for row in rows if row.backbone == backbone]
            names = list(dict.fromkeys(row.case for row in of_one))[::-1]
            for side, colour, marker in zip(SIDES, (ACCENT, INK), ("D", "o"), strict=True):
                times = {row.case: row.milliseconds for row in of_one if row.side == side}
                axes.plot([times[name] for name in names], names, marker, color=colour, label=side)
            for row in of_one:
                if row.side == SIDES[1]:
                    axes.annotate(
                        f"{ratio(row, rows):.1f} ×", (row.milliseconds, row.case), (0, 5), textcoords="offset points"
                    )
            axes.set_xscale("log")
            axes.margins(0.2)
            axes.set(title=backbone, xlabel="milliseconds a document")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
        return as_files(figure)
