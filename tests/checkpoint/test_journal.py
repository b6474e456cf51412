"""When a training is saved."""

import os
import signal
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from recbole_cllm4rec.checkpoint import journal as module
from recbole_cllm4rec.checkpoint.interrupts import Stopped
from recbole_cllm4rec.checkpoint.journal import Journal
from recbole_cllm4rec.checkpoint.resume import Run


class Clock:
    """Seconds that pass when they are told to."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The journal's."""
    clock = Clock()
    monkeypatch.setattr(module, "monotonic", clock)
    return clock


class Pages(Run):
    """Notes when it is saved to, which takes some ``seconds``."""

    def __init__(self, clock: Clock, seconds: float):
        super().__init__(Path("saved/shop/1"))
        self.clock, self.seconds = clock, seconds
        self.times: list[float] = []

    def save(self, state: dict[str, Any], tensors: dict[str, Any], best: Path | None) -> None:
        assert state == {"run": {"seed": 1}, "step": 2}
        self.times.append(self.clock.now)
        self.clock.now += self.seconds


def looks(clock: Clock, minutes: float, seconds: float, until: int) -> list[float]:
    """When it is saved, by looks a second apart."""
    pages = Pages(clock, seconds)
    with Journal(pages, {"seed": 1}, minutes) as journal:
        while clock.now < 1000 + until:
            clock.now += 1
            journal.look(lambda: {"step": 2}, None)
    return [time - 1000 for time in pages.times]


def test_every_so_many_minutes(clock: Clock) -> None:
    assert looks(clock, minutes=1, seconds=0, until=200) == [60, 120, 180]


def test_at_every_look_where_that_is_nought(clock: Clock) -> None:
    assert looks(clock, minutes=0, seconds=0.5, until=4) == [1, 2.5, 4]


def test_what_takes_long_to_save_is_saved_more_rarely(clock: Clock) -> None:
    # 3 seconds may come once in 300, after which the clock stands between two looks.
    assert looks(clock, minutes=1, seconds=3, until=700) == [60, 363, 666]


@pytest.mark.parametrize("repeatable", [False, True])
def test_a_signal_saves_and_stops(clock: Clock, repeatable: bool) -> None:
    pages = Pages(clock, 0)
    with Journal(pages, {"seed": 1}, minutes=1) as journal:
        journal.look(lambda: {"step": 2}, None)
        assert not pages.times
        if not repeatable:
            os.kill(os.getpid(), signal.SIGTERM)
        block = journal.repeatable(lambda: {"step": 2}, None) if repeatable else nullcontext()
        with pytest.raises(Stopped, match="stopped by SIGTERM, saved in saved/shop/1"), block:
            os.kill(os.getpid(), signal.SIGTERM) if repeatable else journal.look(lambda: {"step": 2}, None)
    assert len(pages.times) == 1
