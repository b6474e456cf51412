"""(user, item) pairs as numbers, and the places of a run where they stand: batches, documents, matrices."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from recbole.data.interaction import Interaction
from scipy.sparse import issparse
from torch import Tensor, nn

from recbole_cllm4rec.corpus.documents import Document
from recbole_cllm4rec.corpus.text import Corpus, Histories, IntArray
from recbole_cllm4rec.corpus.tokens import ExtendedVocabulary

NOTHING = np.empty(0, dtype=np.int64)

MADE_OF_PAIRS = 0.9
"""Share of known pairs from which on a matrix is made of interactions; predictions hold many others."""


class Ids(NamedTuple):
    """The fields of users and items and their numbers, padding included; a pair's code is user · n_items + item."""

    user_field: str
    item_field: str
    n_users: int
    n_items: int

    def codes(self, users: Any, items: Any) -> IntArray:
        """Codes of the pairs that two arrays of internal ids make, broadcast against each other.

        Ids that are nobody's are left out: the padding, and tokens that a model puts in an item's place.
        """
        users, items = np.broadcast_arrays(users, items)
        real = (users > 0) & (users < self.n_users) & (items > 0) & (items < self.n_items)
        codes: IntArray = users[real].astype(np.int64) * self.n_items + items[real]
        return codes


def of_part(part: Any, ids: Ids) -> IntArray:
    """Codes of the interactions of one part of the split, ascending and each once."""
    return np.unique(ids.codes(part.inter_feat[ids.user_field].numpy(), part.inter_feat[ids.item_field].numpy()))


def among(codes: IntArray, known: IntArray) -> npt.NDArray[np.bool_]:
    """Which codes are among the ``known`` ones, an ascending array: for many small arrays against a large one."""
    if not len(known):
        return np.zeros(len(codes), dtype=np.bool_)
    return known[np.searchsorted(known, codes).clip(max=len(known) - 1)] == codes


def item_columns(batch: Interaction, ids: Ids, suffix: str) -> list[str]:
    """Columns of items that a user is said to have: the target, the sequence, and what transforms make of that.

    ``suffix``: of columns that hold sequences. Drawn negatives, ``neg_…``, are none of them.
    """
    ends = (ids.item_field, ids.item_field + suffix)
    return [name for name in batch.columns if name.endswith(ends) and not name.lower().startswith("neg_")]


def of_batch(batch: Interaction, columns: Iterable[str], ids: Ids) -> IntArray:
    """Codes of every user of a batch with the items that ``columns``, [B] or [B, L], hold in the same row."""
    users = batch[ids.user_field].numpy()[:, None]
    found = [ids.codes(users, batch[name].numpy().reshape(len(users), -1)) for name in columns]
    return np.concatenate([NOTHING, *found])


def of_documents(documents: Iterable[Document], vocabulary: ExtendedVocabulary, ids: Ids) -> IntArray:
    """Codes of every user with every item whose tokens stand in the same document."""
    first_user, first_item = vocabulary.user(0), vocabulary.item(0)
    texts = (np.concatenate(document) for document in documents)
    tokens = [text[text >= first_user] for text in texts]
    numbers = np.repeat(np.arange(len(tokens)), [len(of_one) for of_one in tokens])
    frame = pd.DataFrame({"document": numbers, "token": np.concatenate([NOTHING, *tokens])})
    is_item = frame["token"] >= first_item
    together = frame[~is_item].merge(frame[is_item], on="document", suffixes=("_user", "_item"))
    return ids.codes(together["token_user"] - first_user, together["token_item"] - first_item)


def attributes(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """All that a model and its modules hold beside parameters, by name; of lists and mappings, the entries."""
    common = vars(nn.Module())
    for path, module in model.named_modules():
        held = {name: value for name, value in vars(module).items() if name not in common}
        for name, value in (held | dict(module.named_buffers(recurse=False))).items():
            yield from _entries(f"{path}.{name}" if path else name, value)


def _entries(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list | tuple):
        for key, entry in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _entries(f"{name}[{key!r}]", entry)
    elif not isinstance(value, nn.Parameter):
        yield name, value


def of_attribute(value: Any, ids: Ids, known: IntArray) -> IntArray | None:
    """Codes of the pairs that a matrix, a graph or a table of histories is made of; None for what has another form.

    A form proves nothing: predictions are users by items too, and so may an embedding be. What is not mostly made of
    ``known`` pairs, an ascending array of those of all parts, has no codes.
    """
    if isinstance(value, Corpus):
        value = value.histories
    if isinstance(value, Histories):
        users = range(len(value.lengths))
        return ids.codes(np.repeat(users, value.lengths), np.concatenate([value[user] for user in users]))
    if isinstance(value, Interaction):
        of_pairs = {ids.user_field, ids.item_field} <= set(value.columns)
        return ids.codes(value[ids.user_field].cpu(), value[ids.item_field].cpu()) if of_pairs else None
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        value = torch.from_numpy(value)
    if not (issparse(value) or isinstance(value, Tensor)) or value.ndim != 2:
        return None
    readings = _as_matrix(value, ids, len(known)) + _as_histories(value, ids)
    made_of_pairs = (codes for codes in readings if len(codes) and among(codes, known).mean() >= MADE_OF_PAIRS)
    return next(made_of_pairs, NOTHING) if readings else None


def _as_matrix(value: Any, ids: Ids, n_known: int) -> list[IntArray]:
    """Users by items, items by users, or the graph of both, users first; entities may follow the items."""
    n_rows, n_columns = value.shape
    by_users = n_rows == ids.n_users and n_columns >= ids.n_items
    by_items = n_rows >= ids.n_items and n_columns == ids.n_users
    joint = n_rows == n_columns >= ids.n_users + ids.n_items
    if not (by_users or by_items or joint):
        return []
    if issparse(value):
        filled = value.tocoo()
        rows, columns = (place[filled.data != 0] for place in (filled.row, filled.col))
    elif value.layout != torch.strided:
        filled = value.cpu().to_sparse_coo().coalesce()
        rows, columns = filled.indices()[:, filled.values() != 0].numpy()
    elif value.count_nonzero() > 2 * n_known / MADE_OF_PAIRS + n_rows:  # more than both directions and a diagonal
        return [NOTHING]
    else:
        rows, columns = value.cpu().nonzero().numpy().T
    readings = [ids.codes(rows, columns)] * by_users + [ids.codes(columns, rows)] * by_items
    from_users, from_items = ids.codes(rows, columns - ids.n_users), ids.codes(columns, rows - ids.n_users)
    return readings + [np.concatenate([from_users, from_items])] * joint


def _as_histories(value: Any, ids: Ids) -> list[IntArray]:
    """A row of item ids a user, or of user ids an item."""
    if issparse(value) or value.layout != torch.strided or value.is_floating_point() or not value.numel():
        return []
    rows = np.arange(len(value))[:, None]
    if len(value) == ids.n_users and value.max() < ids.n_items:
        return [ids.codes(rows, value.cpu().numpy())]
    if len(value) == ids.n_items and value.max() < ids.n_users:
        return [ids.codes(value.cpu().numpy(), rows)]
    return []
