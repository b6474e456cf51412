"""The row that a run prints."""

from collections.abc import Mapping, Sequence
from typing import Any


def row(result: Mapping[str, Any], metrics: Sequence[str]) -> str:
    """A header and one line: the run's name, then its test figures, those of ``metrics`` that were measured."""
    figures = result["test"]
    shown = [metric for metric in metrics if metric in figures] or list(figures)
    width = max(len(result["run"]), len("model"))
    header = f"{'model':<{width}}" + "".join(f"  {metric:>15}" for metric in shown)
    line = f"{result['run']:<{width}}" + "".join(f"  {figures[metric]:>15.4f}" for metric in shown)
    return f"{header}\n{line}"
