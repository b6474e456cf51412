"""Decoder-only backbones (GPT-2, LLaMA): every token is predicted from the state before it."""

from typing import Any

import numpy as np
from torch import Tensor, nn

from recbole_cllm4rec.backbone.base import Backbone, IntArray, Layout


class CausalBackbone(Backbone):
    """Next-token prediction; the first main token is predicted from the prompt's last position."""

    overhead = 0

    def __init__(self, lm: nn.Module, tokenizer: Any, max_length: int, trainable: bool):
        """``lm``: an ``AutoModelForCausalLM``. Its head is kept where it is tied to the word embeddings; else a new one
        is initialised at random and learnt, as in the paper.
        """
        super().__init__(lm.base_model, tokenizer, max_length, trainable)  # type: ignore[arg-type]
        tied = lm.get_output_embeddings().weight is self.word_embeddings  # type: ignore[operator]
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

    def word_head(self, states: Tensor) -> tuple[Tensor, Tensor, None]:
        """softmax(Z_t h), tied, or the learnt head, in its own precision, where the backbone's own is not tied."""
        if self.head is None:
            return states, self.word_embeddings, None
        return states.to(self.head.weight.dtype), self.head.weight, None

    def _attention_mask(self, mask: Tensor | None) -> None:
        """Padding stands at the right, where no causal state sees it."""
