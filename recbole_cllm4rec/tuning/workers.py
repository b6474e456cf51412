"""Processes that work on one study, and how the living tell who has died."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from filelock import FileLock, Timeout

_ALIVE = "alive.lock"


@contextmanager
def working(folder: Path) -> Iterator[Path]:
    """A folder of one's own inside ``folder``, for files that nobody needs later.

    A lock in it is held as long as the process lives: the system releases it however the process ends.
    """
    own = folder / uuid4().hex[:12]
    own.mkdir(parents=True)
    try:
        with FileLock(own / _ALIVE):
            yield own
    finally:
        shutil.rmtree(own)


def is_dead(own: Path) -> bool:
    """Whether the process whose folder this is works no more."""
    if not own.is_dir():
        return True
    try:
        with FileLock(own / _ALIVE, blocking=False):
            return True
    except Timeout:
        return False


def bury(own: Path) -> None:
    """Remove what a dead process left."""
    shutil.rmtree(own, ignore_errors=True)
