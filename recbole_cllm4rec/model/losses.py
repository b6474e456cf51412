"""The two terms of every loss of CLLM4Rec: a likelihood and the mutual regularisation."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

LOGITS = 16_000_000
"""Scores held at once, in float32 64 MB: above that the likelihood goes in chunks that are recomputed backwards."""

Scope = Literal["per-document", "per-token"]


def negative_log_likelihood(
    states: Tensor, head: Callable[[Tensor], Tensor], reads: Tensor, targets: Tensor, n_classes: int
) -> Tensor:
    """−Σ_p ln softmax(head(h))[target_p], h being state ``reads[p]``; a scalar.

    ``states`` [R, K]; ``head`` gives logits [R, ``n_classes``]; ``reads`` [P] ascending indices of states; ``targets``
    [P]. With one read for many targets this is the multinomial likelihood of the paper's finetuning, with one for each
    the token-by-token likelihood of a main text in its L- and C-steps.
    """
    rows = max(1, LOGITS // n_classes)
    if len(states) <= rows:
        return _chunk_likelihood(states, reads, targets, head)
    starts = torch.arange(0, len(states), rows, device=reads.device)
    edges = [*torch.searchsorted(reads, starts).tolist(), len(reads)]
    total = states.new_zeros((), dtype=torch.float32)
    for k, start in enumerate(starts.tolist()):
        part = slice(edges[k], edges[k + 1])
        total = total + checkpoint(
            _chunk_likelihood,
            states[start : start + rows],
            reads[part] - start,
            targets[part],
            head,
            use_reentrant=False,
        )
    return total


def _chunk_likelihood(states: Tensor, reads: Tensor, targets: Tensor, head: Callable[[Tensor], Tensor]) -> Tensor:
    logits = head(states).float()  # [R, n_classes]
    return (logits.logsumexp(dim=1)[reads] - logits[reads, targets]).sum()


def mutual_regularisation(own: Tensor, other: Tensor) -> Tensor:
    """½ Σ_e ‖own_e − sg(other_e)‖² over E tokens, as the paper's L- and C-steps have it; a scalar.

    ``own``, ``other`` [E, K]: the two views' rows of these tokens. Gradients flow into ``own`` alone.
    """
    return (own - other.detach()).square().sum() / 2


def total_loss(
    likelihood: Tensor, penalty: Tensor, weight: float, documents: int, targets: int, scope: Scope
) -> Tensor:
    """Both terms as one scalar.

    ``per-document`` (paper): (likelihood + λ_c penalty) / documents, the mean over documents of the paper's objectives.
    ``per-token`` (released code): likelihood / targets + 2 λ_c penalty, a mean over tokens against a plain sum of
    squares over the batch.
    """
    if scope == "per-document":
        return (likelihood + weight * penalty) / documents
    return likelihood / targets + 2 * weight * penalty
