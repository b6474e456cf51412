"""The extended vocabulary: words, then one atomic token a user, then one atomic token an item."""

from dataclasses import dataclass

from recbole_cllm4rec.corpus.text import IntArray


@dataclass(frozen=True)
class ExtendedVocabulary:
    """Token ids: words 0..N-1, ``<user_i>`` = N + i, ``<item_j>`` = N + I + j, as the paper extends the vocabulary."""

    n_words: int
    n_users: int
    n_items: int

    def user(self, user: int) -> int:
        """Token id of ``<user_i>``."""
        return self.n_words + user

    def items(self, items: IntArray) -> IntArray:
        """Token ids of ``<item_j>``, of the same shape."""
        return self.n_words + self.n_users + items

    def item(self, item: int) -> int:
        """Token id of ``<item_j>``."""
        return self.n_words + self.n_users + item
