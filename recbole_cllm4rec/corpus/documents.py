"""The five documents of CLLM4Rec, each a soft+hard prompt followed by a main text, as the paper words them.

=============== ======================================================================== ====================
document        prompt                                                                   main text
=============== ======================================================================== ====================
interactions    ``<user_i> has interacted with``                                         ``<item_j> <item_k> …``
biography       ``The biography of <user_i> is:``                                        words
content         ``The content of <item_j> is:``                                          words
review          ``<user_i> writes the review for <item_j>:``                             words
recommendation  ``<user_i> has interacted with <item_j> … the user will interact with:`` held-out items
=============== ======================================================================== ====================

Only the main text is predicted. Words follow a token as they follow a word, after a space: to some tokenizers (GPT-2)
" has" and "has" differ. A text too long for the backbone loses the end of its main text, never a part of its prompt; of
a history too long, training reads a random sample, and scoring its end, where a split by time has the latest items.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

import numpy as np

from recbole_cllm4rec.corpus.text import Corpus, Histories, IntArray
from recbole_cllm4rec.corpus.tokens import ExtendedVocabulary
from recbole_cllm4rec.errors import UserError

Words = Callable[[Sequence[str]], list[IntArray]]
"""Token ids of each of several texts, without special tokens."""


class Document(NamedTuple):
    """Two arrays of extended token ids."""

    prompt: IntArray
    main: IntArray


class Documents(Protocol):
    """A family of documents, drawn anew at every visit."""

    def __len__(self) -> int: ...

    def draw(self, index: int, rng: np.random.Generator) -> Document:
        """Document ``index``, its random choices taken from ``rng``."""
        ...


class Texts:
    """Biographies, item contents and reviews: documents that are the same at every visit."""

    def __init__(self, documents: Sequence[Document]):
        self._documents = documents

    def __len__(self) -> int:
        return len(self._documents)

    def draw(self, index: int, rng: np.random.Generator) -> Document:
        """The document as it stands: nothing in it is random."""
        return self._documents[index]


class Interactions:
    """One document a user: the training items after ``<user_i> has interacted with``, in random order."""

    def __init__(self, histories: Histories, prompt: "HistoryPrompt", room: int, shuffle: bool):
        """``room``: the items that a document may hold. ``shuffle=False`` keeps one order (LLM-FixOrd)."""
        self._histories = histories
        self._users = np.flatnonzero(histories.lengths)
        self._prompt = prompt
        self._room = room
        self._shuffle = shuffle

    def __len__(self) -> int:
        return len(self._users)

    def draw(self, index: int, rng: np.random.Generator) -> Document:
        """The history in an order drawn now, or a random part of it where it exceeds the room."""
        user = int(self._users[index])
        items = _sample(self._histories[user], self._room, rng, self._shuffle)
        return Document(self._prompt.opening(user), self._prompt.vocabulary.items(items))


class Recommendations:
    """One document a user: a part of the training items is masked, and to be found from the rest."""

    def __init__(
        self,
        histories: Histories,
        prompt: "HistoryPrompt",
        room: int,
        mask_share: float | Sequence[float],
        target: Literal["held-out", "train"],
        shuffle: bool,
    ):
        """``mask_share``: the share p_m of the items that is masked, one item at least; of two numbers, anything
        between, drawn at every visit.

        ``target``: what the main text holds, the masked items only (paper) or all training items (released code).
        """
        self._histories = histories
        self._users = np.flatnonzero(histories.lengths)
        self._prompt = prompt
        self._room = room
        self._least, self._most = np.broadcast_to(mask_share, 2)
        self._target = target
        self._shuffle = shuffle

    def __len__(self) -> int:
        return len(self._users)

    def draw(self, index: int, rng: np.random.Generator) -> Document:
        """A new mask; a user of one item is asked for it from the user token alone."""
        user = int(self._users[index])
        history = self._histories[user]
        n_masked = max(1, int(rng.uniform(self._least, self._most) * len(history)))
        masked = np.isin(history, rng.choice(history, n_masked, replace=False))  # a repeated item wherever it stands
        shown = _sample(history[~masked], self._room, rng, self._shuffle)
        wanted = history[masked] if self._target == "held-out" else history
        return Document(self._prompt.question(user, shown), self._prompt.vocabulary.items(wanted))


class HistoryPrompt:
    """Prompts made of a user's token, the hard words and the user's items."""

    def __init__(self, vocabulary: ExtendedVocabulary, words: Words):
        self.vocabulary = vocabulary
        self._has, self._will = words([" has interacted with", " the user will interact with:"])
        self.longest = 1 + len(self._has) + len(self._will)

    def opening(self, user: int) -> IntArray:
        """``<user_i> has interacted with``."""
        return np.concatenate([[self.vocabulary.user(user)], self._has])

    def question(self, user: int, items: IntArray) -> IntArray:
        """``<user_i> has interacted with <item_j> … the user will interact with:``."""
        return np.concatenate([self.opening(user), self.vocabulary.items(items), self._will])

    def continuation(self, user: int, items: IntArray) -> IntArray:
        """``<user_i> has interacted with <item_j> …``: what is next, asked without finetuning (LLM-PreRec)."""
        return np.concatenate([self.opening(user), self.vocabulary.items(items)])

    def room(self, longest_document: int) -> int:
        """Number of items that fit beside the hard words.

        Raises :class:`UserError` where ``longest_document`` leaves no room for an item.
        """
        if longest_document <= self.longest:
            raise UserError(
                f"documents may have {longest_document} tokens, but the prompt alone needs {self.longest} and an item "
                "one more: raise max_length or take a backbone with more positions"
            )
        return longest_document - self.longest


def content_documents(corpus: Corpus, vocabulary: ExtendedVocabulary, words: Words, longest: int) -> Texts:
    """Biographies, item contents and reviews of the corpus; empty texts make no document.

    ``longest``: the tokens of a document, its prompt included. Raises :class:`UserError` where a prompt has more.
    """
    user_heads = words(["The biography of", " is:"])
    item_heads = words(["The content of", " is:"])
    writes, colon = words([" writes the review for", ":"])
    prompts: list[IntArray] = []
    texts: list[str] = []

    def add(prompt: Sequence[IntArray | list[int]], text: str) -> None:
        if text.strip():
            prompts.append(np.concatenate(prompt).astype(np.int64))
            texts.append(f" {text}")

    for user, text in enumerate(corpus.user_texts):
        add([user_heads[0], [vocabulary.user(user)], user_heads[1]], text)
    for item, text in enumerate(corpus.item_texts):
        add([item_heads[0], [vocabulary.item(item)], item_heads[1]], text)
    for user, item, text in corpus.reviews:
        add([[vocabulary.user(user)], writes, [vocabulary.item(item)], colon], text)
    widest = max(map(len, prompts), default=0)
    if widest >= longest:
        raise UserError(
            f"documents may have {longest} tokens, but a content prompt alone needs {widest} and its text one more: "
            "raise max_length or take a backbone with more positions"
        )
    mains = words(texts) if texts else []
    # Copies, as a slice would keep all of a long text in memory.
    documents = [Document(p, m[: longest - len(p)].copy()) for p, m in zip(prompts, mains, strict=True)]
    return Texts([d for d in documents if len(d.main)])


def _sample(items: IntArray, room: int, rng: np.random.Generator, shuffle: bool) -> IntArray:
    """At most ``room`` of ``items``, a random choice where there are more, in random order if ``shuffle``."""
    if shuffle:
        return rng.permutation(items)[:room]
    if len(items) > room:
        return items[np.sort(rng.choice(len(items), room, replace=False))]
    return items
