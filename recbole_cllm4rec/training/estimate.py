"""How long training will take and how much memory it needs, told from real batches of every pass before it starts."""

import resource
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from itertools import islice
from time import perf_counter
from typing import Any

import numpy as np
import torch
from recbole.data.interaction import Interaction
from tqdm import tqdm

from recbole_cllm4rec.corpus.batching import POOL, Batch
from recbole_cllm4rec.training.stages import Pass, Stage

USERS = 256
"""Of those that a validation scores, the users that are timed."""


@dataclass(frozen=True)
class Estimate:
    """``minutes`` of each stage if no stage stops early, and peak memory in GiB so far."""

    minutes: dict[str, float]
    memory: float

    def __str__(self) -> str:
        stages = ", ".join(f"{name} {minutes:.1f}" for name, minutes in self.minutes.items())
        return (
            f"estimate: at most {sum(self.minutes.values()):.1f} minutes ({stages}) unless stopped early, "
            f"{self.memory:.1f} GiB of memory"
        )


def estimate(
    stages: Sequence[Stage], model: Any, valid_data: Any, eval_step: int, seed: int, show_progress: bool = False
) -> Estimate:
    """Take steps at a rate of 0 on the shortest and the longest of some batches of every pass, and fill in the others.

    Weights, gradients, optimisers and the random streams of training are left as they were.
    """
    rng = np.random.default_rng([seed, len(stages)])
    minutes: dict[str, float] = {}
    sampling = model.sampling.get_state()
    passes = sum(len(stage.passes) for stage in stages)
    with torch.random.fork_rng(), tqdm(total=passes, desc="estimate", unit="pass", disable=not show_progress) as bar:
        for stage in stages:
            minutes[stage.name] = 0.0
            for current in stage.passes:
                minutes[stage.name] += stage.epochs * _epoch_seconds(current, model.device, rng) / 60
                bar.update()
            if stage.validates and valid_data:
                minutes["validation"] = -(-stage.epochs // eval_step) * _validation_seconds(model, valid_data) / 60
    model.sampling.set_state(sampling)
    return Estimate(minutes, peak_memory(model.device))


def _epoch_seconds(current: Pass, device: torch.device, rng: np.random.Generator) -> float:
    batches = sorted(islice(current.batches(rng), POOL), key=_tokens)
    ends = batches[0], batches[-1]
    with _standing_still(current.optimisers):
        # The first step pays for what the others find ready.
        _, *seconds = (_step_seconds(current, batch, device) for batch in (batches[0], *ends))
    # Of a step, a part is the same whatever its documents, and the rest goes by tokens.
    of_each = np.interp([_tokens(batch) for batch in batches], [_tokens(batch) for batch in ends], seconds)
    return float(of_each.sum()) * len(current) / sum(len(batch) for batch in batches)


def _tokens(batch: Batch) -> int:
    return batch.ids.numel()


def _step_seconds(current: Pass, batch: Batch, device: torch.device) -> float:
    start = perf_counter()
    current.zero_grad()
    current.backward(batch, device)
    current.step()
    _wait(device)
    seconds = perf_counter() - start
    current.zero_grad()
    return seconds


@contextmanager
def _standing_still(optimisers: Sequence[torch.optim.Optimizer]) -> Iterator[None]:
    """Steps move nothing, and what the optimisers noted of them is gone afterwards."""
    before = [deepcopy(optimiser.state_dict()) for optimiser in optimisers]
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = 0.0
    yield
    for optimiser, state in zip(optimisers, before, strict=True):
        optimiser.load_state_dict(state)


def _validation_seconds(model: Any, valid_data: Any) -> float:
    everyone = np.unique(valid_data._dataset.inter_feat[model.USER_ID].numpy())
    some = everyone[:: -(-len(everyone) // USERS)]
    model.eval()
    start = perf_counter()
    model.full_sort_predict(Interaction({model.USER_ID: torch.from_numpy(some)}).to(model.device))
    _wait(model.device)
    seconds = perf_counter() - start
    lengths = model.corpus.histories.lengths + model.history_prompt.longest
    return float(seconds * lengths[everyone].sum() / lengths[some].sum())


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_memory(device: torch.device) -> float:
    """The most memory this process has held so far, in GiB, on the device that it computes on."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**30 if sys.platform == "darwin" else 2**20)  # bytes there, KiB elsewhere
