"""Documents to batches: of like length, so that hardly a token is padding, in an order that is still random."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recbole_cllm4rec.backbone.base import Layout
from recbole_cllm4rec.backbone.lengths import batches_by_length
from recbole_cllm4rec.corpus.documents import Document, Documents
from recbole_cllm4rec.corpus.text import IntArray

POOL = 50
"""Batches drawn together and sorted by length: long enough that padding is rare, short enough to stay in memory."""

CPU_TOKENS = 2048
"""Padded tokens that a CPU computes at once: its matrix products gain nothing by more, and padding and memory grow."""


def tokens_at_once(device: torch.device, most: int) -> int:
    """Padded tokens to compute at once on a device, where no more than ``most`` are allowed."""
    return min(most, CPU_TOKENS) if device.type == "cpu" else most


@dataclass(frozen=True)
class Batch:
    """B documents, laid out for the backbone and padded at the right to T tokens; R states are read in them.

    ``ids`` [B, T] extended token ids; ``mask`` [B, T] true where a token is, None if all are; ``rows``, ``columns`` [R]
    where states are read; ``targets`` [P] the extended ids to be found; ``reads`` [P] the state, of the R, that each is
    found from; ``entities`` [E] extended ids of all user and item tokens in prompts and main texts; ``whole`` how
    many documents and targets the loss is a mean over, those of the batch that this one is a part of; ``elsewhere`` [Q]
    targets that other processes are to find in their shares at the same time.
    """

    ids: Tensor
    mask: Tensor | None
    rows: Tensor
    columns: Tensor
    targets: Tensor
    reads: Tensor
    entities: Tensor
    whole: tuple[int, int]
    elsewhere: Tensor

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        moved: dict[str, Any] = {name: t.to(device) for name, t in vars(self).items() if isinstance(t, Tensor)}
        return replace(self, **moved)

    def parts(self, max_tokens: int) -> Iterator["Batch"]:
        """Batches of at most ``max_tokens`` padded tokens, one document at least; losses on them sum up to the whole's.

        The user and item tokens stand in the first, since only their sum counts.
        """
        if self.ids.numel() <= max_tokens:
            yield self
            return
        entities = self.entities
        for part in batches_by_length(self._lengths().numpy(), len(self), max_tokens):
            yield self._part(torch.from_numpy(part), entities)
            entities = entities[:0]

    def share(self, rank: int, world: int) -> tuple["Batch", bool]:
        """What process ``rank`` of ``world`` computes, and whether it counts; losses that count sum up to the whole's.

        Shares are runs of documents whose numbers differ by one at most. Where there are more processes than documents,
        some get a document that another counts, so that all pass through the backbone equally often.
        """
        if world == 1:
            return self, True
        n = min(world, len(self))
        first, end = (rank % n + k for k in (0, 1))
        documents = torch.arange(len(self) * first // n, len(self) * end // n)
        entities = self.entities[len(self.entities) * first // n : len(self.entities) * end // n]
        others = ~torch.isin(self.rows[self.reads], documents)
        return replace(self._part(documents, entities), elsewhere=self.targets[others]), rank < n

    def _lengths(self) -> Tensor:
        return torch.full((len(self),), self.ids.shape[1]) if self.mask is None else self.mask.sum(dim=1)

    def _part(self, documents: Tensor, entities: Tensor) -> "Batch":
        width = int(self._lengths()[documents].max())
        place = torch.full((len(self),), -1)
        place[documents] = torch.arange(len(documents))
        states = place[self.rows] >= 0  # [R], those read in the part
        found = states[self.reads]  # [P]
        mask = None if self.mask is None else self.mask[documents, :width]
        return Batch(
            ids=self.ids[documents, :width],
            mask=None if mask is None or mask.all() else mask,
            rows=place[self.rows[states]],
            columns=self.columns[states],
            targets=self.targets[found],
            reads=(states.cumsum(dim=0) - 1)[self.reads[found]],
            entities=entities,
            whole=self.whole,
            elsewhere=self.elsewhere,
        )


def collate(documents: Sequence[Document], layouts: Sequence[Layout], n_words: int) -> Batch:
    """One batch of documents and the layouts that a backbone gave them.

    A layout with as many reads as targets pairs them (language modelling); one with a single read finds all its targets
    from it (recommendation).
    """
    lengths = np.array([len(layout.ids) for layout in layouts])
    ids = np.zeros((len(layouts), lengths.max()), dtype=np.int64)
    rows, columns, targets, reads = [], [], [], []
    n_reads = 0
    for b, layout in enumerate(layouts):
        ids[b, : lengths[b]] = layout.ids
        rows.append(np.full(len(layout.reads), b))
        columns.append(layout.reads)
        targets.append(layout.targets)
        paired = np.arange(len(layout.reads)) if len(layout.reads) == len(layout.targets) else np.zeros(1, dtype=int)
        reads.append(n_reads + np.broadcast_to(paired, len(layout.targets)))
        n_reads += len(layout.reads)
    tokens = np.concatenate([part for document in documents for part in document])
    mask = np.arange(ids.shape[1]) < lengths[:, None]
    return Batch(
        ids=torch.from_numpy(ids),
        mask=None if mask.all() else torch.from_numpy(mask),
        rows=_tensor(rows),
        columns=_tensor(columns),
        targets=_tensor(targets),
        reads=_tensor(reads),
        entities=torch.from_numpy(tokens[tokens >= n_words]),
        whole=(len(documents), sum(len(layout.targets) for layout in layouts)),
        elsewhere=torch.empty(0, dtype=torch.long),
    )


def draw_batches(
    documents: Documents,
    visits: IntArray,
    lay_out: Callable[[Document, np.random.Generator], Layout],
    n_words: int,
    size: int,
    rng: np.random.Generator,
) -> Iterator[Batch]:
    """Batches of ``size`` documents ``visits``, in that order but for a pool of batches at a time, drawn and sorted.

    Long ones are as many as short ones, so that a document weighs the same in a step whatever its length; memory is
    :meth:`Batch.parts`' matter.
    """
    for start in range(0, len(visits), POOL * size):
        pool = [documents.draw(int(i), rng) for i in visits[start : start + POOL * size]]
        layouts = [lay_out(document, rng) for document in pool]
        order = np.argsort([len(layout.ids) for layout in layouts], kind="stable")
        batches = [order[first : first + size] for first in range(0, len(order), size)]
        for k in rng.permutation(len(batches)):
            yield collate([pool[i] for i in batches[k]], [layouts[i] for i in batches[k]], n_words)


def _tensor(parts: Sequence[IntArray]) -> Tensor:
    return torch.from_numpy(np.concatenate(parts).astype(np.int64))
