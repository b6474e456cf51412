"""The count of fuzz cases, at the end of a run; and runs to start from, made once."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import stopping
from checkpoints import save_gpt2
from fuzzing import COUNT, POP, files, run
from shop import shop_in

from recbole_cllm4rec import experiment
from recbole_cllm4rec.comparison import compare, job


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Tell how many cases there were, and how they ended."""
    if COUNT:
        ended = ", ".join(f"{number:,} {how}" for how, number in sorted(COUNT.items()))
        terminalreporter.write_line(f"fuzz: {COUNT.total():,} cases: {ended}")


@pytest.fixture(scope="module", autouse=True)
def _in_this_process() -> Iterator[None]:
    """Comparisons start a process for each run, which takes seconds: here their runs are in this one.

    The versions of packages, half of the time of a small run, are looked up once.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare, "run_apart", job.attempt)
        for name in ("versions", "commit"):
            patch.setattr(experiment, name, cache(getattr(experiment, name)))
        yield


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop with a finished run of Pop."""
    with shop_in(tmp_path_factory, "finished") as folder:
        assert run(POP) == 0
        assert "results/shop/Pop-2020.json" in files()
        return folder


@pytest.fixture(scope="session")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop with a CLLM4Rec over the backbone ``lm`` that was stopped; the file ``words`` holds its command."""
    with shop_in(tmp_path_factory, "stopped") as folder, pytest.MonkeyPatch.context() as patch:
        save_gpt2(folder / "lm")
        options = {**stopping.options(Path("lm")), "gpu_id": "''", "metrics": "[NDCG]", "show_progress": "False"}
        words = ["--model=CLLM4Rec", "--dataset=shop", *(f"--{key}={value}" for key, value in options.items())]
        stopping.stop_at(patch, "_step", 7)
        assert run(words) == 128 + 15
        (folder / "words").write_text("\n".join(words))
        return folder
