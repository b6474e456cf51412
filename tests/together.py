"""Work that several processes do together, forked from one that has everything loaded and told who they are as torchrun
would tell them.
"""

import os
import sys
import traceback
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch
from torch.distributed import TCPStore

from recbole_cllm4rec import processes

LOADED = [  # once for all of them; the server does not find what lies beside the tests
    "hypothesis",
    "pytest",
    "recbole.data.dataset",
    "recbole_cllm4rec.recommending",
    "recbole_cllm4rec.training.trainer",
    "torch.distributed.fsdp",
    *(f"transformers.models.{kind}.modeling_{kind}" for kind in ("bert", "gpt2", "llama")),
]

context = get_context("forkserver")
context.set_forkserver_preload(LOADED)


@dataclass
class Told:
    """What a process leaves: its exit code, negative for a signal; what its work gave; and what it printed."""

    code: int
    gave: Any = None
    printed: str = ""
    error: str = ""


def together(work: Callable[..., Any], *args: Any, world: int = 2) -> list[Told]:
    """What becomes of ``work(*args)`` in each of so many processes, in this folder.

    Where one of them ends badly, the others get a SIGTERM, as torchrun sends it.
    """
    store = TCPStore("localhost", 0, is_master=True, wait_for_workers=False)  # torchrun holds it, as here
    started = {}
    for rank in range(world):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_be, args=(rank, world, store.port, Path.cwd(), theirs, work, args))
        process.start()
        theirs.close()
        started[ours] = process
    found: dict[Any, Told] = {}
    while len(found) < world:
        for ours in wait([ours for ours in started if ours not in found]):
            found[ours] = _heard(ours, started[ours])
            if found[ours].code:
                for process in started.values():
                    process.terminate()
    return [found[ours] for ours in started]


def _heard(ours: Any, process: Any) -> Told:
    try:
        told: Told = ours.recv()
    except EOFError:  # it was killed
        told = Told(0)
    process.join()
    told.code = process.exitcode or told.code
    return told


def joined(work: Callable[..., Any], *args: Any) -> Any:
    """``work(*args)`` in a process that has joined the others."""
    with processes.joined():
        return work(*args)


def _be(rank: int, world: int, port: int, folder: Path, told: Connection, work: Callable[..., Any], args: Any) -> None:
    os.chdir(folder)
    torch.set_num_threads(1)
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(world),
        "LOCAL_WORLD_SIZE": str(world),
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
    }
    out, err, gave, code = StringIO(), StringIO(), None, 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            gave = work(*args)
        except BaseException:
            traceback.print_exc(file=err)
            code = 1
    told.send(Told(code, gave, out.getvalue(), err.getvalue()))
    sys.exit(code)
