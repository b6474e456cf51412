"""Interactions and texts of a training split, indexed by internal ids: all that documents are made from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

IntArray = npt.NDArray[np.int64]


class Review(NamedTuple):
    """The text that a user wrote on an item (x_uv)."""

    user: int
    item: int
    text: str


class Histories:
    """The training items of every user in one array, so that a million users cost two arrays and no lists."""

    def __init__(self, users: IntArray, items: IntArray, n_users: int):
        """``users``, ``items``: the training pairs [P]; the order of a user's items is kept."""
        self.lengths: IntArray = np.bincount(users, minlength=n_users)
        self._items = items[np.argsort(users, kind="stable")]
        self._ends = np.cumsum(self.lengths)

    def __getitem__(self, user: int) -> IntArray:
        end = self._ends[user]
        return self._items[end - self.lengths[user] : end]

    def matrix(self, n_items: int, recency: float = 1.0) -> csr_matrix:
        """X [I, J] in float32: how often a user has an item, counted by :func:`recency_weights`."""
        starts = np.concatenate([[0], self._ends])
        weights = recency_weights(self.lengths, recency)
        matrix = csr_matrix((weights, self._items, starts), shape=(len(self.lengths), n_items))
        matrix.sum_duplicates()
        return matrix

    def weighted(self, recency: float) -> tuple[IntArray, IntArray, npt.NDArray[np.float32]]:
        """Users, items and :func:`recency_weights` [P] of all pairs, user by user."""
        users = np.repeat(np.arange(len(self.lengths)), self.lengths)
        return users, self._items, recency_weights(self.lengths, recency)


def recency_weights(lengths: IntArray, recency: float) -> npt.NDArray[np.float32]:
    """Weights [P] of the items of histories, one history after the other: ``recency``ᵏ where k later items follow."""
    later = np.repeat(np.cumsum(lengths), lengths) - 1 - np.arange(lengths.sum())
    weights: npt.NDArray[np.float32] = np.power(recency, later).astype(np.float32)
    return weights


@dataclass(frozen=True)
class Corpus:
    """Internal ids are RecBole's: 0 is padding, users run to ``n_users - 1`` and items to ``n_items - 1``.

    ``user_texts`` [n_users] and ``item_texts`` [n_items] are empty strings where there is no text; ``reviews`` holds
    texts of training pairs only.
    """

    n_users: int
    n_items: int
    histories: Histories
    user_texts: Sequence[str]
    item_texts: Sequence[str]
    reviews: Sequence[Review]

    def described(self) -> npt.NDArray[np.bool_]:
        """Whether a text speaks of a user or an item [n_users + n_items], users first."""
        found = np.array([bool(text.strip()) for text in (*self.user_texts, *self.item_texts)], dtype=bool)
        for review in self.reviews:
            found[[review.user, self.n_users + review.item]] = True
        return found
