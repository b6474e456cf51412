"""BERT4Rec and S3Rec adapted to direct recommendation: from a masked history, all held-out items at once.

The encoders are RecBole's. At every visit a user's history is split at random; what is shown goes through the encoder,
oldest item first and a mask last, and the state of that mask scores all items. The loss is the multinomial likelihood
of what is held out.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from recbole.model.abstract_recommender import SequentialRecommender
from recbole.model.sequential_recommender import BERT4Rec, S3Rec
from torch import Tensor
from torch.nn.functional import log_softmax, pad

from recbole_cllm4rec.options import Share, check_span, read_options


@dataclass(frozen=True)
class DirectOptions:
    """What the adaptation adds to the options of the encoder."""

    mask_share: Share | list[Share]
    """Share of a history that training holds out, one item at least; [low, high] draws it anew at every visit."""
    loss_type: Literal["CE"]
    """RecBole's key: cross-entropy over all items, so that it samples no negatives."""

    def __post_init__(self) -> None:
        check_span("mask_share", self.mask_share)


class _Direct(SequentialRecommender):
    """Loss and scores of an encoder ``forward`` over ``item_embedding``, whose row ``mask_token`` follows the items."""

    def __init__(self, config: Any, dataset: Any):
        super().__init__(config, dataset)
        self.least, self.most = np.broadcast_to(read_options(DirectOptions, config).mask_share, 2).tolist()

    def scores(self, shown: Tensor) -> Tensor:
        """Scores of all items [B, J], J counting the padding, from histories [B, L], where 0 is no item."""
        states = self.forward(question(shown, self.mask_token))[:, -1]  # [B, H]
        return states @ self.item_embedding.weight[: self.mask_token].T

    def calculate_loss(self, interaction: Any) -> Tensor:
        """−Σ_k r_k ln r̂_k over the held-out items, mean over the users."""
        shown, held_out = hold_out(interaction[self.ITEM_SEQ], self.least, self.most, self.mask_token)
        log_r = log_softmax(self.scores(shown)[:, 1:], dim=1)  # the padding is no item
        return -(held_out[:, 1:] * log_r).sum(dim=1).mean()

    def predict(self, interaction: Any) -> Tensor:
        """Scores of one item a row [B]."""
        return self.full_sort_predict(interaction).gather(1, interaction[self.ITEM_ID][:, None])[:, 0]

    def full_sort_predict(self, interaction: Any) -> Tensor:
        """Scores of all items [B, J] from whole histories."""
        return self.scores(interaction[self.ITEM_SEQ])


class DirectBERT4Rec(_Direct, BERT4Rec):
    """BERT4Rec's encoder and output layer."""

    def scores(self, shown: Tensor) -> Tensor:
        """As in the base class, with BERT4Rec's bias of each item."""
        return super().scores(shown) + self.output_bias


class DirectS3Rec(_Direct, S3Rec):
    """S3Rec's encoder, after S3Rec's own pretraining."""

    def calculate_loss(self, interaction: Any) -> Tensor:
        """S3Rec's four objectives in the stage of pretraining, then the multinomial likelihood."""
        if self.train_stage == "pretrain":
            return S3Rec.calculate_loss(self, interaction)
        return super().calculate_loss(interaction)


def hold_out(history: Tensor, least: float, most: float, n_items: int) -> tuple[Tensor, Tensor]:
    """Histories [B, L] with 0 in place of what is held out, and that as 0 and 1 over the items [B, n_items].

    A share between ``least`` and ``most`` of each history is held out, one item at least; an item that comes
    repeatedly, wherever it stands.
    """
    present = history > 0
    shares = torch.empty(len(history), device=history.device).uniform_(least, most)
    n_masked = (shares * present.sum(dim=1)).long().clamp(min=1)  # [B]
    ranks = torch.rand(history.shape, device=history.device).masked_fill(~present, 2).argsort(dim=1).argsort(dim=1)
    masked = history * (ranks < n_masked[:, None])
    held_out = torch.zeros(len(history), n_items, device=history.device).scatter_(1, masked, 1)
    held_out[:, 0] = 0
    return history.masked_fill(held_out.gather(1, history) > 0, 0), held_out


def question(shown: Tensor, mask: int) -> Tensor:
    """Rows [B, L]: the items in their order, padded at the left as in S3Rec's pretraining, and ``mask`` at the end.

    Of a row that is full, the first item gives way to the mask.
    """
    items = shown.gather(1, (shown > 0).int().argsort(dim=1, stable=True))
    return pad(items[:, 1:], (0, 1), value=mask)
