"""Encoder-only backbones (BERT): masked tokens are predicted from both sides."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recbole_cllm4rec.backbone.base import Backbone, IntArray, Layout, WordScores


class EncoderBackbone(Backbone):
    """Masked-token prediction in place of next-token prediction; the recommendation state is that of a mask token."""

    overhead = 3  # [CLS], [SEP] and the [MASK] of a question

    def __init__(self, model: nn.Module, tokenizer: Any, max_length: int, trainable: bool, mask_share: float):
        """``mask_share``: the share of a main text that is masked, one token at least."""
        super().__init__(model, tokenizer, max_length, trainable)
        self.mask_share = mask_share
        K = self.hidden_size
        # Sentence encoders ship no masked-word head; this is BERT's own, learnt in the content stage and tied to Z_t.
        self.transform = nn.Sequential(nn.Linear(K, K), nn.GELU(), nn.LayerNorm(K))
        self.bias = nn.Parameter(torch.zeros(self.vocabulary_size))

    def lay_out_text(self, prompt: IntArray, main: IntArray, rng: np.random.Generator) -> Layout:
        """``[CLS] prompt | main, some of it masked [SEP]``; only masked tokens are predicted."""
        n_masked = max(1, round(self.mask_share * len(main)))
        masked = np.sort(rng.choice(len(main), n_masked, replace=False))
        shown = main.copy()
        shown[masked] = self.tokenizer.mask_token_id
        return Layout(self._wrap(prompt, shown), 1 + len(prompt) + masked, main[masked])

    def lay_out_question(self, prompt: IntArray, main: IntArray) -> Layout:
        """``[CLS] prompt [MASK] [SEP]``; the state is read at the mask."""
        ids = self._wrap(prompt, np.array([self.tokenizer.mask_token_id]))
        return Layout(ids, np.array([len(ids) - 2]), main)

    def lay_out_words(self, words: IntArray) -> Layout:
        """``[CLS] words [SEP]``; all states are read, as sentence encoders pool them."""
        ids = self._wrap(words)
        return Layout(ids, np.arange(len(ids)), words)

    def word_head(self, states: Tensor) -> WordScores:
        """The transformed state against the word embeddings."""
        transformed = self.transform(states.to(self.bias.dtype))
        return WordScores(transformed.to(self.dtype), self.word_embeddings, self.bias)

    def _wrap(self, *parts: IntArray) -> IntArray:
        return np.concatenate([[self.tokenizer.cls_token_id], *parts, [self.tokenizer.sep_token_id]])
