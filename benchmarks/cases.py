"""What is measured: the three training steps and scoring, each by the reference and by the package."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from recbole.data.interaction import Interaction

from benchmarks.reference import BATCH, Reference
from benchmarks.workload import Sample, Workload
from recbole_cllm4rec.backbone.base import Layout
from recbole_cllm4rec.corpus.documents import Document
from recbole_cllm4rec.corpus.text import IntArray
from recbole_cllm4rec.training.stages import Pass

DOCUMENTS = {"content": 40, "collaborative": 320, "recommendation": 320, "scoring": 344}
"""The cases, and how many documents, or users to be scored, a run of each goes through."""

STRATA = 4
"""Batches that our side makes of them."""


@dataclass(frozen=True)
class Work:
    """What one run does, whoever does it: ``documents``, their ``tokens`` as the package lays them out, without
    padding, and ``operations`` of matrix products.

    These are 2 · weights · tokens forward and as many backward, through frozen weights to the tokens, and the same for
    the head with the states that are read in place of tokens; scoring has no backward. Weights are those of the
    backbone's matrices, word and position embeddings left out. Attention, padding, and what is computed twice or thrown
    away count as nothing: who does them has a lower share of the machine's rate.
    """

    documents: int
    tokens: int
    operations: float


@dataclass(frozen=True)
class Case:
    """One name of ``DOCUMENTS`` on one backbone, ready to be run by either side."""

    name: str
    work: Work
    reference: Callable[[], None]
    ours: Callable[[], None]


def build_case(name: str, workload: Workload, reference: Reference, documents: int | None = None) -> Case:
    """``documents``: in place of the case's own number of them."""
    rng = np.random.default_rng(0)
    wanted = max(STRATA, documents or DOCUMENTS[name])
    if name == "scoring":
        known = np.flatnonzero(workload.model.corpus.histories.lengths)
        return _scoring(workload, reference, rng.choice(known, min(wanted, len(known)), replace=False))
    current = workload.passes[name]
    visits = _stratified(current, wanted, rng)
    size = current.batch_size if wanted >= len(current.documents) else wanted // STRATA
    sample = Sample(current.documents, rng.permutation(visits))
    return _training(name, workload, reference, replace(current, documents=sample, share=1, batch_size=size))


def _stratified(current: Pass, wanted: int, rng: np.random.Generator) -> IntArray:
    """Documents as four batches of an epoch hold them, of a length each, for the package sorts thousands by length.

    They stand in the middle of the four quarters of all documents, which are all taken where no more are there.
    """
    _, layouts = _drawn(current, range(len(current.documents)), rng)
    by_length = np.argsort([len(layout.ids) for layout in layouts], kind="stable")
    if wanted >= len(by_length):
        return by_length
    size = wanted // STRATA
    quarters = np.array_split(by_length, STRATA)
    return np.concatenate([part[(len(part) - size) // 2 :][:size] for part in quarters])


def _training(name: str, workload: Workload, reference: Reference, current: Pass) -> Case:
    loss = {
        "content": reference.content_loss,
        "collaborative": reference.collaborative_loss,
        "recommendation": reference.recommendation_loss,
    }[name]
    optimiser = torch.optim.Adam([p for p in reference.parameters() if p.requires_grad])

    def plain() -> None:
        rng = np.random.default_rng(1)
        for start in range(0, len(current.documents), BATCH):
            chosen = range(start, min(start + BATCH, len(current.documents)))
            documents, layouts = _drawn(current, chosen, rng)
            optimiser.zero_grad(set_to_none=False)
            loss(documents, layouts).backward()
            optimiser.step()

    def ours() -> None:
        for batch in current.batches(np.random.default_rng(1)):
            current.zero_grad()
            current.backward(batch, workload.device)
            current.step()

    _, layouts = _drawn(current, range(len(current.documents)), np.random.default_rng(1))
    classes = workload.vocabulary.n_words if name == "content" else workload.vocabulary.n_items
    return Case(name, _work(workload, layouts, classes, passes=2), plain, ours)


def _scoring(workload: Workload, reference: Reference, users: IntArray) -> Case:
    model = workload.model

    def laid_out() -> list[Layout]:
        return [model.backbone.lay_out_question(*model.prediction(int(user))) for user in users]

    def plain() -> None:
        reference.scores(laid_out())

    def ours() -> None:
        model.full_sort_predict(Interaction({model.USER_ID: torch.from_numpy(users)}))

    return Case("scoring", _work(workload, laid_out(), workload.vocabulary.n_items, passes=1), plain, ours)


def _drawn(current: Pass, chosen: Sequence[int], rng: np.random.Generator) -> tuple[list[Document], list[Layout]]:
    documents = [current.documents.draw(i, rng) for i in chosen]
    return documents, [current.lay_out(document, rng) for document in documents]


def _work(workload: Workload, layouts: Sequence[Layout], classes: int, passes: int) -> Work:
    tokens = sum(len(layout.ids) for layout in layouts)
    states = sum(len(layout.reads) for layout in layouts)
    weights = matrix_weights(workload.model.backbone.model)
    head = workload.model.backbone.hidden_size * classes
    return Work(len(layouts), tokens, 2.0 * passes * (weights * tokens + head * states))


def matrix_weights(transformer: torch.nn.Module) -> int:
    """Weights that a token is multiplied by: of all matrices but the tables that a token picks a row of."""
    tables = {module.weight for module in transformer.modules() if isinstance(module, torch.nn.Embedding)}
    unused = {p for name, p in transformer.named_parameters() if name.startswith("pooler.")}
    return sum(p.numel() for p in transformer.parameters() if p.dim() == 2 and p not in tables | unused)
