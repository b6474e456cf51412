"""Histories and the extended vocabulary."""

import numpy as np
import toy
from hypothesis import given
from hypothesis import strategies as st

from recbole_cllm4rec.corpus.text import Histories
from recbole_cllm4rec.corpus.tokens import ExtendedVocabulary


def test_histories_keep_the_order_of_a_users_items():
    histories = Histories(np.array([2, 1, 2, 2]), np.array([9, 7, 5, 8]), n_users=4)
    assert [histories[user].tolist() for user in range(4)] == [[], [7], [9, 5, 8], []]
    assert histories.lengths.tolist() == [0, 1, 3, 0]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9))))
def test_histories_hold_every_pair_once(pairs):
    users, items = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    histories = Histories(users, items, n_users=5)
    for user in range(5):
        assert histories[user].tolist() == [item for owner, item in pairs if owner == user]


def test_token_ids_are_words_then_users_then_items():
    vocabulary = ExtendedVocabulary(n_words=10, n_users=3, n_items=2)
    users, items = [vocabulary.user(u) for u in range(3)], [vocabulary.item(i) for i in range(2)]
    assert [*users, *items] == [10, 11, 12, 13, 14]
    assert vocabulary.items(np.array([[1], [0]])).tolist() == [[14], [13]]


def test_the_toy_corpus_reads_as_its_comments_say():
    assert [toy.HISTORIES[user].tolist() for user in range(4)] == [[], [1, 2, 3], [3, 4], [5]]
    assert (toy.VOCABULARY.user(1), toy.VOCABULARY.item(1)) == (101, 105)
