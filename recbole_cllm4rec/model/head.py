"""What the item head reads of a question: the state of the language model, the items shown and the user's token."""

import torch
from torch import Tensor, nn

STATE_GAIN, POOL_GAIN = 1.0, 0.2
"""Where the learnt gains start: low, so that items which start from their texts are not held to be alike for sure."""


class PooledHead(nn.Module):
    """Scores Z q + b of all items, of a question q = α h/‖h‖ + β Σ_j a_j z_j / √n + g z_u.

    Beside the language model's state h it reads the n items that the question shows, pooled, and its user token: the
    state alone has to learn to carry these through all its layers; it adds what order and words say. The two gains are
    learnt, as logarithms, and the biases b. Where the pool attends, so is the query of the attention a_j ∝ exp wᵀz_j,
    whose sum is n; else all a_j are 1. The token of a user of few items was learnt from few: it grows with them, g =
    (n + 1) / (n + 1 + κ), and there is some of it where no item is.
    """

    def __init__(self, n_items: int, hidden_size: int, attends: bool, user_shrink: float) -> None:
        """K is ``hidden_size``, κ is ``user_shrink``."""
        super().__init__()
        self.log_gains = nn.Parameter(torch.tensor([STATE_GAIN, POOL_GAIN]).log())
        self.bias = nn.Parameter(torch.zeros(n_items))
        self.query = nn.Parameter(torch.zeros(hidden_size)) if attends else None
        self.user_shrink = user_shrink

    def forward(
        self, states: Tensor | None, users: Tensor, rows: Tensor, items: Tensor, weights: Tensor | None = None
    ) -> Tensor:
        """Read B questions [B, K] in ``states`` h [B, K], if any, ``users`` z_u [B, K] and ``items`` z_j [S, K].

        Token ``items[s]`` is shown in question ``rows[s]``. With ``weights`` v [S] the pool is
        Σ_j v_j a_j z_j / √Σ_j v_j², and the state and the user token, which tell nothing of old and new, count by the
        mean of the v_j.
        """
        alpha, beta = self.log_gains.exp()
        counts = torch.bincount(rows, minlength=len(users))
        shares = users.new_ones(len(rows)) if self.query is None else _attention(items @ self.query, rows, counts)
        squares, grown = counts, (counts + 1) / (counts + 1 + self.user_shrink)
        if weights is not None:
            sums, squares = (users.new_zeros(len(users)).index_add(0, rows, v) for v in (weights, weights.square()))
            shares, mean = shares * weights, torch.where(counts > 0, sums / counts, 1)
            grown, alpha = grown * mean, (alpha * mean)[:, None]
        pooled = torch.zeros_like(users).index_add(0, rows, items * shares[:, None])
        read = beta * pooled / squares.clamp(min=1).sqrt()[:, None]
        read = read + users * grown[:, None]
        return read if states is None else read + alpha * nn.functional.normalize(states.float(), dim=1)


def _attention(asked: Tensor, rows: Tensor, counts: Tensor) -> Tensor:
    """The a_j [S] of items of which wᵀz_j [S] is ``asked``; ``counts`` [B] of them are shown in each question."""
    highest = asked.new_zeros(len(counts)).scatter_reduce(0, rows, asked, "amax", include_self=False)
    raised = (asked - highest.detach()[rows]).exp()  # none overflows
    sums = asked.new_zeros(len(counts)).index_add(0, rows, raised)
    return raised / sums[rows] * counts[rows]
