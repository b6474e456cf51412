"""Batches by length: of neighbouring lengths, none too large, none left out."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from recbole_cllm4rec.backbone.lengths import batches_by_length


def array(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def test_by_hand():
    batches = batches_by_length(array(3, 1, 2, 9, 2, 2), size=3, max_tokens=6)
    # In order of length 1 2 2 2 3 9: three documents fill a batch, 2 · 3 tokens fill one, 9 exceeds all.
    assert [batch.tolist() for batch in batches] == [[1, 2, 4], [5, 0], [3]]


def test_nothing_makes_no_batch():
    assert batches_by_length(array(), size=3, max_tokens=6) == []


@given(st.lists(st.integers(1, 12), min_size=1, max_size=60), st.integers(1, 8), st.integers(1, 40))
def test_every_document_once_within_the_limits(lengths, size, max_tokens):
    batches = batches_by_length(np.array(lengths), size, max_tokens)
    assert sorted(np.concatenate(batches)) == list(range(len(lengths)))
    for batch in batches:
        assert 1 <= len(batch) <= size
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= max_tokens
