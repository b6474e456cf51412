"""Ctrl-C and SIGTERM in a training: noted when they come, and obeyed where the state is whole."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

from recbole_cllm4rec import processes


class Stopped(KeyboardInterrupt):
    """The training was told to stop by a signal of this ``number``, and is saved in ``folder``."""

    def __init__(self, number: int, folder: str):
        super().__init__(number, folder)
        self.number = number
        self.folder = folder

    def __str__(self) -> str:
        return f"stopped by {signal.Signals(self.number).name}, saved in {self.folder}"


class AtOnce(BaseException):
    """Ends what may be broken off anywhere."""


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Let SIGTERM raise a KeyboardInterrupt, as Ctrl-C does; in a thread that is not the main one nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class Interrupts:
    """Signals while it is entered: ``heard`` is the number of the one that came, None so far.

    A second Ctrl-C is a plain KeyboardInterrupt, for those who do not want to wait; not in several processes, where
    torchrun sends on what the terminal has sent before. In a thread that is not the main one nothing is heard, as
    Python tells signals to that alone.
    """

    heard: int | None = None

    def __enter__(self) -> "Interrupts":
        self._before: dict[int, Any] = {}
        self._breaks_off = False
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """A signal ends this block with :class:`AtOnce`: what it does can be done again from the start."""
        self._breaks_off = True
        try:
            if self.heard is not None:
                raise AtOnce
            yield
        finally:
            self._breaks_off = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.heard == number == signal.SIGINT and processes.world() == 1:
            raise KeyboardInterrupt
        self.heard = self.heard or number
        if self._breaks_off:
            raise AtOnce
