"""The token tables of one view, and lookups in them whose gradients hold the rows read and no others."""

import warnings
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from recbole_cllm4rec.corpus.tokens import ExtendedVocabulary
from recbole_cllm4rec.model.closed_form import Matrix

INITIAL_SCALE = 0.02
"""Standard deviation of random tokens, that of the word embeddings of GPT-2 and BERT at their own start."""

LAZY_LEARNER = "sparse_adam"
"""RecBole's name of torch's Adam for sparse gradients: it moves the rows that a batch touches and no others."""

WORD_GAIN = 3.0
"""Length of an item's features. Adam moves every row alike, whatever its gradient; at this length words, each a small
part of an item, come as far as the item's own row."""


class SharedRows(nn.Module):
    """F V [J, K]: the rows V [D, K] of D features, which start at 0, summed over the features F [J, D] of J items.

    Added to a row of each item's own, as LightFM has it (Kula, CBRecSys 2015).
    """

    features: Tensor
    transposed: Tensor

    def __init__(self, features: csr_matrix, hidden_size: int):
        """``features`` F: rows of length 1, or 0."""
        super().__init__()
        self.rows = nn.Parameter(torch.zeros(features.shape[1], hidden_size))
        # The transpose too, as a gradient by torch's own takes it anew at every step.
        for name, matrix in (("features", features), ("transposed", features.T.tocsr())):
            self.register_buffer(name, _sparse(matrix * WORD_GAIN), persistent=False)

    def forward(self) -> Tensor:
        """All items' sums [J, K]."""
        sums: Tensor = _Product.apply(self.rows, self.features, self.transposed)
        return sums


class Rows(NamedTuple):
    """The tables of a view: users [I, K] and items [J, K], and whether a lookup's gradient holds what it read alone."""

    users: Tensor
    items: Tensor
    sparse_users: bool
    sparse_items: bool

    def at(self, tokens: Tensor) -> Tensor:
        """Rows [M, K] of ``tokens`` [M], users counted from 0 and items from I."""
        n_users = len(self.users)
        of_users, of_items = (tokens < n_users).nonzero().view(-1), (tokens >= n_users).nonzero().view(-1)
        users = self.users_at(tokens[of_users])
        rows = users.new_empty(len(tokens), users.shape[1]).index_copy(0, of_users, users)
        return rows.index_copy(0, of_items, self.items_at(tokens[of_items] - n_users))

    def users_at(self, users: Tensor) -> Tensor:
        """Rows [M, K] of ``users`` [M]."""
        return nn.functional.embedding(users, self.users, sparse=self.sparse_users)

    def items_at(self, items: Tensor) -> Tensor:
        """Rows [M, K] of ``items`` [M]."""
        return nn.functional.embedding(items, self.items, sparse=self.sparse_items)


class View(nn.Module):
    """The embeddings of one view, z_l or z_c, always float32: a row a user [I, K] and a row an item [J, K].

    Where ``sparse``, a lookup gives a gradient of the rows that it read and of no others. A table that an item head
    multiplies as a whole has a dense gradient all the same. With ``features`` [J, D] of its items, those share rows.
    """

    def __init__(
        self, vocabulary: ExtendedVocabulary, hidden_size: int, sparse: bool, features: csr_matrix | None = None
    ):
        super().__init__()
        self.users, self.items = (
            nn.Parameter(nn.init.normal_(torch.empty(n, hidden_size), std=INITIAL_SCALE))
            for n in (vocabulary.n_users, vocabulary.n_items)
        )
        self.shared = None if features is None else SharedRows(features, hidden_size)
        self.sparse = sparse

    @torch.no_grad()
    def start_at(self, users: Matrix, items: Matrix, length: Tensor) -> None:
        """Tokens start at ``users`` [I, K] and ``items`` [J, K] times ``length``; rows of zeros leave theirs random."""
        for table, rows in ((self.users, users), (self.items, items)):
            known = torch.from_numpy(rows.any(axis=1)).to(table.device)
            table[known] = torch.from_numpy(rows).to(table.device)[known] * length

    @torch.no_grad()
    def start_like(self, other: "View") -> None:
        """Tokens start where those of the ``other`` view do, at random ones too."""
        self.users.copy_(other.users)
        self.items.copy_(other.items)

    def rows(self) -> Rows:
        """The tables as they are now; a step asks once, as a sum of shared rows is dear."""
        if self.shared is None:
            return Rows(self.users, self.items, self.sparse, self.sparse)
        return Rows(self.users, self.items + self.shared(), self.sparse, False)


class _Product(torch.autograd.Function):
    """F V, whose gradient by V is Fᵀ G."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, features: Tensor, transposed: Tensor) -> Tensor:
        ctx.transposed = transposed
        return features @ rows

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return ctx.transposed @ gradients[0], None, None


def _sparse(matrix: csr_matrix) -> Tensor:
    matrix = matrix.sorted_indices().astype(np.float32)
    starts, columns, values = (torch.from_numpy(part) for part in (matrix.indptr, matrix.indices, matrix.data))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(starts, columns, values, matrix.shape, check_invariants=True)
