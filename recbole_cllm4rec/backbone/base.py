"""What every backbone offers: word embeddings in, states out, and where in a document its states predict."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from recbole_cllm4rec.errors import UserError

IntArray = NDArray[np.int64]


class Layout(NamedTuple):
    """One document as a backbone reads it: ``ids`` [T] fed in, ``reads`` [R] positions whose states predict, and the
    ``targets`` [P] to be predicted there, as token ids.
    """

    ids: IntArray
    reads: IntArray
    targets: IntArray


class WordScores(NamedTuple):
    """What the scores of all words are made of: W h + b, or c tanh((W h + b) / c) where they are capped at ±c.

    ``states`` h [P, K]; ``weight`` W [N, K]; ``bias`` b [N].
    """

    states: Tensor
    weight: Tensor
    bias: Tensor | None = None
    cap: float | None = None


class Backbone(nn.Module, ABC):
    """A language model without its token-level input and output, frozen unless it is to be trained.

    ``hidden_size`` K; ``vocabulary_size`` N; ``max_length`` T, the tokens that a document may have; ``overhead`` the
    special tokens that the backbone itself adds to a document.
    """

    overhead: int

    def __init__(self, model: nn.Module, tokenizer: Any, max_length: int, trainable: bool):
        """``model``: the transformer without a head, in the precision to compute in."""
        super().__init__()
        self.model = model.requires_grad_(trainable).train(trainable)
        self.tokenizer = tokenizer
        self.trainable = trainable
        self.max_length = max_length
        self.hidden_size: int = self.word_embeddings.shape[1]
        self.vocabulary_size: int = self.word_embeddings.shape[0]
        self.scale = _scale(model.get_input_embeddings())  # type: ignore[operator]
        self._fingerprint: str | None = None  # once the weights are elsewhere

    def train(self, mode: bool = True) -> "Backbone":
        """Dropout stays off in a frozen backbone: there is nothing to regularise."""
        super().train(mode)
        self.model.train(mode and self.trainable)
        return self

    @property
    def word_embeddings(self) -> Tensor:
        """Z_t [N, K]."""
        weight: Tensor = self.model.get_input_embeddings().weight  # type: ignore[operator]
        return weight

    @property
    def layers(self) -> nn.ModuleList:
        """The blocks of the transformer, which hold most of its weights."""
        lists = [module for module in self.model.modules() if isinstance(module, nn.ModuleList)]
        return max(lists, key=lambda blocks: sum(p.numel() for p in blocks.parameters()))

    @property
    def dtype(self) -> torch.dtype:
        """The precision computed in."""
        return self.word_embeddings.dtype

    def words(self, texts: Sequence[str]) -> list[IntArray]:
        """Token ids of each text, without special tokens and whatever its length."""
        encoded = self.tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
        return [np.asarray(ids, dtype=np.int64) for ids in encoded]

    @abstractmethod
    def lay_out_text(self, prompt: IntArray, main: IntArray, rng: np.random.Generator) -> Layout:
        """Language modelling of the main text given the prompt."""

    @abstractmethod
    def lay_out_question(self, prompt: IntArray, main: IntArray) -> Layout:
        """One state after the prompt, from which everything in ``main`` is predicted."""

    @abstractmethod
    def lay_out_words(self, words: IntArray) -> Layout:
        """A plain text, whose states at ``reads`` are averaged to encode it."""

    @abstractmethod
    def word_head(self, states: Tensor) -> WordScores:
        """The scores of all words at P positions, by their ``states`` [P, K]."""

    def forward(self, embeddings: Tensor, mask: Tensor | None) -> Tensor:
        """Last hidden states [B, T, K] of ``embeddings`` [B, T, K], rows of Z_t or like them; ``mask`` [B, T] is true
        where a token is.
        """
        read = embeddings if self.scale == 1 else embeddings * self.scale
        states: Tensor = self.model(inputs_embeds=read, attention_mask=self._attention_mask(mask)).last_hidden_state
        return states

    def _attention_mask(self, mask: Tensor | None) -> Tensor | None:
        return mask

    def fingerprint(self) -> str:
        """sha256 of the weights, names and shapes included, so that a result says which model made it."""
        if self._fingerprint is not None:
            return self._fingerprint
        digest = hashlib.sha256()
        for name, tensor in sorted(self.model.state_dict().items()):
            digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def keep_fingerprint(self) -> None:
        """While all weights are here: soon no process will have more than its share of them."""
        self._fingerprint = self.fingerprint()


@torch.no_grad()
def _scale(embedding: Any) -> float:
    """By what a model multiplies the rows of its table when it looks them up: √K for Gemma, 1 for most.

    Raises :class:`UserError` where it does anything else to them.
    """
    rows = embedding.weight[:64]
    embedded = embedding(torch.arange(len(rows), device=rows.device))
    if torch.equal(embedded, rows):
        return 1.0
    scale = (embedded.double().norm() / rows.double().norm()).item()
    if not torch.allclose(embedded, scale * rows, rtol=1e-2):
        raise UserError("this backbone embeds words by more than a table: take one with a plain table, as GPT-2's")
    return scale
