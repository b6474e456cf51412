"""The two terms of every loss of CLLM4Rec: a likelihood and the mutual regularisation."""

from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor

LOGITS = 16_000_000
"""Scores held at once, in float32 64 MB: the likelihood goes through the states in chunks of no more."""

Scope = Literal["per-document", "per-token"]


def negative_log_likelihood(
    states: Tensor,
    weight: Tensor,
    reads: Tensor,
    targets: Tensor,
    bias: Tensor | None = None,
    offsets: Tensor | None = None,
    cap: float | None = None,
) -> Tensor:
    """−Σ_p ln softmax(W h + b + o_h)[target_p], h being state ``reads[p]``; a scalar in float32.

    ``states`` [R, K]; ``weight`` W [C, K], of any precision, is multiplied in that of the states; ``bias`` b [C];
    ``offsets`` o [R, C], given and not learnt; ``cap`` c puts c tanh(· / c) of the scores in their place;
    ``reads`` [P] ascending indices of states; ``targets`` [P] classes. With one read for many targets this is the
    multinomial likelihood of the paper's finetuning, with one for each the token-by-token likelihood of a main text in
    its L- and C-steps.
    """
    likelihood: Tensor = _Likelihood.apply(states, weight, bias, offsets, cap, reads, targets)
    return likelihood


class _Likelihood(torch.autograd.Function):
    """The likelihood and its gradient in one go over chunks of states, so that no logits wait for a backward pass.

    With n_r targets in state r and p_r = softmax(W h_r + b), the gradient by the logits is n_r p_r − Σ_p onehot: the
    chunk's own probabilities, overwritten, in the precision of the states, in which they are multiplied anyway. A
    frozen head takes two products a chunk, a learnt one three. torch's
    ``linear_cross_entropy`` does the same with one target a state, not the many of a question.
    """

    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        offsets: Tensor | None,
        cap: float | None,
        reads: Tensor,
        targets: Tensor,
    ) -> Tensor:
        W = weight.to(states.dtype)  # [C, K]
        wanted: list[Tensor | None] = [
            torch.zeros_like(t, dtype=torch.float32) if t is not None and needed else None
            for t, needed in zip((weight, bias), ctx.needs_input_grad[1:3], strict=True)
        ]
        by_states = torch.empty_like(states)
        total = states.new_zeros((), dtype=torch.float32)
        for rows, chunk, part in _chunks(len(states), len(weight), reads, targets):
            logits = states[rows] @ W.T  # [r, C]
            if bias is not None:
                logits = logits + bias.to(logits.dtype)
            if offsets is not None:
                logits = logits + offsets[rows].to(logits.dtype)
            if cap is not None:
                logits = cap * torch.tanh(logits / cap)
            greatest, at = logits.max(dim=1)
            p = torch.softmax(logits, dim=1)
            # ln Σ_c exp logit_c, by the greatest: its p is 1 / C at least, and tells the sum without another pass.
            log_sum = greatest.float() - p.gather(1, at[:, None]).squeeze(1).float().log()
            total += (log_sum[chunk] - logits[chunk, part].float()).sum()
            if not any(ctx.needs_input_grad):
                continue
            counts = torch.bincount(chunk, minlength=len(p))
            if len(part) != len(counts) or counts.max() > 1:
                p *= counts[:, None]
            by_logits = p.index_put_((chunk, part), p.new_full((), -1.0), accumulate=True)
            if cap is not None:
                by_logits *= 1 - (logits / cap).square()
            by_states[rows] = by_logits @ W
            if wanted[0] is not None:
                wanted[0] += by_logits.T @ states[rows]
            if wanted[1] is not None:
                wanted[1] += by_logits.sum(dim=0, dtype=torch.float32)
        ctx.save_for_backward(by_states, *wanted)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients  # of the scalar: the share of the likelihood in the loss
        by_inputs = [None if saved is None else (gradient * saved).to(saved.dtype) for saved in ctx.saved_tensors]
        return *by_inputs, None, None, None, None


def _chunks(n_states: int, n_classes: int, reads: Tensor, targets: Tensor) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """States in turn, and the targets that are read from them: a slice of states, ``reads`` counted in it, ``targets``.

    No chunk has more than ``LOGITS`` logits, unless one state has.
    """
    size = max(1, LOGITS // n_classes)
    starts = range(0, n_states, size)
    edges = torch.searchsorted(reads, torch.tensor([*starts, n_states], device=reads.device)).tolist()
    for start, first, end in zip(starts, edges[:-1], edges[1:], strict=True):
        yield slice(start, start + size), reads[first:end] - start, targets[first:end]


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
