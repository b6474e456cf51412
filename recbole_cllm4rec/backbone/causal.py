"""Decoder-only backbones (GPT-2, LLaMA): every token is predicted from the state before it."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recbole_cllm4rec.backbone.base import Backbone, IntArray, Layout, WordScores
from recbole_cllm4rec.errors import UserError


class CausalBackbone(Backbone):
    """Next-token prediction; the first main token is predicted from the prompt's last position."""

    overhead = 0

    def __init__(self, lm: nn.Module, tokenizer: Any, max_length: int, trainable: bool):
        """``lm``: an ``AutoModelForCausalLM``. Its head is kept where it is tied to the word embeddings; else a new one
        is initialised at random and learnt, as in the paper.
        """
        tied = lm.get_output_embeddings().weight is lm.get_input_embeddings().weight  # type: ignore[operator]
        self.factor, self.cap = _how_scored(lm.eval()) if tied else (1.0, None)
        super().__init__(lm.base_model, tokenizer, max_length, trainable)  # type: ignore[arg-type]
        self.head = None if tied else nn.Linear(self.hidden_size, self.vocabulary_size, bias=False)

    def lay_out_text(self, prompt: IntArray, main: IntArray, rng: np.random.Generator) -> Layout:
        """The last main token is never fed in: nothing is predicted from it."""
        reads = np.arange(len(main)) + len(prompt) - 1
        return Layout(np.concatenate([prompt, main[:-1]]), reads, main)

    def lay_out_question(self, prompt: IntArray, main: IntArray) -> Layout:
        """The state is read at the prompt's last token."""
        return Layout(prompt, np.array([len(prompt) - 1]), main)

    def lay_out_words(self, words: IntArray) -> Layout:
        """All states are read."""
        return Layout(words, np.arange(len(words)), words)

    def word_head(self, states: Tensor) -> WordScores:
        """Z_t h, tied, or the learnt head, in its own precision, where the backbone's own is not tied."""
        if self.head is None:
            read = states if self.factor == 1 else states * self.factor
            return WordScores(read, self.word_embeddings, cap=self.cap)
        return WordScores(states.to(self.head.weight.dtype), self.head.weight)

    def _attention_mask(self, mask: Tensor | None) -> None:
        """Padding stands at the right, where no causal state sees it."""


@torch.no_grad()
def _how_scored(lm: Any) -> tuple[float, float | None]:
    """By what a tied head multiplies Z_t h, 1 for most, and at what it caps scores, if it does (Gemma 2).

    Raises :class:`UserError` where it does anything else to them.
    """
    words = lm.get_output_embeddings().weight
    ids = torch.arange(min(8, len(words)))[None]
    scores = lm(input_ids=ids).logits.float()
    plain = (lm.base_model(input_ids=ids).last_hidden_state @ words.T).float()
    cap: float | None = getattr(lm.config, "final_logit_softcapping", None)
    factor = 1.0 if cap or torch.equal(scores, plain) else (scores.norm() / plain.norm()).item()
    expected = cap * torch.tanh(plain / cap) if cap else factor * plain
    if (scores - expected).norm() > 0.02 * scores.norm():  # rounding in bfloat16 is some 0.001
        raise UserError("this backbone scores words by more than their table: take one with a plain head, as GPT-2's")
    return factor, cap
