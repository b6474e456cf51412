"""What the item head reads of a question: the state of the language model, the items shown and the user's token."""

import torch
from torch import Tensor, nn

STATE_GAIN, POOL_GAIN = 1.0, 0.2
"""Where the learnt gains start: low, so that items which start from their texts are not held to be alike for sure."""


class PooledHead(nn.Module):
    """Scores Z q + b of all items, of a question q = α h/‖h‖ + β Σ_j z_j / √n + z_u.

    Beside the language model's state h it reads the n items that the question shows, pooled, and its user token: the
    state alone has to learn to carry these through all its layers; it adds what order and words say. The two gains are
    learnt, as logarithms, and the biases b.
    """

    def __init__(self, n_items: int) -> None:
        super().__init__()
        self.log_gains = nn.Parameter(torch.tensor([STATE_GAIN, POOL_GAIN]).log())
        self.bias = nn.Parameter(torch.zeros(n_items))

    def forward(
        self, states: Tensor | None, users: Tensor, rows: Tensor, items: Tensor, weights: Tensor | None = None
    ) -> Tensor:
        """Read B questions [B, K] in ``states`` h [B, K], if any, ``users`` z_u [B, K] and ``items`` z_j [S, K].

        Token ``items[s]`` is shown in question ``rows[s]``. With ``weights`` w [S] the pool is Σ_j w_j z_j / √Σ_j w_j².
        """
        alpha, beta = self.log_gains.exp()
        if weights is None:
            squares = torch.bincount(rows, minlength=len(users))
        else:
            squares = weights.new_zeros(len(users)).index_add(0, rows, weights.square())
            items = items * weights[:, None]
        pooled = torch.zeros_like(users).index_add(0, rows, items)
        read = users + beta * pooled / squares.clamp(min=1).sqrt()[:, None]
        return read if states is None else read + alpha * nn.functional.normalize(states.float(), dim=1)
