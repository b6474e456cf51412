"""The five documents, token by token. ``<user_i>`` is 100 + i, ``<item_j>`` is 104 + j, words are below 100."""

from dataclasses import replace

import numpy as np
import pytest
import toy
from hypothesis import given
from hypothesis import strategies as st

from recbole_cllm4rec.corpus.documents import HistoryPrompt, Interactions, Recommendations, content_documents
from recbole_cllm4rec.corpus.text import Histories, Review
from recbole_cllm4rec.corpus.tokens import ExtendedVocabulary
from recbole_cllm4rec.errors import UserError

PROMPT = HistoryPrompt(toy.VOCABULARY, toy.words)
HAS = [0, 1, 2]  # has interacted with
WILL = [3, 4, 5, 6, 7]  # the user will interact with:


def lists(document) -> tuple[list[int], list[int]]:
    return document.prompt.tolist(), document.main.tolist()


def contents(longest: int = 64) -> list[tuple[list[int], list[int]]]:
    documents = content_documents(toy.CORPUS, toy.VOCABULARY, toy.words, longest)
    return [lists(documents.draw(i, toy.First())) for i in range(len(documents))]


def interactions(histories=toy.HISTORIES, room=9, shuffle=True) -> Interactions:
    return Interactions(histories, PROMPT, room, shuffle)


def recommendations(histories=toy.HISTORIES, room=9, mask_share=0.2, target="held-out", shuffle=True):
    return Recommendations(histories, PROMPT, room, mask_share, target, shuffle)


def one_user(items: list[int]) -> Histories:
    return Histories(np.ones(len(items), dtype=np.int64), np.array(items), n_users=2)


def numbers(tokens) -> list[int]:
    """The items among ``tokens``."""
    return [int(token) - 104 for token in tokens if token >= 104]


class TestContents:
    def test_biographies_contents_and_reviews_token_by_token(self):
        assert contents() == [
            ([8, 9, 10, 101, 11], [17, 18]),  # The biography of <user_1> is: so good
            ([8, 9, 10, 103, 11], [19, 17, 20]),
            ([8, 12, 10, 105, 11], [21, 22, 23]),  # The content of <item_1> is: red lip stick
            ([8, 12, 10, 106, 11], [24, 25, 26]),
            ([8, 12, 10, 108, 11], [27, 28, 29]),
            ([101, 13, 3, 14, 15, 106, 16], [30, 18]),  # <user_1> writes the review for <item_2> : very good
            ([102, 13, 3, 14, 15, 107, 16], [20, 30, 20]),
        ]

    def test_texts_that_are_empty_or_white_space_make_no_document(self):
        def characters(texts):
            return [np.array([ord(character) for character in text]) for text in texts]

        blank = [" ", "\t\n", "", "", "", ""]
        corpus = replace(toy.CORPUS, user_texts=blank[:4], item_texts=blank, reviews=[Review(1, 2, "  ")])
        assert len(content_documents(corpus, toy.VOCABULARY, characters, 999)) == 0

    def test_texts_without_a_word_make_no_document(self):
        def without_lip(texts):
            return [ids[ids != toy.WORDS.index("lip")] for ids in toy.words(texts)]

        corpus = replace(toy.CORPUS, user_texts=["", "lip", "", "red"], item_texts=[""] * 6, reviews=[])
        documents = content_documents(corpus, toy.VOCABULARY, without_lip, 64)
        assert len(documents) == 1
        assert lists(documents.draw(0, toy.First())) == ([8, 9, 10, 103, 11], [21])

    def test_long_texts_lose_their_end_and_never_their_prompt(self):
        assert contents(longest=8) == [
            ([8, 9, 10, 101, 11], [17, 18]),
            ([8, 9, 10, 103, 11], [19, 17, 20]),
            ([8, 12, 10, 105, 11], [21, 22, 23]),
            ([8, 12, 10, 106, 11], [24, 25, 26]),
            ([8, 12, 10, 108, 11], [27, 28, 29]),
            ([101, 13, 3, 14, 15, 106, 16], [30]),
            ([102, 13, 3, 14, 15, 107, 16], [20]),
        ]

    def test_a_prompt_without_room_for_a_word_is_the_users_error(self):
        with pytest.raises(
            UserError, match=r"may have 7 tokens, but a content prompt alone needs 7.*raise max_length"
        ) as e:
            contents(longest=7)
        assert "\n" not in str(e.value)


class TestInteractions:
    def test_token_by_token(self):
        documents = [lists(interactions().draw(i, toy.First())) for i in range(3)]
        assert documents == [
            ([101, *HAS], [105, 106, 107]),
            ([102, *HAS], [107, 108]),
            ([103, *HAS], [109]),
        ]

    def test_users_without_a_history_have_no_document(self):
        assert len(interactions()) == 3  # user 0 is padding

    def test_the_order_is_drawn_anew_at_every_visit(self):
        documents, rng = interactions(), np.random.default_rng(0)
        orders = {tuple(numbers(documents.draw(0, rng).main)) for _ in range(100)}
        assert orders == {(1, 2, 3), (1, 3, 2), (2, 1, 3), (2, 3, 1), (3, 1, 2), (3, 2, 1)}

    def test_without_shuffle_the_order_is_that_of_the_data(self):
        documents, rng = interactions(one_user([4, 1, 5, 2]), shuffle=False), np.random.default_rng(0)
        assert all(numbers(documents.draw(0, rng).main) == [4, 1, 5, 2] for _ in range(20))

    @pytest.mark.parametrize("shuffle", [True, False])
    def test_of_a_history_over_the_room_every_visit_reads_another_sample(self, shuffle):
        documents, rng = interactions(one_user([4, 1, 5, 2]), room=2, shuffle=shuffle), np.random.default_rng(0)
        drawn = [numbers(documents.draw(0, rng).main) for _ in range(200)]
        assert {tuple(sorted(items)) for items in drawn} == {(1, 2), (1, 4), (1, 5), (2, 4), (2, 5), (4, 5)}
        in_order = [[4, 1, 5, 2].index(a) < [4, 1, 5, 2].index(b) for a, b in drawn]
        assert all(in_order) != shuffle


class TestRecommendations:
    def test_token_by_token(self):
        documents = [lists(recommendations(mask_share=0.7).draw(i, toy.First())) for i in range(3)]
        assert documents == [
            ([101, *HAS, 107, *WILL], [105, 106]),  # 0.7 of three items is two
            ([102, *HAS, 108, *WILL], [107]),
            ([103, *HAS, *WILL], [109]),
        ]

    def test_all_training_items_may_be_the_target(self):
        document = recommendations(target="train").draw(0, toy.First())
        assert lists(document) == ([101, *HAS, 106, 107, *WILL], [105, 106, 107])

    def test_a_user_of_one_interaction_is_asked_for_it_from_the_user_token(self):
        document = recommendations(one_user([5]), mask_share=0.0).draw(0, np.random.default_rng(0))
        assert lists(document) == ([101, *HAS, *WILL], [109])

    def test_the_mask_and_the_order_are_drawn_anew(self):
        documents, rng = recommendations(), np.random.default_rng(0)
        drawn = {tuple(numbers(np.concatenate(documents.draw(0, rng)))) for _ in range(100)}
        assert len(drawn) == 6  # shown, shown, masked: all orders of three items

    def test_without_shuffle_the_mask_is_drawn_anew_and_the_order_is_not(self):
        documents, rng = recommendations(shuffle=False), np.random.default_rng(0)
        drawn = {tuple(numbers(documents.draw(0, rng).prompt)) for _ in range(100)}
        assert drawn == {(1, 2), (1, 3), (2, 3)}

    def test_a_share_of_two_numbers_is_drawn_between_them(self):
        documents = recommendations(one_user(list(range(10))), mask_share=[0.2, 0.5])
        rng = np.random.default_rng(0)
        assert {len(documents.draw(0, rng).main) for _ in range(100)} == {2, 3, 4}

    @given(
        items=st.lists(st.integers(1, 30), min_size=1, max_size=40),
        share=st.floats(0, 1),
        room=st.integers(1, 40),
        shuffle=st.booleans(),
        seed=st.integers(0, 99),
    )
    def test_what_is_masked_is_never_shown(self, items, share, room, shuffle, seed):
        documents = recommendations(one_user(items), room, share, shuffle=shuffle)
        document = documents.draw(0, np.random.default_rng(seed))
        shown, masked = numbers(document.prompt), numbers(document.main)
        assert not set(shown) & set(masked)
        assert max(1, int(share * len(items))) <= len(masked)
        assert len(shown) <= room
        assert len(document.prompt) == 1 + len(HAS) + len(shown) + len(WILL)
        if len(items) - len(masked) <= room:
            assert sorted(shown + masked) == sorted(items)
        if len(set(items)) == len(items):
            assert len(masked) == max(1, int(share * len(items)))


class TestHistoryPrompt:
    def test_prediction_shows_the_whole_history(self):
        assert PROMPT.question(1, toy.HISTORIES[1]).tolist() == [101, *HAS, 105, 106, 107, *WILL]

    def test_without_finetuning_the_history_is_continued(self):
        assert PROMPT.continuation(2, toy.HISTORIES[2]).tolist() == [102, *HAS, 107, 108]

    def test_the_room_is_what_the_user_token_and_the_words_leave(self):
        assert PROMPT.room(12) == 12 - (1 + 3 + 5)

    def test_a_prompt_without_room_for_an_item_is_the_users_error(self):
        assert PROMPT.room(10) == 1
        with pytest.raises(
            UserError, match=r"may have 9 tokens, but the prompt alone needs 9.*raise max_length"
        ) as error:
            PROMPT.room(9)
        assert "\n" not in str(error.value)

    def test_item_tokens_follow_user_tokens(self):
        prompt = HistoryPrompt(ExtendedVocabulary(50, 7, 9), toy.words)
        assert prompt.continuation(6, np.array([0, 8])).tolist() == [56, *HAS, 57, 65]
