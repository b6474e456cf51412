"""A prior on the scores of all items: the closed form of :mod:`recbole_cllm4rec.model.closed_form` over a history."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from logging import getLogger

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor, nn
from tqdm import tqdm

from recbole_cllm4rec import processes
from recbole_cllm4rec.corpus.text import Histories, IntArray
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.model.closed_form import ClosedFormOptions, Matrix, text_ease_weights, text_kernel
from recbole_cllm4rec.model.likeliest import MOST_USERS, RECENCIES, Hidden, Likeliest, hide, likeliest
from recbole_cllm4rec.model.options import CLLM4RecOptions

FOLDS = 4
"""Groups of users; the questions of one are answered by weights that were solved without it."""

SHARES = (0.0, 0.2, 1.0)
"""Of the weights of texts, those that are tried, the one that most data want last."""

MOST_ITEMS = 25_000
"""A limit on memory: the tables [FOLDS + 1, J, J] of so many items take 12.5 GB."""


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
    What is scored of data split by time comes after the history, so that with ``recency: auto`` the strength and the
    recency ``in_scoring`` are those that best find the latest item. The weights w of training and of scoring are in
    their units. Texts may say nothing of who takes what: their kernel counts by the one of ``SHARES`` that best finds
    hidden items.
    """

    def __init__(
        self,
        histories: Histories,
        n_items: int,
        kernel: Matrix | float,
        options: ClosedFormOptions,
        weights: tuple[float, float],
        device: torch.device,
        show_progress: bool = False,
    ):
        """``histories`` of training, of J = ``n_items``; ``kernel`` [J, J] of their texts; ``weights`` w of training
        and of scoring.
        """
        X = histories.matrix(n_items)
        folds = np.arange(X.shape[0]) % FOLDS
        parts = [X[folds != fold] for fold in range(FOLDS)] + [X]
        self._weights = torch.empty(FOLDS + 1, n_items, n_items, device=device)
        self._training_weight, self._scoring_weight = weights
        self.inferred: dict[str, float] = {}  # what the training part told, for the result

        def solve(numbers: Iterable[int], share: float) -> None:
            part_of_kernel = kernel if share == 1 else kernel * share
            for number in numbers:  # a second copy of all might have no room
                self._weights[number].copy_(torch.from_numpy(text_ease_weights(parts[number], part_of_kernel, options)))

        share, solved = 1.0, 0
        if np.any(kernel):
            latest = options.recency == "auto"
            share, solved = self._likeliest_share(histories, solve, latest, show_progress)
            self.inferred |= {"text share": share}
        solve(tqdm(range(solved, FOLDS + 1), desc="solve the prior", unit="fold", disable=not show_progress), share)
        self.strength = self._likeliest(hide(histories, n_items, latest=False), (1.0,), show_progress).strength
        self.inferred |= {"strength": self.strength}
        if options.recency == "auto":
            self.in_scoring = self._likeliest(hide(histories, n_items, latest=True), RECENCIES, show_progress)
            self.inferred |= {"strength in scoring": self.in_scoring.strength, "recency": self.in_scoring.recency}
        else:
            self.in_scoring = Likeliest(self.strength, options.recency)

    def offsets(self, users: Tensor, rows: Tensor, items: Tensor) -> Tensor:
        """Offsets w γ x B [B, J] of B questions of ``users`` [B]; ``items[s]`` is shown in question ``rows[s]``, and
        ``rows`` [S] ascend.
        """
        return self._sums(users % FOLDS, rows, items) * (self._training_weight * self.strength)

    def scores(self, histories: list[IntArray]) -> Tensor:
        """Scores w γ x B [B, J] of B whole histories, by the weights of all users."""
        rows = np.repeat(np.arange(len(histories)), [len(items) for items in histories])
        known = Histories(rows, np.concatenate([*histories, np.empty(0, dtype=np.int64)]), len(histories))
        sums = self._of_histories(np.full(len(histories), FOLDS), known, self.in_scoring.recency)
        return sums * (self._scoring_weight * self.in_scoring.strength)

    def _likeliest_share(
        self, histories: Histories, solve: Callable[[Iterable[int], float], None], latest: bool, show_progress: bool
    ) -> tuple[float, int]:
        """The share of the texts' weights, and how many folds are solved by it already: as few as hide items enough."""
        folds = np.arange(len(histories.lengths)) % FOLDS
        known = np.bincount(folds[histories.lengths > 1], minlength=FOLDS).cumsum()
        n_folds = min(FOLDS, 1 + int(np.searchsorted(known, MOST_USERS)))
        hidden = hide(histories, self._weights.shape[1], latest, np.flatnonzero(folds < n_folds))
        nats: dict[float, float] = {}
        for share in tqdm(SHARES, desc="weigh the texts", unit="share", disable=not show_progress):
            solve(range(n_folds), share)
            nats[share] = self._likeliest(hidden, RECENCIES[::3] if latest else (1.0,), show_progress=False).nats
        nats = processes.from_main(lambda: nats)  # a last bit may decide
        best = min(reversed(SHARES), key=nats.__getitem__)
        return best, n_folds if best == SHARES[-1] else 0

    def _likeliest(self, hidden: Hidden, recencies: Sequence[float], show_progress: bool) -> Likeliest:
        scores = partial(self._of_histories, hidden.users % FOLDS, hidden.shown)
        return likeliest(hidden, scores, recencies, show_progress)

    def _of_histories(self, folds: IntArray, histories: Histories, recency: float) -> Tensor:
        """Sums x B [B, J] of B ``histories``, each by the weights of one of the ``folds`` [B]."""
        device = self._weights.device
        rows, items, counted = (torch.from_numpy(part).to(device) for part in histories.weighted(recency))
        return self._sums(torch.from_numpy(folds).to(device), rows, items, counted)

    def _sums(self, folds: Tensor, rows: Tensor, items: Tensor, counted: Tensor | None = None) -> Tensor:
        # The rows that are added are many times the sums, so that they are never held together.
        J = self._weights.shape[1]
        starts = torch.searchsorted(rows, torch.arange(len(folds), device=rows.device))
        table, at = self._weights.view(-1, J), folds[rows] * J + items
        return nn.functional.embedding_bag(at, table, starts, mode="sum", per_sample_weights=counted)


def build_prior(
    options: CLLM4RecOptions,
    histories: Histories,
    n_items: int,
    words: csr_matrix | None,
    sentences: Matrix | None,
    device: torch.device,
    show_progress: bool,
) -> HistoryPrior:
    """The prior of the ``histories`` of training, from the texts of J items as ``words`` [J, D], ``sentences`` [J, K].

    Raises :class:`UserError` as :func:`check_size`.
    """
    check_size(n_items - 1, options.sampled_above)
    kernel = text_kernel(options, words, sentences)
    weights = options.training_prior, options.scoring_prior
    prior = HistoryPrior(histories, n_items, kernel, options, weights, device, show_progress)
    strength, recency, _ = prior.in_scoring
    log = getLogger()
    if "text share" in prior.inferred:
        log.info("of the texts' weights in the prior a share of %g finds most", prior.inferred["text share"])
    log.info("the prior's likeliest strength is %.3g in training", prior.strength)
    log.info("the prior's strength is %.3g in scoring, with a recency of %g", strength, recency)
    return prior
