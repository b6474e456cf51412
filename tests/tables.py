"""Side-by-side tables of the shop, in the folder that is current."""

from pathlib import Path
from typing import Any

from shop import SMALL

from recbole_cllm4rec.comparison.compare import compare
from recbole_cllm4rec.report.table import Line, Table

RESULTS = Path("results/shop")


def table(*models: str, seeds: int = 1, reference: str | None = None, **options: Any) -> Table:
    return compare(models, "shop", seeds, reference, (), {**SMALL, **options}, "python run_recbole.py …")[0]


def line(found: Table, name: str) -> Line:
    return next(line for line in found.lines if line.name == name)
