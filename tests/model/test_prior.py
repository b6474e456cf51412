"""The prior: whose weights answer a question, and how strongly they are believed."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from recbole_cllm4rec.corpus.text import Histories
from recbole_cllm4rec.model.closed_form import ClosedFormOptions, text_ease_weights
from recbole_cllm4rec.model.likeliest import RECENCIES
from recbole_cllm4rec.model.prior import FOLDS, HistoryPrior

CPU = torch.device("cpu")
N_ITEMS = 6
OPTIONS = ClosedFormOptions(reg_weight=5.0, tfidf_weight=0.0, sentence_weight=0.0, amplification=1.3, recency=1.0)


def prior_of(X: csr_matrix, kernel: np.ndarray, *weights: float, recency: float | str = 1.0) -> HistoryPrior:
    """The prior of histories in the order of the ids; of weights 1 if none are given."""
    users, items = X.nonzero()
    histories = Histories(users, items.astype(np.int64), X.shape[0])
    return HistoryPrior(histories, N_ITEMS, kernel, replace(OPTIONS, recency=recency), weights or (1.0, 1.0), CPU)


def interactions(n_users: int = 40, seed: int = 0) -> csr_matrix:
    """Users of two tastes, items 1 to 3 and 4 to 5, who now and then take from the other."""
    rng = np.random.default_rng(seed)
    tastes = np.array([[0, 0.9, 0.9, 0.8, 0.1, 0.1], [0, 0.1, 0.1, 0.1, 0.9, 0.9]])
    return csr_matrix((rng.random((n_users, N_ITEMS)) < tastes[np.arange(n_users) // 4 % 2]).astype(np.float32))


@pytest.fixture
def kernel() -> np.ndarray:
    features = np.random.default_rng(1).random((N_ITEMS, 3)).astype(np.float32)
    return features @ features.T


def tensor(*values: int) -> torch.Tensor:
    return torch.tensor(values)


def test_a_question_is_answered_by_weights_that_have_not_seen_its_user(kernel):
    X = interactions()
    prior = prior_of(X, kernel)
    for user in (3, 4):
        others = np.arange(len(X.toarray())) % FOLDS != user % FOLDS
        B = text_ease_weights(X[others], kernel, OPTIONS)
        offsets = prior.offsets(tensor(user), tensor(0, 0), tensor(1, 4))
        np.testing.assert_allclose(offsets[0], prior.strength * (B[1] + B[4]), rtol=1e-5)
    changed = X.tolil()
    changed[3] = 0
    again = prior_of(changed.tocsr(), kernel)
    again.strength = prior.strength
    same = [p.offsets(tensor(3), tensor(0), tensor(2)) for p in (prior, again)]
    other = [p.offsets(tensor(4), tensor(0), tensor(2)) for p in (prior, again)]
    torch.testing.assert_close(*same)
    assert not torch.allclose(*other)


def test_texts_count_as_far_as_they_find_hidden_items():
    X, tastes, others = interactions(), np.array([0, 1, 1, 1, 2, 2]), np.array([0, 1, 2, 1, 2, 1])
    told, misled = (prior_of(X, 20.0 * np.float32(of[:, None] == of)) for of in (tastes, others))
    without = prior_of(X, 0.0)
    assert (told.inferred["text share"], misled.inferred["text share"]) == (1, 0)
    assert "text share" not in without.inferred
    for ask in (lambda p: p.scores([np.array([1, 5])]), lambda p: p.offsets(tensor(2), tensor(0), tensor(1))):
        torch.testing.assert_close(ask(misled), ask(without))
        assert not torch.allclose(ask(told), ask(without))


def test_a_history_is_scored_by_the_weights_of_all(kernel):
    X = interactions()
    prior = prior_of(X, kernel)
    B = text_ease_weights(X, kernel, OPTIONS)
    scores = prior.scores([np.array([1, 5]), np.array([], dtype=np.int64), np.array([2])])
    expected = prior.strength * np.stack([B[1] + B[5], np.zeros(N_ITEMS), B[2]])
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-6)


def test_the_latest_items_may_count_most(kernel):
    X = interactions()
    prior = prior_of(X, kernel, recency=0.5)
    B = text_ease_weights(X, kernel, OPTIONS)
    scores = prior.scores([np.array([1, 5, 3]), np.array([2])])
    expected = prior.strength * np.stack([B[1] / 4 + B[5] / 2 + B[3], B[2]])
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-6)


def test_of_data_in_order_the_latest_items_tell_strength_and_recency_in_scoring(kernel):
    X = interactions(400)
    prior, plain = prior_of(X, kernel, recency="auto"), prior_of(X, kernel)
    assert prior.strength == plain.strength == plain.in_scoring.strength
    assert plain.in_scoring.recency == 1

    def loss(strength: float, recency: float) -> float:
        """Of the last item of every user, found by the weights of others."""
        total = 0.0
        for user in np.flatnonzero(np.diff(X.indptr) > 1):
            *shown, latest = map(int, X[user].indices)
            counted = recency ** np.arange(len(shown))[::-1]
            of_each = prior.offsets(tensor(*[user] * len(shown)), torch.arange(len(shown)), tensor(*shown))
            sums = torch.from_numpy(counted[:, None] * of_each.numpy() / prior.strength).sum(0)
            total -= torch.log_softmax(strength * sums, dim=0)[latest].item()
        return total

    strength, recency, _ = prior.in_scoring
    least = loss(strength, recency)
    assert least < min(loss(0.7 * strength, recency), loss(1.4 * strength, recency))
    assert recency in RECENCIES
    assert all(least <= loss(strength, other) + 1e-3 for other in RECENCIES)


def test_the_strength_is_that_of_the_greatest_likelihood(kernel):
    X = interactions(400)
    prior = prior_of(X, kernel)

    def loss(factor: float) -> float:
        """Of every item of every user, hidden in turn."""
        total = 0.0
        for user in range(400):
            for hidden in X[user].indices:
                shown = tensor(*[j for j in X[user].indices if j != hidden]).long()
                offsets = prior.offsets(tensor(user), torch.zeros_like(shown), shown)
                total -= torch.log_softmax(factor * offsets[0], dim=0)[hidden].item()
        return total

    assert loss(1) < min(loss(0.6), loss(1.6))


def test_users_of_a_single_item_tell_no_strength(kernel):
    assert prior_of(csr_matrix(np.eye(N_ITEMS, dtype=np.float32)), kernel).strength == 1


def test_it_counts_in_training_and_in_scoring_as_much_as_asked(kernel):
    X = interactions()
    plain, weighted = prior_of(X, kernel), prior_of(X, kernel, 0.5, 3.0)
    question = tensor(3), tensor(0, 0), tensor(1, 4)
    torch.testing.assert_close(weighted.offsets(*question), 0.5 * plain.offsets(*question))
    history = [np.array([1, 5])]
    torch.testing.assert_close(weighted.scores(history), 3.0 * plain.scores(history))
    assert weighted.strength == plain.strength
