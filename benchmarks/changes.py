"""What the leads change: heads, models and a trainer."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recbole_cllm4rec.checkpoint.weights import set_trained, trained
from recbole_cllm4rec.corpus.batching import Batch
from recbole_cllm4rec.corpus.documents import Document
from recbole_cllm4rec.corpus.text import IntArray
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.model.cllm4rec import NOTHING, CLLM4Rec
from recbole_cllm4rec.model.head import PooledHead
from recbole_cllm4rec.model.losses import mutual_regularisation
from recbole_cllm4rec.model.view import Rows
from recbole_cllm4rec.training.stages import Pass
from recbole_cllm4rec.training.trainer import StagedTrainer

DROPPED = 0.2
"""Share of the items shown that are left out of the pool at a step."""
DECAY = 0.998
"""Of the running mean of the weights, over some three epochs of amazon-beauty."""
SHARPNESS = 0.07
"""Temperature of the contrastive alignment, as CLIP's starts (Radford et al., ICML 2021)."""
ORDERS = 4
"""Orders of a history whose states are averaged."""


class NoUserHead(PooledHead):
    """The user token does not count."""

    def forward(
        self, states: Tensor | None, users: Tensor, rows: Tensor, items: Tensor, weights: Tensor | None = None
    ) -> Tensor:
        """As :class:`PooledHead`."""
        return super().forward(states, torch.zeros_like(users), rows, items, weights)


class DroppingHead(PooledHead):
    """In training an item shown is left out of the pool with probability ``DROPPED``."""

    def forward(
        self, states: Tensor | None, users: Tensor, rows: Tensor, items: Tensor, weights: Tensor | None = None
    ) -> Tensor:
        """As :class:`PooledHead`."""
        if self.training:
            kept = torch.rand(len(rows), device=rows.device) >= DROPPED
            rows, items = rows[kept], items[kept]
        return super().forward(states, users, rows, items, weights)


def with_head(make: Callable[[int, int, bool, float], PooledHead]) -> type[CLLM4Rec]:
    """The model with another head, made of what :class:`PooledHead` is."""

    class WithHead(CLLM4Rec):
        def __init__(self, config: Any, dataset: Any):
            super().__init__(config, dataset)
            of = self.options.pool_attention, self.options.user_shrink
            self.head = make(self.n_items, self.backbone.hidden_size, *of).to(self.device)

    return WithHead


def without(name: str) -> type[CLLM4Rec]:
    """The model whose head does not learn its parameter ``name``."""

    def make(n_items: int, hidden_size: int, attends: bool, user_shrink: float) -> PooledHead:
        head = PooledHead(n_items, hidden_size, attends, user_shrink)
        getattr(head, name).requires_grad_(False)
        return head

    return with_head(make)


class FromText(CLLM4Rec):
    """Keeps the tokens as they start, from the texts."""

    def __init__(self, config: Any, dataset: Any):
        super().__init__(config, dataset)
        start = self.collaborative.rows()
        self.start = Rows(start.users.detach().clone(), start.items.detach().clone(), False, False)

    def _tokens(self, batch: Batch) -> Tensor:
        return batch.entities - self.vocabulary.n_words


def near_text(weight: float) -> type[CLLM4Rec]:
    """z_l = z_c + r with z_c the encoded text, and ``weight`` / 2 ‖r‖² as the mutual regularisation has it."""

    class NearText(FromText):
        def recommendation_loss(self, batch: Batch) -> Tensor:
            tokens = self._tokens(batch)
            penalty = mutual_regularisation(self.collaborative.rows().at(tokens), self.start.at(tokens))
            return super().recommendation_loss(batch) + weight * penalty / batch.whole[0]

    return NearText


def aligned(weight: float) -> type[CLLM4Rec]:
    """An item's token is to be told from those of the batch by its text (InfoNCE, van den Oord et al., 2018)."""

    class Aligned(FromText):
        def recommendation_loss(self, batch: Batch) -> Tensor:
            loss = super().recommendation_loss(batch)
            tokens = self._tokens(batch).unique()
            items = tokens[tokens >= self.corpus.n_users]
            if not len(items):
                return loss
            own, text = (nn.functional.normalize(rows.at(items)) for rows in (self.collaborative.rows(), self.start))
            right = torch.arange(len(items), device=items.device)
            told = nn.functional.cross_entropy(own @ text.T / SHARPNESS, right, reduction="sum")
            return loss + weight * told / batch.whole[0]

    return Aligned


def distilled(weight: float) -> type[CLLM4Rec]:
    """Scores without the prior are to be like the prior's own, at its likeliest strength (Hinton et al., 2015)."""

    class Distilled(CLLM4Rec):
        def recommendation_loss(self, batch: Batch) -> Tensor:
            assert self.prior is not None
            offsets = self.prior.offsets(self._users(batch), *self._shown(batch))
            teacher = torch.softmax(offsets[:, 1:] / self.options.training_prior, dim=1)
            states = self.question_states(batch, self.collaborative.rows())
            student = torch.log_softmax(self.item_logits(states)[:, 1:], dim=1)
            return super().recommendation_loss(batch) - weight * (teacher * student).sum() / batch.whole[0]

    return Distilled


class SeveralOrders(CLLM4Rec):
    """A user is scored by the mean of the states of ``ORDERS`` orders of the history, where its order says nothing."""

    def __init__(self, config: Any, dataset: Any):
        super().__init__(config, dataset)
        if self.recency < 1:
            raise UserError(
                f"orders: the latest items count most (recency {self.recency:g}), so that one order is true"
            )

    def user_states(self, users: IntArray) -> Tensor:
        """As :class:`CLLM4Rec`."""
        self._orders = np.random.default_rng(0)
        states = [super(SeveralOrders, self).user_states(users) for _ in range(ORDERS)]
        return torch.stack(states).mean(dim=0)

    def prediction(self, user: int) -> Document:
        """As :class:`CLLM4Rec`, in an order drawn anew."""
        history = self._orders.permutation(self.histories[user])
        return Document(self.history_prompt.question(user, history[-self.history_room :]), NOTHING)


class MovedUser(CLLM4Rec):
    """User tokens learn by the state of the language model too."""

    def heard(self, own: Rows) -> Rows:
        """As they are."""
        return own


class UnheardUser(CLLM4Rec):
    """The language model reads nothing in place of the user token."""

    def heard(self, own: Rows) -> Rows:
        """Zeros for users."""
        return own._replace(users=torch.zeros_like(own.users))


class AveragingTrainer(StagedTrainer):
    """Validates and keeps the running mean of the weights."""

    def _step(self, current: Pass, batch: Any) -> float:
        loss = super()._step(current, batch)
        now = trained(self.model)
        if not hasattr(self, "mean"):
            self.mean = {name: weights.clone() for name, weights in now.items()}
        for name, weights in now.items():
            self.mean[name].lerp_(weights, 1 - DECAY)
        return loss

    def _validate(self, *of: Any) -> bool:
        kept = {name: weights.clone() for name, weights in trained(self.model).items()}
        set_trained(self.model, self.mean)
        stop = super()._validate(*of)
        set_trained(self.model, kept)
        return stop
