"""Time, the machine's own rate, and memory."""

import ctypes
import gc
import multiprocessing
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

import torch

from recbole_cllm4rec.training.estimate import peak_memory

ROWS, INNER, COLUMNS = 1024, 768, 3072
"""Of the product that tells a machine's rate: 1,024 tokens through the feed-forward layer of GPT-2."""

CPUS = Path("/proc/cpuinfo")
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def matrix_rate(dtype: torch.dtype, device: torch.device) -> float:
    """Operations a second of a product of 1024 × 768 by 768 × 3072: the median of five."""
    a = torch.ones(ROWS, INNER, dtype=dtype, device=device)
    b = torch.ones(INNER, COLUMNS, dtype=dtype, device=device)
    seconds = [timed(lambda: a @ b, device) for _ in range(6)][1:]  # the first finds nothing ready
    return 2 * ROWS * INNER * COLUMNS / median(seconds)


def timed(run: Callable[[], object], device: torch.device) -> float:
    """Seconds of one run, on a GPU until it is done."""
    synchronise(device)
    start = perf_counter()
    run()
    synchronise(device)
    return perf_counter() - start


def synchronise(device: torch.device) -> None:
    """Wait for a GPU; a CPU has nothing left to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@dataclass(frozen=True)
class Timing:
    """``seconds`` of every run of one side, and the machine's ``rate`` in its precision measured beside them."""

    seconds: list[float]
    rates: list[float]

    @property
    def median(self) -> float:
        """Seconds of a run."""
        return median(self.seconds)

    @property
    def rate(self) -> float:
        """Operations a second."""
        return median(self.rates)


def alternate(
    sides: Sequence[tuple[Callable[[], None], torch.dtype]],
    runs: int,
    device: torch.device,
    advance: Callable[[], object],
) -> list[Timing]:
    """Run all sides in turn, ``runs`` times after a turn that is not counted; ``advance`` is called after every run.

    Whatever else the machine does slows all sides alike, and the product that tells its rate as well.
    """
    timings = [Timing([], []) for _ in sides]
    for turn in range(runs + 1):
        for timing, (run, dtype) in zip(timings, sides, strict=True):
            seconds, rate = timed(run, device), matrix_rate(dtype, device)
            advance()
            if turn:
                timing.seconds.append(seconds)
                timing.rates.append(rate)
    return timings


def in_own_process(measure: Callable[..., dict[str, float]], *arguments: object) -> dict[str, float]:
    """What ``measure(*arguments)`` gives in a fresh process, which holds nothing but what it needs itself."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, arguments)


def peak_of(run: Callable[[], None], device: torch.device) -> float:
    """GiB that this process holds at most during a run, its weights and libraries included.

    On a CPU that is Linux's high-water mark of resident memory, set back before the run; elsewhere it cannot be set
    back, and the process's own peak is what there is.
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif RESET.exists():
        ctypes.CDLL(None).malloc_trim(0)  # what was freed before is not this run's
        RESET.write_text("5")
    run()
    synchronise(device)
    if device.type == "cuda" or not RESET.exists():
        return peak_memory(device)
    (line,) = [line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 2**20


def processor() -> str:
    """The model of the processor where the system tells it, else its architecture."""
    lines = CPUS.read_text().splitlines() if CPUS.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()
