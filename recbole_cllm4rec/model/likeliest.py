"""What a closed form is likeliest to be worth: items hidden from histories tell its strength and its recency."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor
from tqdm import tqdm

from recbole_cllm4rec.corpus.text import Histories, IntArray

MOST_USERS = 2000
"""Users from each of whom an item is hidden."""

STRONGEST = 1e4
"""Bound of the search for the strength."""

RECENCIES = tuple(tenths / 10 for tenths in range(10, 0, -1))
"""Those that are tried: between two of them the likelihood hardly differs."""


class Hidden(NamedTuple):
    """U users [U], an item [U] hidden from each, and what they are left with: row u is that of ``users[u]``."""

    users: IntArray
    items: IntArray
    shown: Histories


class Likeliest(NamedTuple):
    """The strength γ and the recency of the greatest likelihood, and the nats that finding a hidden item costs then."""

    strength: float
    recency: float
    nats: float = 0.0


def hide(histories: Histories, n_items: int, latest: bool, users: IntArray | None = None) -> Hidden:
    """Hide an item of J = ``n_items``, the ``latest`` or any, from users of at least two, of ``users`` if given.

    Which users are chosen goes by their places in ``users``, else by their ids. A repeated item is hidden wherever it
    stands. Where any may be hidden, what is shown is in the order of the ids.
    """
    rng = np.random.default_rng(0)
    distinct = histories.matrix(n_items)
    known = np.flatnonzero(np.diff(distinct.indptr) > 1)
    chosen = rng.permutation(known if users is None else users[np.isin(users, known)])[:MOST_USERS]
    whole = [histories[user] if latest else distinct[user].indices.astype(np.int64) for user in chosen]
    items = np.array([items[-1] if latest else rng.choice(items) for items in whole], dtype=np.int64)
    shown = [kept[kept != hidden] for kept, hidden in zip(whole, items, strict=True)]
    rows = np.repeat(np.arange(len(chosen)), [len(kept) for kept in shown])
    return Hidden(chosen, items, Histories(rows, np.concatenate([*shown, items[:0]]), len(chosen)))


def likeliest(
    hidden: Hidden, scores: Callable[[float], Tensor], recencies: Sequence[float], show_progress: bool
) -> Likeliest:
    """Of softmax(γ s) finding the hidden items, with s [U, J] what ``scores`` gives of what is shown by a recency.

    Without anything hidden, 1 and the first of ``recencies``.
    """
    if not len(hidden.users):
        return Likeliest(1.0, recencies[0])
    at = torch.from_numpy(hidden.items)[:, None]
    tried: list[Likeliest] = []
    bar = tqdm(recencies, desc="try recencies", unit="recency", disable=not show_progress or len(recencies) == 1)
    for recency in bar:
        s = scores(recency)

        def loss(log_strength: float, s: Tensor = s) -> float:
            return -torch.log_softmax(s * np.exp(log_strength), dim=1).gather(1, at.to(s.device)).sum().item()

        best = minimize_scalar(loss, bounds=(0, np.log(STRONGEST)), method="bounded")
        tried.append(Likeliest(float(np.exp(best.x)), recency, best.fun / len(at)))
    return min(tried, key=lambda one: one.nats)
