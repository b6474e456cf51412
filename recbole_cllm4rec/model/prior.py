"""A prior on the scores of all items: the closed form of :mod:`recbole_cllm4rec.model.closed_form` over a history."""

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from scipy.sparse import csr_matrix
from torch import Tensor
from tqdm import tqdm

from recbole_cllm4rec.corpus.text import IntArray, recency_weights
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.model.closed_form import ClosedFormOptions, Matrix, text_ease_weights

FOLDS = 4
"""Groups of users; the questions of one are answered by weights that were solved without it."""

FIT_USERS = 2000
"""Users whose hidden items tell the strength of the prior."""

MOST_ITEMS = 25_000
"""A limit on memory: the tables [FOLDS + 1, J, J] of so many items take 12.5 GB."""

STRONGEST = 1e4
"""Bound of the search for the strength."""


def check_size(n_items: int, sampled_above: int) -> None:
    """Raises :class:`UserError` where a prior of so many items has no room, or training scores a sample of them."""
    if n_items > MOST_ITEMS:
        raise UserError(
            f"training_prior and scoring_prior need tables of all pairs of items, too large for {n_items} (at most "
            f"{MOST_ITEMS}): set both to 0"
        )
    if n_items > sampled_above:
        raise UserError(
            f"training_prior and scoring_prior score all items, sampled_above ({sampled_above}) a sample: set both to 0"
        )


class HistoryPrior:
    """w γ x B: what the items x of a history say of all items by the item weights B of an EASE with text.

    Weights solved from all of X have seen the very items that a question of training hides, and would be believed too
    much. So training reads weights of other users alone (cross-fitting), and prediction those of all. ``strength`` γ is
    the one by which softmax(γ x B) best finds an item hidden from each of some users: the maximum of its likelihood.
    The weights w of training and of scoring are in its units.
    """

    def __init__(
        self,
        interactions: csr_matrix,
        kernel: Matrix | float,
        options: ClosedFormOptions,
        in_training: float,
        in_scoring: float,
        device: torch.device,
        show_progress: bool = False,
    ):
        """``interactions``: X [I, J] of the training part; ``kernel`` [J, J] of the items' texts."""
        users = np.arange(interactions.shape[0])
        parts = [interactions[users % FOLDS != fold] for fold in range(FOLDS)]
        n_items = interactions.shape[1]
        self._weights = torch.empty(FOLDS + 1, n_items, n_items, device=device)
        bar = tqdm([*parts, interactions], desc="solve the prior", unit="fold", disable=not show_progress)
        for solved, part in zip(self._weights, bar, strict=True):  # a second copy of all might have no room
            solved.copy_(torch.from_numpy(text_ease_weights(part, kernel, options)))
        self._in_training, self._in_scoring, self._recency = in_training, in_scoring, options.recency
        self.strength = self._fit(interactions)

    def offsets(self, users: Tensor, rows: Tensor, items: Tensor) -> Tensor:
        """Offsets w γ x B [B, J] of B questions of ``users`` [B]; ``items[s]`` is shown in question ``rows[s]``."""
        return self._sum(users % FOLDS, rows, items) * (self._in_training * self.strength)

    def scores(self, histories: list[IntArray]) -> Tensor:
        """Scores w γ x B [B, J] of B whole histories, by the weights of all users."""
        device = self._weights.device
        rows = torch.from_numpy(np.repeat(np.arange(len(histories)), [len(items) for items in histories]))
        items = torch.from_numpy(np.concatenate([*histories, np.empty(0, dtype=np.int64)]))
        of_all = torch.full((len(histories),), FOLDS, device=device)
        counts = np.array([len(items) for items in histories], dtype=np.int64)
        weights = torch.from_numpy(recency_weights(counts, self._recency)).to(device)
        sums = self._sum(of_all, rows.to(device), items.to(device), weights if self._recency < 1 else None)
        return sums * (self._in_scoring * self.strength)

    def _sum(self, folds: Tensor, rows: Tensor, items: Tensor, weights: Tensor | None = None) -> Tensor:
        sums = self._weights.new_zeros(len(folds), self._weights.shape[1])
        found = self._weights[folds[rows], items]
        return sums.index_add_(0, rows, found if weights is None else found * weights[:, None])

    def _fit(self, interactions: csr_matrix) -> float:
        rng = np.random.default_rng(0)
        known = np.flatnonzero(np.diff(interactions.indptr) > 1)
        users = rng.permutation(known)[:FIT_USERS]
        if not len(users):
            return 1.0
        hidden = np.array([rng.choice(interactions[user].indices) for user in users])
        shown = [items[items != j] for items, j in zip((interactions[u].indices for u in users), hidden, strict=True)]
        rows = torch.from_numpy(np.repeat(np.arange(len(users)), [len(items) for items in shown]))
        items = torch.from_numpy(np.concatenate(shown).astype(np.int64))
        device = self._weights.device
        sums = self._sum(torch.from_numpy(users % FOLDS).to(device), rows.to(device), items.to(device))
        at = torch.from_numpy(hidden.astype(np.int64)).to(device)[:, None]

        def loss(log_strength: float) -> float:
            return -torch.log_softmax(sums * np.exp(log_strength), dim=1).gather(1, at).sum().item()

        return float(np.exp(minimize_scalar(loss, bounds=(0, np.log(STRONGEST)), method="bounded").x))
