"""The table of a comparison for eyes: screen text, GitHub markdown, LaTeX."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple

from tabulate import tabulate

from recbole_cllm4rec.report.significance import Effect
from recbole_cllm4rec.report.table import DIGITS, Cell, Line, Table

_COSTS = ["seeds", "parameters", "training (h:mm:ss)", "scoring (s)", "memory (GiB)", "chosen on validation"]


class _Style(NamedTuple):
    """How a format marks the best and the second, and what it makes of plain text."""

    best: str
    second: str
    escape: Callable[[str], str]


def as_text(table: Table) -> str:
    """For the screen."""
    header, rows = _grid(table, _TEXT)
    body = tabulate(rows, header, "simple", disable_numparse=True, colalign=_alignment(header)).splitlines()
    width = len(body[1].split()[0])
    for number, line in enumerate(table.lines, start=2):
        if line.error:
            body[number] = f"{rows[number - 2][0]:<{width}}  {_one_line(line.error)}"
    return "\n".join([*(line.rstrip() for line in body), "", *_notes(table, _TEXT)]) + "\n"


def as_markdown(table: Table) -> str:
    """A page for GitHub."""
    header, rows = _grid(table, _MARKDOWN)
    body = tabulate(rows, header, "pipe", disable_numparse=True, colalign=_alignment(header)).splitlines()
    for number, line in enumerate(table.lines, start=2):
        if line.error:
            body[number] = f"| {rows[number - 2][0]} | {_markdown(line.error)} |" + " |" * (len(header) - 2)
    facts = [f"- {key}: {_markdown(value)}" for key, value in _facts(table)]
    command = [f"    {line}" for line in table.head["command"].splitlines()]
    notes = [f"- {note}" for note in _notes(table, _MARKDOWN)]
    title = f"# {_markdown(table.head['dataset'])}: a comparison"
    return "\n".join([title, "", *command, "", *facts, "", *body, "", *notes, *_differences(table)]) + "\n"


def as_latex(table: Table) -> str:
    """A ``tabular`` of booktabs, its head in comments above and its notes below."""
    header, rows = _grid(table, _LATEX)
    comments = [f"{key}: {value}" for key, value in _facts(table)] + table.head["command"].splitlines()
    for number, line in enumerate(table.lines):
        if line.error:
            rows[number] = [rows[number][0], rf"\multicolumn{{{len(header) - 1}}}{{l}}{{{_latex(line.error)}}}"]
    head, *body = [" & ".join(cells) + r" \\" for cells in [[_latex(name) for name in header], *rows]]
    tabular = [
        rf"\begin{{tabular}}{{l{'r' * (len(header) - 2)}l}}",
        *(r"\toprule", head, r"\midrule", *body, r"\bottomrule"),
        r"\end{tabular}",
    ]
    notes = [rf"\par\footnotesize {note}" for note in _notes(table, _LATEX)]
    return "\n".join([*(f"% {line}" for line in comments), "% needs booktabs", *tabular, *notes]) + "\n"


def _grid(table: Table, style: _Style) -> tuple[list[str], list[list[str]]]:
    header = ["model", *table.metrics, *_COSTS]
    return header, [_row(line, table.metrics, style) for line in table.lines]


def _differences(table: Table) -> list[str]:
    """A section on how far every row is from the reference; nothing where no differences were tested."""
    rows = [
        [_markdown(line.label), *(_difference(line.cells[metric].effect) for metric in table.metrics)]
        for line in table.lines
        if any(cell.effect for cell in line.cells.values())
    ]
    if not rows:
        return []
    body = tabulate(rows, ["model", *table.metrics], "pipe", disable_numparse=True)
    legend = "Mean difference over users, its 95 % confidence interval, and Cohen's d_z."
    return ["", f"## Differences from {_markdown(table.reference)}", "", _markdown(legend), "", body]


def _difference(effect: Effect | None) -> str:
    if effect is None:
        return "–"
    interval = f"[{effect.low:+.{DIGITS}f}, {effect.high:+.{DIGITS}f}]"
    return f"{effect.mean:+.{DIGITS}f} {interval}" + ("" if effect.d_z is None else f", {effect.d_z:+.2f}")


def _alignment(header: list[str]) -> tuple[str, ...]:
    return ("left", *["right"] * (len(header) - 2), "left")


def _row(line: Line, metrics: list[str], style: _Style) -> list[str]:
    name = style.escape(line.label)
    if line.error:
        return [name]
    figures = [_figure(line.cells[metric], style) if metric in line.cells else style.escape("–") for metric in metrics]
    return [name, *figures, *(style.escape(cost) for cost in _costs(line))]


def _figure(cell: Cell, style: _Style) -> str:
    text = f"{cell.mean:.{DIGITS}f}"
    if cell.std is not None:
        text += f" ±{cell.std:.{DIGITS}f}"
    if cell.effect and cell.effect.p_holm < 0.05:
        text += "‡" if cell.effect.p_holm < 0.01 else "†"
    return {1: style.best, 2: style.second}.get(cell.place, "{}").replace("{}", style.escape(text))


def _costs(line: Line) -> list[str]:
    if line.facts is None:
        return ["–"] * len(_COSTS)
    facts = line.facts
    return [
        str(len(facts.seeds)),
        _count(facts.parameters_trained),
        str(timedelta(seconds=round(facts.training_seconds))),
        f"{facts.scoring_seconds:.2f}",
        f"{facts.peak_memory_gib:.1f}",
        facts.chosen,
    ]


def _count(number: int) -> str:
    """2,345,678 as 2.3M."""
    for size, unit in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if number >= size:
            return f"{number / size:.1f}{unit}"
    return str(number)


def _facts(table: Table) -> list[tuple[str, str]]:
    """The head but for the command, a line a fact."""
    return [(key.replace("_", " "), _one_line(_flat(v))) for key, v in table.head.items() if key != "command"]


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_flat(inner)}" for key, inner in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _notes(table: Table, style: _Style) -> list[str]:
    best, second = style.best.replace("{}", "best"), style.second.replace("{}", "second")
    marks = f"{best} and {second} of the measured rows, those that print alike marked alike"
    return [marks, *(style.escape(note) for note in table.notes)]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<~|&])", r"\\\1", _one_line(text))


def _latex(text: str) -> str:
    return _one_line(text).translate(_LATEX_CHARACTERS)


_LATEX_CHARACTERS = str.maketrans(
    {character: rf"\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}
    | {"±": r"$\pm$", "†": r"$^\dagger$", "‡": r"$^\ddagger$", "–": "--"}
)

_TEXT = _Style("*{}*", "_{}_", _one_line)
_MARKDOWN = _Style("**{}**", "<u>{}</u>", _markdown)
_LATEX = _Style(r"\textbf{{}}", r"\underline{{}}", _latex)
