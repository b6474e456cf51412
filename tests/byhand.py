"""CLLM4Rec once more, written out: a document at a time through transformers' own model, the rest in numpy.

Documents are spelt as in the paper, a prompt and a main text: ``("The content of <item_1> is:", "red lip stick")``.
Words between two tokens are tokenised together, with the space before them; at a bar they are parted.
"""

import math
import re
from pathlib import Path

import numpy as np
import torch
import toy
from numpy.typing import NDArray
from recbole.data.interaction import Interaction
from transformers import AutoModel, AutoTokenizer

from recbole_cllm4rec.model.cllm4rec import CLLM4Rec

Array = NDArray[np.float64]
Spelt = tuple[str, str]
UNTOLD = "<item_5>"
"""No text of the toy's speaks of it: its content token is noise, and no token is regularised to it."""


class ByHand:
    """Losses and scores of the weights that ``model`` has now, over the checkpoint that its backbone is read from."""

    def __init__(self, checkpoint: Path, model: CLLM4Rec):
        self.tokenizer = AutoTokenizer.from_pretrained(checkpoint)
        self.lm = AutoModel.from_pretrained(checkpoint).eval()
        self.words = self.lm.get_input_embeddings().weight.detach().numpy()
        self.encoder = self.lm.config.model_type == "bert"
        self.model = model

    def ids(self, text: str) -> list[int]:
        """Token ids, those of users and items above the words'."""
        ids: list[int] = []
        for kind, number, words in re.findall(r"<(user|item)_(\d+)>|([^<|]+)", text):
            if kind:
                ids.append(len(self.words) + (self.model.n_users if kind == "item" else 0) + int(number))
            else:
                ids += self.tokenizer(words.rstrip(), add_special_tokens=False).input_ids
        return ids

    def states(self, ids: list[int], table: Array) -> Array:
        """Last hidden states of one document."""
        n = len(self.words)
        embeddings = np.stack([self.words[i] if i < n else table[i - n] for i in ids])
        with torch.no_grad():
            return self.lm(inputs_embeds=torch.tensor(embeddings)[None]).last_hidden_state[0].numpy()

    def predicted(self, document: Spelt, table: Array) -> tuple[Array, list[int]]:
        """States of language modelling and the token that each is to find; an encoder masks the first of the main."""
        prompt, main = self.ids(document[0]), self.ids(f" {document[1]}")
        if not self.encoder:
            return self.states(prompt + main, table)[len(prompt) - 1 : -1], main
        n_masked = max(1, round(0.15 * len(main)))
        mask = self.tokenizer.mask_token_id
        states = self.states(self._wrapped(prompt + [mask] * n_masked + main[n_masked:]), table)
        return states[1 + len(prompt) :][:n_masked], main[:n_masked]

    def answer(self, prompt: str, table: Array) -> Array:
        """The state that answers a question."""
        if not self.encoder:
            return self.states(self.ids(prompt), table)[-1]
        return self.states(self._wrapped([*self.ids(prompt), self.tokenizer.mask_token_id]), table)[-2]

    def item_scores(self, states: Array) -> Array:
        """Scores of all items but the padding, which is none."""
        items = table(self.model.collaborative)[self.model.n_users + 1 :]
        return states @ items.T

    def word_scores(self, states: Array) -> Array:
        """Scores of all words."""
        if not self.encoder:
            return states @ self.words.T
        (linear, _, norm), bias = self.model.backbone.transform, self.model.backbone.bias
        h = states @ linear.weight.detach().numpy().T + linear.bias.detach().numpy()
        h = h * (1 + np.vectorize(math.erf)(h / math.sqrt(2))) / 2
        h = (h - h.mean(1, keepdims=True)) / np.sqrt(h.var(1, keepdims=True) + norm.eps)
        h = h * norm.weight.detach().numpy() + norm.bias.detach().numpy()
        return h @ self.words.T + bias.detach().numpy()

    def item_loss(self, documents: list[Spelt], scope: str, question: bool = False) -> float:
        """The loss of an L-step or, with ``question``, of a step of finetuning."""
        own, likelihood, n_targets = table(self.model.collaborative), 0.0, 0
        for prompt, main in documents:
            states, targets = self.predicted((prompt, main), own)
            if question:
                targets = self.ids(main)
                states = np.stack([self.answer(prompt, own)] * len(targets))
            first = len(self.words) + self.model.n_users + 1
            likelihood += surprise(self.item_scores(states), [target - first for target in targets])
            n_targets += len(targets)
        return self._total(likelihood, n_targets, documents, "collaborative", scope)

    def word_loss(self, documents: list[Spelt], scope: str, regularised: bool) -> float:
        """The loss of a C-step or, if not ``regularised``, of the warm-up."""
        own, likelihood, n_targets = table(self.model.content), 0.0, 0
        for document in documents:
            states, targets = self.predicted(document, own)
            likelihood += surprise(self.word_scores(states), targets)
            n_targets += len(targets)
        return self._total(likelihood, n_targets, documents, "content" if regularised else None, scope)

    def _total(self, likelihood: float, n_targets: int, documents: list[Spelt], own: str | None, scope: str) -> float:
        squares = 0.0
        if own is not None and self.model.content is not None:
            difference = table(self.model.collaborative) - table(self.model.content)
            ids = [i for spelt in documents for text in spelt for i in self.ids(text) if i not in self.ids(UNTOLD)]
            entities = [i - len(self.words) for i in ids]
            squares = sum(float(difference[e] @ difference[e]) for e in entities if e >= 0)
        lambda_c = self.model.options.lambda_c
        if scope == "per-document":
            return (likelihood + lambda_c / 2 * squares) / len(documents)
        return likelihood / n_targets + lambda_c * squares

    def _wrapped(self, ids: list[int]) -> list[int]:
        return [self.tokenizer.cls_token_id, *ids, self.tokenizer.sep_token_id]


def table(view: torch.nn.Module) -> Array:
    """The embeddings of a view: a row a user, then a row an item."""
    return torch.cat([view.users, view.rows().items]).detach().numpy()


def surprise(scores: Array, targets: list[int]) -> float:
    """−Σ ln softmax(scores)[target]."""
    p = np.exp(scores.astype(np.float64))
    p /= p.sum(axis=1, keepdims=True)
    return -sum(math.log(p[k, target]) for k, target in enumerate(targets))


def apart(model: CLLM4Rec) -> CLLM4Rec:
    """The model with large tokens, so that no error in them is lost in rounding."""
    generator = torch.Generator().manual_seed(3)
    for view in filter(None, (model.collaborative, model.content)):
        for rows in view.parameters():
            rows.data.normal_(std=0.5, generator=generator)
    return model


def build(folder, **changes) -> CLLM4Rec:
    return apart(toy.build(toy.options(folder, **changes)))


def passes(model: CLLM4Rec, config) -> dict[str, dict]:
    return {stage.name: {current.name: current for current in stage.passes} for stage in toy.stages(config, model)}


def scores(model: CLLM4Rec, *users: int) -> torch.Tensor:
    return model.full_sort_predict(Interaction({"user": torch.tensor(users)})).view(len(users), -1)
