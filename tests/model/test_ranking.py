"""The k best items: against a plain sort of all scores, over ties, exclusions, blocks and precisions."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recbole_cllm4rec.model import ranking
from recbole_cllm4rec.model.ranking import Ranking, _decoded, _keys, _largest, best_of

DTYPES = [torch.float32, torch.bfloat16]


def plain(states: torch.Tensor, table: torch.Tensor, k: int, excluded) -> tuple[list, list]:
    """Ids and scores, best first, of equal ones the lower id."""
    ids, values = [], []
    for row, scores in enumerate((states.double() @ table.double().T).float().numpy()):
        left = sorted(set(range(1, len(table))) - set(excluded[row].tolist()))
        order = sorted(left, key=lambda i: (-scores[i], i))[:k]
        ids.append(order + [0] * (k - len(order)))
        values.append([scores[i] for i in order] + [-np.inf] * (k - len(order)))
    return ids, values


def whole_numbers(seed: int, users: int, items: int, spread: int) -> tuple[torch.Tensor, torch.Tensor]:
    """States and rows of small whole numbers: their scores are exact in every precision, and many tie."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randint(-spread, spread + 1, (n, 3), generator=generator).float() for n in (users, items))


@pytest.fixture
def narrow(monkeypatch):
    """Blocks so small that tiny tables have many, and a scan wherever there are groups."""
    for name, size in [("GROUP", 2), ("BLOCK", 6), ("USERS", 2), ("FEW", 1)]:
        monkeypatch.setattr(ranking, name, size)


@pytest.mark.parametrize("dtype", DTYPES)
class TestBest:
    @given(
        seed=st.integers(0, 999),
        users=st.integers(0, 5),
        items=st.integers(1, 90),
        spread=st.sampled_from([0, 1, 5]),
        k=st.integers(1, 6),
    )
    def test_as_a_plain_sort_has_it(self, dtype, seed, users, items, spread, k):
        states, table = whole_numbers(seed, users, items, spread)
        rng = np.random.default_rng(seed)
        excluded = [rng.choice(items, rng.integers(items)) for _ in range(users)]
        with pytest.MonkeyPatch.context() as patch:
            for name, size in [("GROUP", 2), ("BLOCK", 6), ("USERS", 2), ("FEW", 1)]:
                patch.setattr(ranking, name, size)
            found, scores = Ranking(table, dtype).best(states, k, excluded)
        expected = plain(states, table, k, excluded)
        assert (found.tolist(), scores.tolist()) == expected

    def test_at_its_own_sizes(self, dtype):
        generator = torch.Generator().manual_seed(0)
        table, states = (torch.randn(n, 16, generator=generator) for n in (20_011, 3))
        excluded = [np.array([5, 20_010]), np.array([], dtype=int), np.arange(10_000)]
        items, scores = Ranking(table, dtype).best(states, 10, excluded)
        ids, values = plain(states, table, 10, excluded)
        assert items.tolist() == ids
        np.testing.assert_allclose(scores, values, rtol=1e-5)

    def test_what_the_scan_cannot_tell_apart_is_ranked_in_float32(self, dtype, narrow):
        # In bfloat16 all are 1; the best stand where no order of groups would find them.
        table = torch.ones(400, 1)
        table[[99, 301], 0] += torch.tensor([1e-3, 2e-3])
        items, scores = Ranking(table, dtype).best(torch.ones(3, 1), 2)
        assert items.tolist() == [[301, 99]] * 3
        assert scores.tolist() == [table[[301, 99], 0].tolist()] * 3

    def test_a_scan_holds_no_matrix_of_users_and_items(self, dtype, monkeypatch):
        sizes = []
        keys = ranking._keys
        monkeypatch.setattr(ranking, "_keys", lambda scores, items: sizes.append(scores.numel()) or keys(scores, items))
        table = torch.randn(ranking.BLOCK * 3, 4, generator=torch.Generator().manual_seed(1))
        Ranking(table, dtype).best(table[: 2 * ranking.USERS], 2)
        assert max(sizes) <= ranking.USERS * ranking.BLOCK


def test_without_exclusions_all_but_the_padding_item_are_ranked():
    items, scores = Ranking(torch.tensor([[9.0], [1.0], [3.0]]), torch.float32).best(torch.ones(1, 1), 3)
    assert items.tolist() == [[2, 1, 0]]
    assert scores.tolist() == [[3, 1, -np.inf]]


def test_only_users_in_doubt_are_ranked_twice(narrow, monkeypatch):
    table = torch.arange(400.0)[:, None] / 400
    table[:200] = 1.0
    table[:200, 0] += torch.linspace(0, 1e-3, 200)
    twice = []
    full = Ranking._best_of_all
    monkeypatch.setattr(
        Ranking, "_best_of_all", lambda self, h, *rest: twice.append(h[:, 0].tolist()) or full(self, h, *rest)
    )
    Ranking(table, torch.bfloat16).best(torch.tensor([[1.0], [-1.0], [-1.0], [1.0]]), 2)
    assert twice == [[1.0], [1.0]]  # the lowest are far apart, the highest are not


SCORES = st.floats(width=32, allow_nan=False, allow_subnormal=False)


@given(st.lists(st.tuples(SCORES, st.integers(0, 2**31 - 1)), min_size=1, max_size=20))
def test_keys_are_ordered_as_scores_and_falling_ids(pairs):
    keys = _keys(torch.tensor([s for s, _ in pairs]), torch.tensor([i for _, i in pairs]))
    items, scores = _decoded(keys)
    assert [(s, i) for s, i in zip(scores.tolist(), items.tolist(), strict=True)] == pairs
    by_key = [pairs[p] for p in keys.argsort(descending=True)]
    assert [(s, -i) for s, i in by_key] == sorted(((s, -i) for s, i in pairs), reverse=True)


@given(st.integers(0, 999), st.integers(1, 4), st.integers(1, 200), st.integers(1, 5))
def test_the_largest_of_rows(seed, rows, columns, n):
    values = torch.randint(0, 50, (rows, columns), generator=torch.Generator().manual_seed(seed)).float()
    n = min(n, columns)
    largest, at = _largest(values, n)
    assert torch.equal(values.gather(1, at), largest)
    assert torch.equal(largest.sort(dim=1, descending=True).values, values.topk(n).values)
    assert all(len(set(row)) == n for row in at.tolist())


def test_scores_that_are_there_rank_as_products_do():
    table, states = torch.randn(9, 4, generator=torch.manual_seed(1)), torch.randn(3, 4)
    known = [np.array([2, 5]), np.array([], dtype=np.int64), np.arange(1, 8)]
    expected = Ranking(table, torch.float32).best(states, 4, known)
    items, scores = best_of(states @ table.T, 4, known)
    assert torch.equal(items, expected[0])
    torch.testing.assert_close(scores, expected[1])
    assert items[2].tolist() == [8, 0, 0, 0]
    assert best_of(torch.zeros(1, 4), 2)[0].tolist() == [[1, 2]]  # ties go to the lower id, the padding item to nobody
    items, scores = best_of(torch.zeros(1, 4), 6)
    assert items.tolist() == [[1, 2, 3, 0, 0, 0]]
    assert scores.tolist() == [[0, 0, 0, -torch.inf, -torch.inf, -torch.inf]]
