"""When a training is saved: every so many minutes, and when it is told to stop."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any

from recbole_cllm4rec import processes
from recbole_cllm4rec.checkpoint.interrupts import AtOnce, Interrupts, Stopped
from recbole_cllm4rec.checkpoint.resume import Run
from recbole_cllm4rec.checkpoint.state import take_apart

SHARE = 0.01
"""Of the time, at most what saving takes: the interval grows with what is to be saved."""

State = Callable[[], dict[str, Any]]


class Journal:
    """The checkpoints of one training, in its ``run``; to be entered while it trains.

    ``facts`` say what the run is, and stand in every checkpoint beside the state. A checkpoint is saved ``minutes``
    after the one before, or as long after it as keeps saving within ``SHARE``; at every look if that is 0. Of several
    processes the main one saves; what any of them hears, all obey at their next look.
    """

    def __init__(self, run: Run, facts: dict[str, Any], minutes: float):
        self.run = run
        self._facts = facts
        self._minutes = minutes
        self._interrupts = Interrupts()
        self._due = 0.0

    def __enter__(self) -> "Journal":
        self._interrupts.__enter__()
        self._due = monotonic() + 60 * self._minutes
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._interrupts.__exit__(kind, error, trace)

    def look(self, state: State, best: Path | None) -> None:
        """Save if it is time; where a signal has come, save and raise :class:`Stopped`."""
        if heard := processes.largest(self._interrupts.heard or 0):
            self._stop(state, best, heard)
        if monotonic() >= self._due:
            self.save(state, best)

    def save(self, state: State, best: Path | None) -> None:
        """Save now: the ``state``, and the file of the ``best`` weights, if any epoch was validated."""
        if not processes.is_main():
            return
        start = monotonic()
        plain, tensors = take_apart(state())
        self.run.save({"run": self._facts, **plain}, tensors, best)
        seconds = monotonic() - start
        self._due = monotonic() + (max(60 * self._minutes, seconds / SHARE) if self._minutes else 0.0)

    @contextmanager
    def repeatable(self, state: State, best: Path | None) -> Iterator[None]:
        """A block that changes nothing of the state: a signal breaks it off, to be done again from its start.

        Not in several processes, as those that hear it later would wait for those that broke off.
        """
        if processes.world() > 1:
            yield
            return
        try:
            with self._interrupts.at_once():
                yield
        except AtOnce:
            assert self._interrupts.heard is not None
            self._stop(state, best, self._interrupts.heard)

    def _stop(self, state: State, best: Path | None, heard: int) -> None:
        self.save(state, best)
        processes.barrier()  # before it is saved, nobody says so
        raise Stopped(heard, str(self.run.folder))
