"""A job in a process of its own, whose end is told whatever ends it."""

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from tempfile import gettempdir
from threading import Thread

from recbole_cllm4rec.comparison.job import Job, attempt


def _new_processes() -> SpawnContext | ForkServerContext:
    """Where they come from; on Linux with modules in place, which take longer to load than EASE to be solved."""
    # Libraries of macOS do not survive a fork, Windows has none, and the path of a socket has no more than 108 bytes.
    if sys.platform != "linux" or len(os.fsencode(gettempdir())) > 70:
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__, "torch._dynamo"])  # torch's optimisers load that
    return context


def run_apart(job: Job) -> str | None:
    """Run a job in a new process, whose peak memory and random state are its own; why it failed, if it did."""
    context = _new_processes()
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(sender, _run_logged, job))
    process.start()
    sender.close()  # so that the end of the process is the end of the pipe
    try:
        why: str | None = receiver.recv()
    except EOFError:
        why = f"its process was killed, perhaps for want of memory; see {job.log}"
    except KeyboardInterrupt:
        process.terminate()
        with suppress(EOFError):
            receiver.recv()  # it saves first
        raise KeyboardInterrupt(f"stopped in {job.title}; the same command goes on") from None
    process.join()
    return why


def _answer(sender: Connection, do: Callable[[Job], str | None], job: Job) -> None:
    sender.send(do(job))


def _run_logged(job: Job) -> str | None:
    Thread(target=_end_with_parent, daemon=True).start()
    try:
        job.log.parent.mkdir(parents=True, exist_ok=True)
        with job.log.open("a", encoding="utf-8") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
    except OSError as error:
        return f"{job.log}: {error.strerror}; set result_dir to a folder with room"
    return attempt(job)


def _end_with_parent() -> None:
    """Stop, as by SIGTERM, once the process is gone that waits for this one: nobody would start the next job."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
