"""Who is there, what they agree on, and how they end together."""

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from socket import gethostname
from time import monotonic, sleep
from typing import Any, TypeVar

import torch
from torch import distributed
from torch.distributed.rendezvous import rendezvous

from recbole_cllm4rec.errors import UserError

T = TypeVar("T")

TIMEOUT = timedelta(minutes=30)
"""That an exchange may take, waiting for the slowest process included, before the others are given up."""

PATIENCE = 2.0
"""Seconds in which a process that died is looked for, to name it."""


class LostError(UserError):
    """Another process has died, or does not answer."""


@dataclass
class _Here:
    """Which of ``world`` processes this is, ``local`` of those on its machine; their store, and the group for GPUs."""

    rank: int = 0
    world: int = 1
    local: int = 0
    store: Any = None
    gpus: Any = None


_here = _Here()


def rank() -> int:
    """The number of this process, from 0."""
    return _here.rank


def world() -> int:
    """How many there are."""
    return _here.world


def is_main() -> bool:
    """Whether this is the process that writes, logs and decides."""
    return _here.rank == 0


@contextmanager
def joined() -> Iterator[None]:
    """Be one of the processes that torchrun started, as its environment says; a SIGTERM is as Ctrl-C meanwhile.

    To be entered in the main thread. torchrun sends SIGTERM to all where one ends badly.
    """
    global _here
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    store, rank, world = next(rendezvous("env://", timeout=TIMEOUT))
    store.set(f"process {rank}", f"{gethostname()} {os.getpid()}")
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=world, timeout=TIMEOUT)
    _here = _Here(rank, world, int(os.environ["LOCAL_RANK"]), store)
    try:
        yield
        distributed.destroy_process_group()
    finally:
        _here = _Here()
        signal.signal(signal.SIGTERM, before)


@contextmanager
def watch() -> Iterator[None]:
    """Raise :class:`LostError` where another process ends or does not answer while this lasts."""
    try:
        yield
    except (RuntimeError, KeyboardInterrupt) as error:
        if world() == 1 or (isinstance(error, KeyboardInterrupt) and error.args):  # all were stopped together
            raise
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # this process is about to end
        if gone := _gone():
            which = f"process {gone[0]} of {world()} (counted from 0) has died"
        elif isinstance(error, distributed.DistError) or "gloo" in str(error):
            which = f"the other processes do not answer ({' '.join(str(error).split())})"
        else:
            raise
        raise LostError(f"{which}, and the others end with it: go on with --resume") from error


def say_once(text: str) -> None:
    """Print on stderr why the processes end, unless one of them has said so before."""
    try:
        first = _here.store is None or _here.store.add("said", 1) == 1
    except RuntimeError:  # whoever held the store is no more
        first = True
    if first:
        print(text, file=sys.stderr, flush=True)


def from_main(make: Callable[[], T]) -> T:
    """For all what ``make`` gives in the main process, a :class:`UserError` too; it is called in no other."""
    if world() == 1:
        return make()
    told: list[Any] = [None]
    if is_main():
        try:
            told = [make()]
        except UserError as error:
            told = [UserError(str(error))]
    distributed.broadcast_object_list(told, src=0)
    if isinstance(told[0], UserError):
        raise told[0]
    made: T = told[0]
    return made


def main_first(make: Callable[[], T]) -> T:
    """What ``make`` gives in each process, once the main one has done with it."""
    made: list[T] = []
    from_main(lambda: made.append(make()))
    return made[0] if made else make()


def check_same(facts: Mapping[str, Any]) -> None:
    """Raise :class:`UserError` for a fact that is not the same in all processes."""
    if world() == 1:
        return
    of_all: list[Any] = [None] * world()
    distributed.all_gather_object(of_all, dict(facts))
    for number, theirs in enumerate(of_all):
        for name, value in of_all[0].items():
            if theirs[name] != value:
                raise UserError(
                    f"{name} is {value} in process 0, but {theirs[name]} in process {number}: give all machines the "
                    "same files and versions"
                )


def largest(number: int) -> int:
    """Of the processes' numbers."""
    if world() == 1:
        return number
    found = torch.tensor(number)
    distributed.all_reduce(found, distributed.ReduceOp.MAX)
    return int(found)


def barrier() -> None:
    """Wait till all are here."""
    largest(0)


def turns(work: Sequence[T]) -> Iterator[tuple[T, bool]]:
    """Every ``world``-th piece of ``work``, and that it is this process's own.

    All get equally many, as a pass through a backbone that they hold together takes them all: for want of another, one
    gets the last piece, and that it is not its own.
    """
    for start in range(0, len(work), world()):
        number = start + rank()
        yield work[min(number, len(work) - 1)], number < len(work)


def place(device: torch.device) -> torch.device:
    """What ``device`` means in this process: of the GPUs of a machine, each process there has one.

    Raises :class:`UserError` where there are fewer GPUs than processes, and where devices are of different kinds.
    """
    if world() == 1:
        return device
    check_same({"device": device.type})
    if device.type != "cuda":
        return device
    lacks = _here.local >= torch.cuda.device_count()
    if largest(int(lacks)):
        raise UserError(
            "torchrun started more processes on a machine than it has GPUs: set --nproc-per-node to their number, or "
            "--use_gpu=False"
        )
    own = torch.device("cuda", _here.local)
    torch.cuda.set_device(own)
    _here.gpus = _here.gpus or distributed.new_group(backend="nccl", timeout=TIMEOUT)
    return own


def connection(device: torch.device) -> Any:
    """The group by which tensors on ``device`` are exchanged; None for the one of all and everything."""
    return _here.gpus if device.type == "cuda" else None


def _gone() -> list[int]:
    """Processes of this machine that are no more."""
    others, until = [number for number in range(world()) if number != rank()], monotonic() + PATIENCE
    while True:
        try:
            gone = [number for number in others if _is_gone(_here.store.get(f"process {number}").decode())]
        except RuntimeError:  # the store is gone too
            return []
        if gone or monotonic() > until:
            return gone
        sleep(0.1)


def _is_gone(address: str) -> bool:
    host, pid = address.split()
    if host != gethostname():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    return False
