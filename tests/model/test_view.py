"""The tables of a view: which rows a lookup reads, and which its gradient holds."""

import pytest
import torch
from scipy.sparse import csr_matrix

from recbole_cllm4rec.corpus.tokens import ExtendedVocabulary
from recbole_cllm4rec.model.view import WORD_GAIN, View

TOKENS = torch.tensor([5, 0, 3, 5, 2])  # three users, then items: item 2, user 0, item 0, item 2, user 2


def view(sparse: bool) -> View:
    torch.manual_seed(0)
    return View(ExtendedVocabulary(100, 3, 4), 2, sparse)


@pytest.mark.parametrize("sparse", [True, False])
class TestLookup:
    def test_rows_come_in_the_order_of_tokens(self, sparse):
        tables = view(sparse)
        together = torch.cat([tables.users, tables.items])
        assert torch.equal(tables.rows().at(TOKENS), together[TOKENS])
        assert torch.equal(tables.rows().items_at(torch.tensor([3, 1])), tables.items[[3, 1]])

    @pytest.mark.parametrize("tokens", [[], [0, 1], [3]])
    def test_of_one_kind_or_of_none(self, sparse, tokens):
        tables = view(sparse)
        rows = tables.rows().at(torch.tensor(tokens, dtype=torch.long))
        assert torch.equal(rows, torch.cat([tables.users, tables.items])[tokens])
        rows.sum().backward()

    def test_gradients_by_hand(self, sparse):
        tables = view(sparse)
        (tables.rows().at(TOKENS) * torch.tensor([1.0, 10, 100, 1000, 10000])[:, None]).sum().backward()
        assert [tables.users.grad.is_sparse, tables.items.grad.is_sparse] == [sparse, sparse]
        assert tables.users.grad.to_dense().tolist() == [[10, 10], [0, 0], [10000, 10000]]
        assert tables.items.grad.to_dense().tolist() == [[100, 100], [0, 0], [1001, 1001], [0, 0]]


def test_a_sparse_gradient_holds_the_rows_that_were_read():
    tables = view(sparse=True)
    tables.rows().at(TOKENS).sum().backward()
    assert tables.users.grad.coalesce().indices().tolist() == [[0, 2]]
    assert tables.items.grad.coalesce().indices().tolist() == [[0, 2]]


def test_a_head_over_all_items_makes_their_gradient_dense():
    results = []
    for sparse in (True, False):
        tables = view(sparse)
        (tables.rows().at(TOKENS).sum() + (torch.ones(1, 2) @ tables.items.T).sum()).backward()
        assert not tables.items.grad.is_sparse
        results.append(tables.items.grad)
    assert torch.equal(*results)


class TestSharedRows:
    """Three features, of which items 0 and 2 have the second, item 2 the first too, and item 3 none but the third."""

    FEATURES = csr_matrix([[0, 1.0, 0], [0, 0, 0], [0.6, 0.8, 0], [0, 0, 1.0]])

    @pytest.fixture
    def tables(self) -> View:
        torch.manual_seed(0)
        made = View(ExtendedVocabulary(100, 3, 4), 2, False, self.FEATURES)
        made.shared.rows.data = torch.tensor([[1.0, 0], [0, 1.0], [2.0, 2.0]])
        return made

    def test_they_start_at_nothing(self):
        assert not View(ExtendedVocabulary(100, 3, 4), 2, False, self.FEATURES).shared.rows.any()

    def test_an_item_is_its_own_row_and_those_of_its_features(self, tables):
        sums = WORD_GAIN * torch.tensor([[0, 1.0], [0, 0], [0.6, 0.8], [2.0, 2.0]])
        torch.testing.assert_close(tables.rows().items, tables.items + sums)
        torch.testing.assert_close(tables.rows().items_at(torch.tensor([2, 0])), (tables.items + sums)[[2, 0]])
        torch.testing.assert_close(tables.rows().at(TOKENS), torch.cat([tables.users, tables.items + sums])[TOKENS])

    def test_what_one_item_learns_the_others_of_its_features_learn_too(self, tables):
        tables.rows().items_at(torch.tensor([2])).sum().backward()
        torch.testing.assert_close(tables.shared.rows.grad, WORD_GAIN * torch.tensor([[0.6, 0.6], [0.8, 0.8], [0, 0]]))
        assert tables.items.grad.tolist() == [[0, 0], [0, 0], [1, 1], [0, 0]]

    def test_features_are_no_part_of_what_is_saved(self, tables):
        assert set(tables.state_dict()) == {"users", "items", "shared.rows"}
