"""What is hidden from whom, and what finds it best."""

import numpy as np
import pytest
import torch

from recbole_cllm4rec.corpus.text import Histories
from recbole_cllm4rec.model.likeliest import MOST_USERS, RECENCIES, Likeliest, hide, likeliest

# User 1 has items 3, 1, 2 in this order, user 2 has 4 twice, user 3 has 2 and then 1, user 4 has nothing.
HISTORIES = Histories(np.array([1, 1, 1, 2, 2, 3, 3]), np.array([3, 1, 2, 4, 4, 2, 1]), 5)


def left(histories: Histories) -> list[list[int]]:
    return [histories[row].tolist() for row in range(len(histories.lengths))]


def test_the_latest_item_is_hidden_and_the_rest_keeps_its_order():
    hidden = hide(HISTORIES, 5, latest=True)
    assert sorted(hidden.users) == [1, 3]  # nothing would be left of user 2
    of_user = dict(zip(hidden.users, zip(hidden.items, left(hidden.shown), strict=True), strict=True))
    assert of_user == {1: (2, [3, 1]), 3: (1, [2])}


def test_any_item_is_hidden_and_the_rest_is_in_the_order_of_ids():
    hidden = hide(HISTORIES, 5, latest=False)
    for user, item, rest in zip(hidden.users, hidden.items, left(hidden.shown), strict=True):
        assert sorted([*rest, item]) == sorted(HISTORIES[user])
        assert rest == sorted(rest)


def test_a_repeated_item_is_hidden_wherever_it_stands():
    hidden = hide(Histories(np.array([0, 0, 0]), np.array([2, 1, 2]), 1), 3, latest=True)
    assert (hidden.items.tolist(), left(hidden.shown)) == ([2], [[1]])


def test_only_the_users_that_are_asked_and_no_more_than_enough():
    assert hide(HISTORIES, 5, latest=True, users=np.array([2, 3, 4])).users.tolist() == [3]
    many = np.repeat(np.arange(MOST_USERS + 9), 2)
    hidden = hide(Histories(many, np.tile([1, 2], MOST_USERS + 9), MOST_USERS + 9), 3, latest=True)
    assert len(set(hidden.users)) == MOST_USERS


def test_nothing_hidden_tells_nothing():
    nobody = hide(HISTORIES, 5, latest=True, users=np.array([4]))
    assert likeliest(nobody, lambda recency: pytest.fail("nothing to score"), RECENCIES, False) == Likeliest(1.0, 1.0)


def test_the_strength_by_hand():
    # The hidden one of two items scores 0.1 more for 6 of 8 users and 0.1 less for 2: 3 / 4 = 1 / (1 + exp(-γ / 10)).
    histories = Histories(np.repeat(np.arange(8), 2), np.tile([0, 1], 8), 8)
    hidden = hide(histories, 2, latest=True)
    right = torch.tensor([[0.0, 0.1]]).repeat(8, 1)
    right[:2] = torch.tensor([0.1, 0.0])
    found = likeliest(hidden, lambda recency: right, (1.0,), False)
    assert found.strength == pytest.approx(10 * np.log(3), rel=1e-3)


def test_the_recency_is_the_one_that_finds_most():
    histories = Histories(np.repeat(np.arange(8), 2), np.tile([0, 1], 8), 8)
    hidden = hide(histories, 2, latest=True)

    def scores(recency: float) -> torch.Tensor:
        wrong = round(abs(recency - 0.4) * 10)  # none at 0.4
        table = torch.tensor([[0.0, 1.0]]).repeat(8, 1)
        table[:wrong] = torch.tensor([1.0, 0.0])
        return table

    assert likeliest(hidden, scores, RECENCIES, False).recency == 0.4
