"""What the item head reads of a question: the state of the language model, and the items shown, pooled."""

import torch
from torch import Tensor, nn

STATE_GAIN, POOL_GAIN = 1.0, 0.2
"""Where the learnt gains start: low, so that items which start from their texts are not held to be alike for sure."""


class PooledHead(nn.Module):
    """α h/‖h‖ + β Σ_j z_j / √n: the language model's state beside the n items that a question shows.

    The state alone has to learn to carry through all its layers what the items say at once; it adds what order, words
    and the user token say. Two gains are learnt, as logarithms.
    """

    def __init__(self) -> None:
        super().__init__()
        self.log_gains = nn.Parameter(torch.tensor([STATE_GAIN, POOL_GAIN]).log())

    def forward(self, states: Tensor, rows: Tensor, items: Tensor) -> Tensor:
        """[B, K] of the ``states`` [B, K] of B questions, and of token ``items[s]`` [S, K] shown in ``rows[s]``."""
        alpha, beta = self.log_gains.exp()
        pooled = items.new_zeros(states.shape).index_add(0, rows, items)
        counts = torch.bincount(rows, minlength=len(states)).clamp(min=1)
        unit = nn.functional.normalize(states.float(), dim=1)
        return (alpha * unit + beta * pooled / counts.sqrt()[:, None]).to(states.dtype)
