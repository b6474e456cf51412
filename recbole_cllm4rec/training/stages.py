"""Stages of training as objects: what is read, which loss, which parameters move, how long, and when to stop."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from recbole_cllm4rec import processes
from recbole_cllm4rec.backbone.base import Layout
from recbole_cllm4rec.corpus.batching import Batch, draw_batches, tokens_at_once
from recbole_cllm4rec.corpus.documents import (
    Document,
    Documents,
    Interactions,
    Recommendations,
    Texts,
    content_documents,
)
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.model.cllm4rec import CLLM4Rec
from recbole_cllm4rec.model.view import LAZY_LEARNER, View
from recbole_cllm4rec.training.optimisers import Group, Make, optimisers

LayOut = Callable[[Document, np.random.Generator], Layout]
Loss = Callable[[Batch], Tensor]


@dataclass(frozen=True)
class Pass:
    """One way through the data: documents, the loss on them, and the optimisers of what that loss may move.

    ``share``: of the documents, the part that one epoch visits, chosen anew each time.
    """

    name: str
    documents: Documents
    lay_out: LayOut
    loss: Loss
    optimisers: Sequence[torch.optim.Optimizer]
    n_words: int
    batch_size: int
    max_tokens: int
    share: float = 1.0

    def __len__(self) -> int:
        """Documents that an epoch visits."""
        return max(1, round(self.share * len(self.documents)))

    @property
    def parameters(self) -> list[nn.Parameter]:
        """What a step may move."""
        return [p for optimiser in self.optimisers for group in optimiser.param_groups for p in group["params"]]

    def zero_grad(self) -> None:
        """Forget gradients."""
        for optimiser in self.optimisers:
            optimiser.zero_grad()

    def step(self) -> None:
        """Move what has a gradient."""
        for optimiser in self.optimisers:
            optimiser.step()

    def finish(self) -> None:
        """Free what the optimisers hold, which is twice the size of the tables."""
        self.zero_grad()
        for optimiser in self.optimisers:
            optimiser.state.clear()

    def batches(self, rng: np.random.Generator) -> Iterator[Batch]:
        """One epoch."""
        visits = rng.permutation(len(self.documents))[: len(self)]
        return draw_batches(self.documents, visits, self.lay_out, self.n_words, self.batch_size, rng)

    def backward(self, batch: Batch, device: torch.device) -> float:
        """The loss on a batch; its gradients are added to those that are there, a part of the batch after another.

        Processes share each part; loss and gradients are those of the whole batch in all of them, for which no gradient
        may be there before.
        """
        total = 0.0
        with processes.own_draws(device):
            for part in batch.parts(tokens_at_once(device, self.max_tokens)):
                share, counts = part.share(processes.rank(), processes.world())
                loss = self.loss(share.to(device))
                if not counts:
                    loss = 0 * loss
                loss.backward()
                total += loss.item()
        return processes.sum_gradients(self.parameters, total)


@dataclass(frozen=True)
class Stage:
    """Passes that alternate for a number of epochs; one that ``validates`` keeps its best epoch and may stop early.

    ``schedule``: of the learning rates, which stay or fall, epoch by epoch, towards zero after the last.
    """

    name: str
    epochs: int
    passes: Sequence[Pass]
    alternation: Literal["step", "epoch"]
    validates: bool = False
    schedule: Literal["constant", "linear"] = "constant"

    def __len__(self) -> int:
        """Documents that an epoch visits."""
        return sum(map(len, self.passes))

    @property
    def optimisers(self) -> list[torch.optim.Optimizer]:
        """Of all its passes."""
        return [optimiser for current in self.passes for optimiser in current.optimisers]

    def rate(self, epoch: int) -> float:
        """The share of its learning rates that the epoch, counted from 0, has."""
        return 1.0 if self.schedule == "constant" else max(0.0, 1 - epoch / self.epochs)

    def steps(self, rng: np.random.Generator) -> Iterator[tuple[Pass, Batch]]:
        """One epoch's batches, each with its pass; every pass goes once through its documents.

        Step by step, the pass that has come the least far is next, so that all end together whatever their sizes.
        Epoch by epoch, one pass follows the other.
        """
        sources = [current.batches(rng) for current in self.passes]
        if self.alternation == "epoch":
            for current, batches in zip(self.passes, sources, strict=True):
                yield from ((current, batch) for batch in batches)
            return
        visited = [0] * len(sources)
        while sum(visited) < len(self):
            k = min(range(len(sources)), key=lambda i: visited[i] / len(self.passes[i]))
            batch = next(sources[k])
            visited[k] += len(batch)
            yield self.passes[k], batch


def build_stages(config: Any, model: CLLM4Rec, make: Make) -> list[Stage]:
    """The content warm-up, the mutually regularised pretraining and the finetuning of the paper.

    A stage of no epochs is left out; the last stage validates. Raises :class:`UserError` where nothing trains the
    collaborative view, there is no text to read, or the learner would leave the weight decay out.
    """
    learner = config["learner"]
    if learner == LAZY_LEARNER and config["weight_decay"]:
        raise UserError(
            f"weight_decay is {config['weight_decay']}, but {LAZY_LEARNER} decays nothing: choose --learner=adam"
        )
    options, backbone, corpus = model.options, model.backbone, model.corpus
    prompt, room = model.history_prompt, model.history_room
    contents = _contents(model)
    interactions = Interactions(corpus.histories, prompt, room, options.shuffle_items)
    questions = Recommendations(
        corpus.histories, prompt, room, options.mask_share, options.finetune_target, options.shuffle_items
    )
    early, late = options.pretrain_learning_rate, config["learning_rate"]

    def collaborative(name: str, documents: Documents, lay_out: LayOut, loss: Loss, rate: float) -> Pass:
        asked = list(model.head.parameters()) if model.head is not None and documents is questions else []
        groups = _moved_by(model, model.collaborative, rate, asked, scores_items=not model.samples_items)
        return sized(name, documents, lay_out, loss, optimisers(make, learner, groups))

    def content(rate: float, share: float, regularised: bool) -> list[Pass]:
        if model.content is None or contents is None:
            return []
        head = [p for name, p in backbone.named_parameters() if not name.startswith("model.")]
        groups = _moved_by(model, model.content, rate, head)
        loss = partial(model.content_loss, regularised=regularised)
        return [sized("content", contents, text, loss, optimisers(make, learner, groups), share=share)]

    def text(document: Document, rng: np.random.Generator) -> Layout:
        return backbone.lay_out_text(document.prompt, document.main, rng)

    def question(document: Document, rng: np.random.Generator) -> Layout:
        return backbone.lay_out_question(document.prompt, document.main)

    sized = partial(
        Pass,
        n_words=model.vocabulary.n_words,
        batch_size=config["train_batch_size"],
        max_tokens=options.max_batch_tokens,
    )
    warm_up = content(early, 1.0, regularised=False)
    pretraining = [
        collaborative("collaborative", interactions, text, model.collaborative_loss, early),
        *content(early, options.content_share, regularised=True),
    ]
    finetuning = [
        collaborative("recommendation", questions, question, model.recommendation_loss, late),
        *content(late, options.content_share, regularised=True),
    ]
    if not options.pretrain_epochs and not config["epochs"]:
        raise UserError("nothing would train the collaborative view: set epochs or pretrain_epochs above 0")
    finetunes = config["epochs"] > 0
    asked = (options.content_epochs, options.pretrain_epochs, config["epochs"])
    first, second, third = (math.ceil(round(options.schedule_share * epochs, 9)) for epochs in asked)
    stages = [
        Stage("content", first, warm_up, "step"),
        Stage("pretraining", second, pretraining, options.alternation, validates=not finetunes),
        Stage("finetuning", third, finetuning, options.alternation, finetunes, options.learning_rate_schedule),
    ]
    return [stage for stage in stages if stage.epochs and stage.passes]


def _contents(model: CLLM4Rec) -> Texts | None:
    """What the content view is taught by, if there is one. Raises :class:`UserError` where there is no text."""
    if model.content is None:
        return None
    longest = model.backbone.max_length - model.backbone.overhead
    contents = content_documents(model.corpus, model.vocabulary, model.backbone.words, longest)
    if not len(contents):
        raise UserError(
            "CLLM4Rec reads text, but the dataset has none: name its columns in text_fields, or choose "
            "--variant=no-text"
        )
    return contents


def _moved_by(
    model: CLLM4Rec, view: View, rate: float, head: list[nn.Parameter], scores_items: bool = False
) -> list[Group]:
    """Parameters that a pass may move: its view, the ``head`` that scores and a backbone that is not frozen.

    Tables that are only looked up have sparse gradients; the items' is not one of them where a pass scores all of it.
    """
    backbone = list(model.backbone.model.parameters()) if model.backbone.trainable else []
    of_backbone = Group(backbone, model.options.backbone_learning_rate or rate)
    shared = list(view.shared.parameters()) if view.shared is not None else []
    if not view.sparse:
        dense, sparse = [view.users, view.items], []
    elif scores_items or shared:
        dense, sparse = [view.items], [view.users]
    else:
        dense, sparse = [], [view.users, view.items]
    return [Group([*dense, *shared, *head], rate), Group(sparse, rate, sparse=True), of_backbone]
