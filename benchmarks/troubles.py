"""What a training may meet while it saves: death, a full disk, and a save that takes its time."""

import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from time import sleep
from typing import Any
from unittest import mock

import torch

from recbole_cllm4rec.checkpoint import store

STEPS_OF_A_SAVE = ("save_file", "_write_json", "sync", "rename", "remove")
"""Functions of a save; a process may die before and after each call of each."""
ROOM = 4096
"""Bytes that a file may have where the disk is full."""

Trouble = Callable[[], AbstractContextManager[None]]
"""Makes a context in which a training meets its trouble; it is made in the process that trains."""


def dying_in_a_save(moment: int) -> Trouble:
    """SIGKILL at the ``moment``-th beginning or end of a step of saving; a file just written loses its second half."""
    return partial(_dying, moment)


def save_till_death(moment: int, home: Path) -> None:
    """Save small checkpoints until that moment."""
    with dying_in_a_save(moment)():
        for number in count():
            store.save(home, {"number": number}, {"w": torch.zeros(2)}, None)


def killed_at(save: int) -> Trouble:
    """SIGKILL when its ``save``-th save begins."""
    return partial(_in_saves, partial(_deadly, save))


def disk_full_at(save: int) -> Trouble:
    """No room for a file's end from the ``save``-th save on."""
    return partial(_in_saves, partial(_without_room, save))


def waiting_for(file: Path) -> Trouble:
    """No save ends before the ``file`` is there."""
    return partial(_in_saves, partial(_patient, file))


@contextmanager
def _dying(moment: int) -> Iterator[None]:
    passed = 0

    def watched(name: str, step: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            nonlocal passed
            passed += 1
            if passed == moment:
                os.kill(os.getpid(), signal.SIGKILL)
            done = step(*args, **options)
            passed += 1
            if passed == moment:
                if name in ("save_file", "_write_json"):
                    path = Path(args[1] if name == "save_file" else args[0])
                    os.truncate(path, path.stat().st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)
            return done

        return call

    with ExitStack() as patches:
        for name in STEPS_OF_A_SAVE:
            patches.enter_context(mock.patch.object(store, name, watched(name, getattr(store, name))))
        yield


@contextmanager
def _in_saves(trouble: Callable[[int], AbstractContextManager[None]]) -> Iterator[None]:
    """Every save is made in a context of ``trouble``, to which the first is 1."""
    write, saves = store._write, count(1)

    def troubled(*args: Any) -> None:
        with trouble(next(saves)):
            write(*args)

    with mock.patch.object(store, "_write", troubled):
        yield


@contextmanager
def _deadly(last: int, save: int) -> Iterator[None]:
    if save == last:
        os.kill(os.getpid(), signal.SIGKILL)
    yield


@contextmanager
def _without_room(first: int, save: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    if save >= first:
        resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def _patient(file: Path, _: int) -> Iterator[None]:
    while not file.exists():
        sleep(0.05)
    yield
