"""Both sides of every case on one backbone."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.cases import build_case
from benchmarks.lengths import Lengths, read_lengths
from benchmarks.measure import alternate, in_own_process, peak_of
from benchmarks.reference import Reference
from benchmarks.report import SIDES, Row
from benchmarks.workload import Sample, Workload, build_workload, weights_folder

LONG_BATCH, LONG = 64, 512
"""Documents, and tokens of each, of the content step whose memory is told on its own."""


@dataclass(frozen=True)
class Settings:
    """``cases`` to run, ``runs`` of each side that count, ``documents`` of a run or None for the case's own number,
    ``precision`` of our side, ``threads`` of a CPU, and whether to look at ``memory``.
    """

    cases: list[str]
    runs: int
    documents: int | None
    precision: str
    device: str
    threads: int
    memory: bool


def measure(name: str, location: str, settings: Settings) -> list[Row]:
    """Two rows a case of backbone ``name``, which lies in ``location``."""
    memories: dict[str, dict[str, float]] = {}
    if settings.memory:
        for side in tqdm(SIDES, desc=f"{name}: memory", unit="side"):
            memories[side] = in_own_process(memory_of_side, side, name, location, settings)
    workload, reference = prepare(location, read_lengths(name), settings)
    precisions = {"reference": torch.float32, "ours": workload.model.backbone.dtype}
    rows = []
    with tqdm(total=len(settings.cases) * 2 * (settings.runs + 1), desc=name, unit="run") as bar:
        for case_name in settings.cases:
            bar.set_postfix_str(case_name)
            case = build_case(case_name, workload, reference, settings.documents)
            sides = [(getattr(case, side), precisions[side]) for side in SIDES]
            timings = alternate(sides, settings.runs, workload.device, bar.update)
            for side, timing in zip(SIDES, timings, strict=True):
                precision = str(precisions[side]).removeprefix("torch.")
                memory = memories[side][case_name] if memories else None
                rows.append(Row(name, case_name, side, precision, case.work, timing, memory))
    return rows


def prepare(location: str, lengths: Lengths, settings: Settings, **options: Any) -> tuple[Workload, Reference]:
    """Both sides, over the same documents."""
    torch.set_num_threads(settings.threads)
    device = torch.device(settings.device)
    workload = build_workload(location, lengths, device, precision=settings.precision, **options)
    return workload, Reference(workload, weights_folder(location))


def memory_of_side(side: str, name: str, location: str, settings: Settings) -> dict[str, float]:
    """Case -> peak GiB of a run of one side; the weights of the other are not there."""
    workload, reference = prepare(location, read_lengths(name), settings)
    cases = {case: build_case(case, workload, reference, settings.documents) for case in settings.cases}
    if side == "ours":
        reference.lm = None
    else:
        workload.model.backbone.model = None  # type: ignore[assignment]
    return {name: peak_of(getattr(case, side), workload.device) for name, case in cases.items()}


def long_memory(name: str, location: str, settings: Settings) -> dict[str, float]:
    """Peak GiB of one content step of ours at 64 documents of 512 tokens, over tables as large as amazon-beauty's."""
    lengths = read_lengths(name)
    items = np.ones_like(lengths.items)
    items[:LONG_BATCH] = LONG  # and cut to what the prompt leaves
    lengths = replace(lengths, items=items, reviews=items[:0])
    sizes = {"max_length": LONG, "train_batch_size": LONG_BATCH, "max_batch_tokens": LONG_BATCH * LONG}
    torch.set_num_threads(settings.threads)
    workload = build_workload(location, lengths, torch.device(settings.device), precision=settings.precision, **sizes)
    content, rng = workload.passes["content"], np.random.default_rng(0)
    visits = [i for i in range(len(content.documents)) if len(content.documents.draw(i, rng).main) > 1]
    (batch,) = replace(content, documents=Sample(content.documents, np.array(visits)), share=1).batches(rng)

    def step() -> None:
        content.zero_grad()
        content.backward(batch, workload.device)
        content.step()

    return {"content": peak_of(step, workload.device)}
