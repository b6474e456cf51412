"""The token tables of one view, read by lookups whose gradients hold the rows read and no others."""

import torch
from torch import Tensor, nn

from recbole_cllm4rec.corpus.tokens import ExtendedVocabulary

INITIAL_SCALE = 0.02
"""Standard deviation of random tokens, that of the word embeddings of GPT-2 and BERT at their own start."""

LAZY_LEARNER = "sparse_adam"
"""RecBole's name of torch's Adam for sparse gradients: it moves the rows that a batch touches and no others."""


class View(nn.Module):
    """The embeddings of one view, z_l or z_c, always float32: a row a user [I, K] and a row an item [J, K].

    Where ``sparse``, a lookup gives a gradient of the rows that it read and of no others. A table that an item head
    multiplies as a whole has a dense gradient all the same.
    """

    def __init__(self, vocabulary: ExtendedVocabulary, hidden_size: int, sparse: bool):
        super().__init__()
        self.users, self.items = (
            nn.Parameter(nn.init.normal_(torch.empty(n, hidden_size), std=INITIAL_SCALE))
            for n in (vocabulary.n_users, vocabulary.n_items)
        )
        self.sparse = sparse

    def forward(self, tokens: Tensor) -> Tensor:
        """Rows [M, K] of ``tokens`` [M], users counted from 0 and items from I."""
        n_users = len(self.users)
        of_users, of_items = (tokens < n_users).nonzero().view(-1), (tokens >= n_users).nonzero().view(-1)
        users = nn.functional.embedding(tokens[of_users], self.users, sparse=self.sparse)
        rows = users.new_empty(len(tokens), users.shape[1]).index_copy(0, of_users, users)
        return rows.index_copy(0, of_items, self.items_at(tokens[of_items] - n_users))

    def items_at(self, items: Tensor) -> Tensor:
        """Rows [M, K] of ``items`` [M]."""
        return nn.functional.embedding(items, self.items, sparse=self.sparse)
