"""Jobs in processes of their own: what they print, what is told of one that is killed, and who stops them."""

import os
import signal
from pathlib import Path
from threading import Event, Thread

import pytest
import stopping
from shop import SMALL
from tables import RESULTS, table

from recbole_cllm4rec.checkpoint import store
from recbole_cllm4rec.comparison import apart
from recbole_cllm4rec.comparison.job import Job
from recbole_cllm4rec.errors import UserError


def test_each_has_a_process_of_its_own() -> None:
    found = table("EASE", "Pop")
    assert [line.name for line in found.lines] == ["EASE", "Pop"]
    assert {path.name for path in RESULTS.glob("comparison.*")} >= {
        f"comparison.{kind}" for kind in ("md", "csv", "tex", "json", "png")
    }
    assert "result: results/shop/EASE-2020.json" in (RESULTS / "log" / "EASE-2020.log").read_text(encoding="utf-8")


def test_a_killed_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "_run_logged", _killed)
    with pytest.raises(UserError, match=r"its process was killed, .*; see results/shop/log/EASE.audit.log"):
        table("EASE")


def test_a_log_that_cannot_be_written() -> None:
    RESULTS.mkdir(parents=True)
    (RESULTS / "log").write_text("a file")
    with pytest.raises(UserError, match=r"log/EASE.audit.log: .*; set result_dir to a folder with room"):
        table("EASE")


def _killed(job: Job) -> str | None:
    os.kill(os.getpid(), signal.SIGKILL)
    return None


def test_who_stops_a_comparison_stops_the_run_that_it_waits_for(gpt2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run is in another process, which saves before it goes; only this one is told."""
    trained = {**stopping.options(gpt2), "epochs": 10**5, "gpu_id": ""}
    trained = {key: value for key, value in trained.items() if key not in SMALL}
    home, ended = Path("saved/shop").absolute(), Event()

    def once_it_trains() -> None:
        while not list(home.glob("CLLM4Rec-*/1/checkpoints/0*")):
            if ended.wait(0.05):
                return
        os.kill(os.getpid(), signal.SIGTERM)

    watch = Thread(target=once_it_trains)
    watch.start()
    try:
        with pytest.raises(KeyboardInterrupt, match="stopped in CLLM4Rec, seed 2020; the same command goes on"):
            table("CLLM4Rec", checkpoint_minutes=0.001, **trained)
    finally:
        ended.set()
        watch.join()
    assert store.newest(next(home.glob("CLLM4Rec-*/1/checkpoints"))) is not None
