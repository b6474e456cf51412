"""A softmax over a million items from some thousands of them, their logits corrected for what was not drawn."""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

STREAM = 0x5A3B1E
"""Tells the stream of samples from the others that are made of the same seed."""


class Sample(NamedTuple):
    """C different items: the targets of a batch, all of them, and others drawn at random.

    ``items`` [C]; ``corrections`` [C], what each logit is raised by; ``positions`` [P] where in ``items`` each target
    stands.
    """

    items: Tensor
    corrections: Tensor
    positions: Tensor


def sampling_stream(seed: int) -> torch.Generator:
    """The generator of a run's samples: a stream of its own, whatever initialisation and dropout draw."""
    return torch.Generator().manual_seed(int(np.random.SeedSequence([seed, STREAM]).generate_state(1)[0]))


def sample_items(
    targets: Tensor,
    n_items: int,
    n_drawn: int,
    generator: torch.Generator | None = None,
    elsewhere: Tensor | None = None,
) -> Sample:
    """The batch's ``targets`` [P] and ``n_drawn`` of the other items, or all of them if they are fewer.

    Targets of the same batch ``elsewhere`` [Q], in other processes, are in the sample as if they were here.

    The normaliser Z = Σ_j exp(s_j) of a softmax is estimated by importance sampling (Bengio & Senécal, 2008; Jean et
    al., 2015, equations 6 to 9), here without replacement: targets are in the sample for certain, each of the other
    n is with probability n_drawn / n, so that Σ_targets exp(s_j) + n / n_drawn Σ_drawn exp(s_j) has the mean Z
    whatever the batch (Horvitz & Thompson, 1952). The weight enters as log(n / n_drawn) on the logit. No item is there
    twice: what is drawn is no document's target, and what another document is to find counts against each once.

    The draw is from ``generator``, torch's global one unless given. RecBole's padding item is never in the sample.
    """
    known = targets if elsewhere is None else torch.cat([targets, elsewhere])
    wanted, positions = known.unique(return_inverse=True)
    taken = torch.cat([wanted.new_zeros(1), wanted])
    n_others = n_items - len(taken)
    n_drawn = min(n_drawn, n_others)
    ranks = _draw(n_others, n_drawn, generator).to(targets.device)
    # The r-th of the others stands behind as many taken items as have at most r others before them.
    others_before = taken - torch.arange(len(taken), device=taken.device)
    drawn = ranks + torch.searchsorted(others_before, ranks, right=True)
    corrections = torch.zeros(len(wanted) + n_drawn, device=targets.device)
    if n_drawn:
        corrections[len(wanted) :] = math.log(n_others / n_drawn)
    return Sample(torch.cat([wanted, drawn]), corrections, positions[: len(targets)])


def _draw(n: int, size: int, generator: torch.Generator | None) -> Tensor:
    """``size`` different numbers below ``n``; numpy's way, unlike torch's, does not shuffle all ``n`` for a few."""
    seed = int(torch.randint(2**63 - 1, (), generator=generator))
    return torch.from_numpy(np.random.default_rng(seed).choice(n, size, replace=False, shuffle=False))
