"""Batches: what is in them, how large they are, and how little of them is padding."""

from collections.abc import Sequence

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from recbole_cllm4rec.backbone.base import Layout
from recbole_cllm4rec.corpus.batching import POOL, Batch, collate, draw_batches
from recbole_cllm4rec.corpus.documents import Document, Texts

LENGTHS = st.lists(st.integers(1, 12), min_size=1, max_size=60)
SIZES = st.integers(1, 8)


def array(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def drawn(lengths: Sequence[int], size: int, seed: int, visits: Sequence[int]) -> list[Batch]:
    """Batches of documents that are nothing but their own number, ``lengths[i]`` times over."""
    documents = Texts([Document(np.full(length, i), array()) for i, length in enumerate(lengths)])
    rng = np.random.default_rng(seed)
    return list(draw_batches(documents, np.array(visits), lay_out, 0, size, rng))


def lay_out(document: Document, rng: np.random.Generator) -> Layout:
    return Layout(document.prompt, array(0), array())


def padding(batches: Sequence[Batch]) -> float:
    """The share of padding."""
    tokens = sum(batch.ids.numel() if batch.mask is None else int(batch.mask.sum()) for batch in batches)
    return 1 - tokens / sum(batch.ids.numel() for batch in batches)


class TestCollate:
    """Words are below 10; 10 and above are users and items."""

    def test_language_modelling_pairs_reads_with_targets(self):
        documents = [Document(array(10, 1), array(2, 3)), Document(array(4, 11), array(12, 5, 13))]
        layouts = [
            Layout(array(10, 1, 2), array(1, 2), array(2, 3)),
            Layout(array(4, 11, 12, 5), array(1, 3), array(12, 13)),
        ]
        batch = collate(documents, layouts, n_words=10)
        assert batch.ids.tolist() == [[10, 1, 2, 0], [4, 11, 12, 5]]
        assert batch.mask.tolist() == [[True, True, True, False], [True, True, True, True]]
        assert batch.rows.tolist() == [0, 0, 1, 1]
        assert batch.columns.tolist() == [1, 2, 1, 3]
        assert batch.targets.tolist() == [2, 3, 12, 13]
        assert batch.reads.tolist() == [0, 1, 2, 3]
        assert batch.entities.tolist() == [10, 11, 12, 13]  # 13 too, though it is not fed in
        assert len(batch) == 2
        assert batch.whole == (2, 4)

    def test_recommendation_reads_once_for_all_targets(self):
        documents = [
            Document(array(10, 12, 1), array(13, 14)),
            Document(array(11, 13, 1), array(12)),
            Document(array(11, 1, 2), array(12, 13, 14)),
        ]
        layouts = [Layout(prompt, array(2), main) for prompt, main in documents]
        batch = collate(documents, layouts, n_words=10)
        assert batch.mask is None  # nothing is padding
        assert batch.rows.tolist() == [0, 1, 2]
        assert batch.columns.tolist() == [2, 2, 2]
        assert batch.targets.tolist() == [13, 14, 12, 12, 13, 14]
        assert batch.reads.tolist() == [0, 0, 1, 2, 2, 2]
        assert batch.entities.tolist() == [10, 12, 13, 14, 11, 13, 12, 11, 12, 13, 14]

    def test_prediction_has_no_targets(self):
        batch = collate([Document(array(10, 1), array())], [Layout(array(10, 1), array(1), array())], n_words=10)
        assert (batch.rows.tolist(), batch.columns.tolist()) == ([0], [1])
        assert (batch.targets.tolist(), batch.reads.tolist()) == ([], [])
        assert batch.targets.dtype == batch.reads.dtype == torch.int64

    def test_a_batch_moves_as_a_whole(self):
        document = Document(array(10), array())
        layouts = [Layout(array(10), array(0), array()), Layout(array(10, 1), array(1), array())]
        for batch in (collate([document], layouts[:1], 10), collate([document, document], layouts, 10)):
            moved = batch.to(torch.device("meta"))
            parts = [v for v in vars(moved).values() if isinstance(v, torch.Tensor)]
            assert len(parts) == 7 + (batch.mask is not None)
            assert all(part.device.type == "meta" for part in parts)
            assert moved.whole == batch.whole


class TestParts:
    DOCUMENTS = (
        Document(array(10, 12, 13, 1), array(14, 12)),
        Document(array(11, 1), array(12)),
        Document(array(11, 13, 1), array(12, 13, 14)),
    )

    def parts(self, max_tokens: int) -> list[Batch]:
        """Parts of questions of 4, 2 and 3 tokens."""
        layouts = [Layout(prompt, array(len(prompt) - 1), main) for prompt, main in self.DOCUMENTS]
        return list(collate(self.DOCUMENTS, layouts, n_words=10).parts(max_tokens))

    def test_by_hand(self):
        short, long = self.parts(6)
        assert short.ids.tolist() == [[11, 1, 0], [11, 13, 1]]
        assert short.mask.tolist() == [[True, True, False], [True, True, True]]
        assert (short.rows.tolist(), short.columns.tolist()) == ([0, 1], [1, 2])
        assert (short.targets.tolist(), short.reads.tolist()) == ([12, 12, 13, 14], [0, 1, 1, 1])
        assert long.ids.tolist() == [[10, 12, 13, 1]]
        assert long.mask is None
        assert (long.rows.tolist(), long.columns.tolist()) == ([0], [3])
        assert (long.targets.tolist(), long.reads.tolist()) == ([14, 12], [0, 0])
        assert [len(part.entities) for part in (short, long)] == [12, 0]
        assert short.whole == long.whole == (3, 6)

    def test_what_fits_is_one_part(self):
        (whole,) = self.parts(12)
        assert whole.ids.tolist() == [[10, 12, 13, 1], [11, 1, 0, 0], [11, 13, 1, 0]]

    def test_a_document_that_is_too_long_is_a_part(self):
        assert [part.ids.shape for part in self.parts(1)] == [(1, 2), (1, 3), (1, 4)]


class TestShares:
    @given(LENGTHS, st.integers(1, 7), st.integers(0, 9))
    def test_every_document_target_and_token_is_one_processs(self, lengths, world, seed):
        rng = np.random.default_rng(seed)
        documents = [Document(np.full(length, i), array(100 + i)) for i, length in enumerate(lengths)]
        mains = [rng.integers(10, 99, rng.integers(1, 4)) for _ in lengths]
        layouts = [Layout(d.prompt, array(len(d.prompt) - 1), main) for d, main in zip(documents, mains, strict=True)]
        batch = collate(documents, layouts, n_words=100)
        shares = [batch.share(rank, world) for rank in range(world)]
        own = [share for share, counts in shares if counts]
        assert [int(i) for share in own for i in share.ids[:, 0]] == list(range(len(lengths)))
        assert [t for share in own for t in share.targets.tolist()] == batch.targets.tolist()
        assert [e for share in own for e in share.entities.tolist()] == batch.entities.tolist()
        assert max(map(len, own)) - min(map(len, own)) <= 1
        for share, _ in shares:
            assert len(share) >= 1
            assert share.whole == batch.whole
            assert sorted([*share.targets.tolist(), *share.elsewhere.tolist()]) == sorted(batch.targets.tolist())
            for row, read, target in zip(share.rows[share.reads], share.reads, share.targets, strict=True):
                document = int(share.ids[row, 0])
                assert target in mains[document]
                assert share.columns[read] == lengths[document] - 1

    def test_alone_it_is_the_batch(self):
        batch = collate([Document(array(10), array())], [Layout(array(10), array(0), array())], 10)
        assert batch.share(0, 1) == (batch, True)

    def test_a_process_too_many_gets_what_another_counts(self):
        batch = collate([Document(array(10), array(11))], [Layout(array(10), array(0), array(11))], 10)
        (one, counts), (other, counts_too) = (batch.share(rank, 2) for rank in range(2))
        assert (counts, counts_too) == (True, False)
        assert one.ids.tolist() == other.ids.tolist() == [[10]]


class TestDrawBatches:
    @given(LENGTHS, SIZES, st.integers(0, 9))
    def test_every_visit_once_in_batches_of_the_size(self, lengths, size, seed):
        visits = np.random.default_rng(seed).permutation(len(lengths))[: max(1, len(lengths) // 2)]
        batches = drawn(lengths, size, seed, visits)
        assert sorted(int(i) for batch in batches for i in batch.ids[:, 0]) == sorted(visits)
        for pool in range(0, len(batches), POOL):
            sizes = sorted(map(len, batches[pool : pool + POOL]), reverse=True)
            assert sizes[:-1] == [size] * (len(sizes) - 1)  # however long they are
        for batch in batches:
            for row, tokens in enumerate(batch.ids.tolist()):
                length = lengths[tokens[0]]
                assert tokens == [tokens[0]] * length + [0] * (len(tokens) - length)
                assert batch.mask is None or batch.mask[row].tolist() == [t < length for t in range(len(tokens))]

    def test_a_skewed_distribution_has_hardly_any_padding(self):
        # A prompt of nine tokens and a history of five items or more, as 5-core data have it.
        lengths = 13 + np.random.default_rng(0).geometric(0.1, size=3 * POOL * 64)
        visits = np.random.default_rng(1).permutation(len(lengths))
        in_order = lengths[visits].reshape(-1, 64)
        assert 1 - lengths.sum() / (64 * in_order.max(axis=1).sum()) > 0.6  # what sorting spares
        assert padding(drawn(lengths, 64, 0, visits)) < 0.05

    def test_batches_come_in_random_order(self):
        lengths = np.repeat(np.arange(1, 21), 2)
        widths = [batch.ids.shape[1] for batch in drawn(lengths, 2, 0, range(40))]
        assert sorted(widths) == list(range(1, 21))
        assert widths != sorted(widths)

    def test_pools_follow_the_order_of_the_visits(self):
        visits = list(range(2 * POOL))
        batches = drawn([1] * (2 * POOL), 1, 0, visits)
        numbers = [int(batch.ids[0, 0]) for batch in batches]
        assert sorted(numbers[:POOL]) == visits[:POOL]
        assert numbers[:POOL] != visits[:POOL]
