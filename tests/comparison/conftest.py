"""A shop to compare models in, whose runs may be in the process of the tests."""

from pathlib import Path

import pytest
from shop import build_shop

from recbole_cllm4rec.comparison import compare, job
from recbole_cllm4rec.comparison.job import Job


@pytest.fixture(autouse=True)
def _shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    build_shop(tmp_path)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Row and seed of every run; they run in this process, which is faster."""
    runs: list[tuple[str, int]] = []

    def inline(asked: Job) -> str | None:
        if not asked.audits:
            runs.append((asked.row, asked.overrides["seed"]))
        return job.attempt(asked)

    monkeypatch.setattr(compare, "run_apart", inline)
    return runs
