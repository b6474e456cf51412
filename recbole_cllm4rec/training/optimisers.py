"""Optimisers for dense and for sparse gradients side by side, and the clipping of both together."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_

from recbole_cllm4rec.model.view import LAZY_LEARNER

Make = Callable[..., torch.optim.Optimizer]
"""RecBole's factory: ``make(params=…, learning_rate=…, learner=…)``."""


class Group(NamedTuple):
    """Parameters that move at one rate; ``sparse`` if all of their gradients are."""

    parameters: Sequence[nn.Parameter]
    rate: float
    sparse: bool = False


def optimisers(make: Make, learner: str, groups: Iterable[Group]) -> list[torch.optim.Optimizer]:
    """One for every group that is not empty.

    The lazy Adam is for sparse gradients alone, so that what is dense beside them has the usual one.
    """
    dense = "adam" if learner == LAZY_LEARNER else learner
    return [
        _fused(make(params=group.parameters, learning_rate=group.rate, learner=LAZY_LEARNER if group.sparse else dense))
        for group in groups
        if group.parameters
    ]


def _fused(optimiser: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """Adam reads and writes the tables, which a step moves as a whole, once in place of some ten times."""
    if isinstance(optimiser, torch.optim.Adam):
        for group in optimiser.param_groups:
            group["fused"] = True
    return optimiser


def clip_gradients(parameters: Iterable[nn.Parameter], **limits: Any) -> None:
    """As ``clip_grad_norm_``, which has no norm of sparse gradients: here their values stand in for them."""
    stand_ins = []
    for parameter in parameters:
        if parameter.grad is None:
            continue
        if parameter.grad.is_sparse:
            parameter.grad = parameter.grad.coalesce()  # one value a row: what is summed has another norm
        gradient = parameter.grad.values() if parameter.grad.is_sparse else parameter.grad
        stand_ins.append(torch.empty_like(gradient))
        stand_ins[-1].grad = gradient.detach()
    clip_grad_norm_(stand_ins, **limits)
