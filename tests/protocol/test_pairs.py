"""Where (user, item) pairs stand: the same pairs are read from every form that a run holds them in."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from recbole.data.interaction import Interaction
from scipy.sparse import coo_matrix, csr_matrix
from torch import nn
from toy import CORPUS, VOCABULARY

from recbole_cllm4rec.corpus.documents import Document
from recbole_cllm4rec.protocol.pairs import Ids, among, attributes, item_columns, of_attribute, of_batch, of_documents

U, J = 4, 6  # users 1 to 3 and items 1 to 5
IDS = Ids("user", "item", U, J)
ALL = np.array([u * J + i for u in range(1, U) for i in range(1, J)])


def read(value: Any, known: Any = ALL) -> list[int] | None:
    codes = of_attribute(value, IDS, np.array(known))
    return None if codes is None else sorted(set(codes.tolist()))


def dense(pairs: set[tuple[int, int]]) -> torch.Tensor:
    matrix = torch.zeros(U, J)
    for user, item in pairs:
        matrix[user, item] = 0.5
    return matrix


def graph(matrix: torch.Tensor, more: int = 0) -> torch.Tensor:
    """The graph of users, items and ``more`` entities, with loops."""
    joint = torch.eye(U + J + more)
    joint[:U, U : U + J] = matrix
    joint[U : U + J, :U] = matrix.T
    return joint


def histories(matrix: torch.Tensor) -> torch.Tensor:
    """A row of ids each, 0 where there are no more."""
    rows = [row.nonzero().flatten() for row in matrix]
    return nn.utils.rnn.pad_sequence(rows, batch_first=True)


pair_sets = st.sets(st.tuples(st.integers(1, U - 1), st.integers(1, J - 1)), min_size=1)


def test_codes_by_hand() -> None:
    assert IDS.codes(np.array([1, 3]), np.array([2, 5])).tolist() == [8, 23]
    assert IDS.codes(2, np.array([0, 1, 5, 6])).tolist() == [13, 17]  # neither the padding nor a mask token
    assert IDS.codes(np.array([[0], [1]]), np.array([3, 4])).tolist() == [9, 10]


@given(st.lists(st.integers(0, 40)), st.sets(st.integers(0, 40)))
def test_among_is_membership(codes: list[int], known: set[int]) -> None:
    found = among(np.array(codes, dtype=np.int64), np.array(sorted(known), dtype=np.int64))
    assert found.tolist() == [code in known for code in codes]


@given(pair_sets)
def test_every_form_is_read(pairs: set[tuple[int, int]]) -> None:
    matrix = dense(pairs)
    codes = sorted(u * J + i for u, i in pairs)
    users, items = (torch.tensor(column) for column in zip(*pairs, strict=True))
    forms = [
        matrix,
        matrix.T,
        matrix.numpy(),
        matrix.to_sparse(),
        matrix.to_sparse_csr(),
        coo_matrix(matrix),
        csr_matrix(matrix.T),
        graph(matrix),
        graph(matrix).to_sparse(),
        graph(matrix, more=3),
        csr_matrix(graph(matrix)),
        histories(matrix),
        histories(matrix.T),
        Interaction({"user": users, "item": items}),
    ]
    assert [read(form, codes) for form in forms] == [codes] * len(forms)


def test_the_corpus_is_read() -> None:
    assert read(CORPUS) == [7, 8, 9, 15, 16, 23]


def test_stored_zeros_are_no_pairs() -> None:
    stored = torch.sparse_coo_tensor(torch.tensor([[1, 2], [2, 3]]), torch.tensor([1.0, 0.0]), (U, J))
    assert read(stored) == [8]
    assert read(coo_matrix(([1.0, 0.0], ([1, 2], [2, 3])), (U, J))) == [8]


@pytest.mark.parametrize(
    "predictions",
    [dense({(1, 1), (1, 2)}), csr_matrix(dense({(1, 1), (1, 2)})), torch.ones(U, J), torch.full((U, 2), 4)],
)
def test_what_holds_pairs_of_no_part_is_not_made_of_interactions(predictions: Any) -> None:
    assert read(predictions, [7]) == []


def test_one_strange_pair_hides_no_graph() -> None:
    ten = {(user, item) for user in (1, 2) for item in range(1, J)}
    codes = sorted(user * J + item for user, item in ten)
    assert read(graph(dense(ten)), codes[1:]) == codes
    assert read(graph(dense(ten)), codes[2:]) == []


@pytest.mark.parametrize(
    "value",
    [
        torch.ones(J, J),
        torch.ones(U, 3),  # an embedding
        torch.ones(U, dtype=torch.int64),
        torch.zeros(3, 2, dtype=torch.int64),
        torch.full((U, 2), J),  # of other ids than items'
        np.array([["a"] * J] * U),
        Interaction({"item": torch.tensor([1])}),
        "interaction_matrix",
        None,
    ],
)
def test_other_forms_are_none(value: Any) -> None:
    assert read(value) is None


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.register_buffer("mean", torch.zeros(2))
        self.layers = [{"graph": "A"}, ("B", self.weight)]
        self.inner = nn.Linear(1, 1)
        self.inner.graph = "C"


def test_attributes_are_named() -> None:
    found = dict(attributes(Net()))
    assert found.pop("mean").tolist() == [0, 0]
    assert found == {"layers[0]['graph']": "A", "layers[1][0]": "B", "inner.graph": "C", "inner.in_features": 1} | {
        "inner.out_features": 1
    }


def test_columns_of_a_batch() -> None:
    names = ["user", "item", "item_list", "neg_item", "Neg_item", "Mask_item_list", "item_length", "time_list"]
    batch = Interaction({name: torch.zeros(1) for name in names})
    assert item_columns(batch, IDS, "_list") == ["item", "item_list", "Mask_item_list"]


def test_a_batch_by_hand() -> None:
    sequences = torch.tensor([[1, 2, 0], [3, J, 0]])  # J is a mask token
    batch = Interaction({"user": torch.tensor([1, 3]), "item": torch.tensor([4, 5]), "items": sequences})
    assert of_batch(batch, ["item", "items"], IDS).tolist() == [10, 23, 7, 8, 21]
    assert of_batch(batch, [], IDS).tolist() == []


def test_documents_by_hand() -> None:
    user, item = VOCABULARY.user, VOCABULARY.item
    documents = [
        Document(np.array([user(1), 5, item(2)]), np.array([item(3), 7])),
        Document(np.array([4, item(5)]), np.array([8])),  # an item alone
        Document(np.array([user(2)]), np.array([item(1), user(3)])),
    ]
    assert sorted(of_documents(documents, VOCABULARY, IDS).tolist()) == [8, 9, 13, 19]
    assert of_documents([], VOCABULARY, IDS).tolist() == []
