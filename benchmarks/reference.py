"""A plain reference in the manner of the released code: what there is to be faster than.

float32, eager attention, the activations as the checkpoint names them, batches of 20 documents in file order padded to
their longest, all logits in memory, dense Adam over both tables. A causal backbone reads the prompt and the main text
in two passes, the second with the cached keys of the first. An encoder sees both sides, so that nothing can be cached:
it reads a document in one pass, and scores every position of it, as models of masked words do.

Losses and documents are the package's: the loss of the paper, its first main token predicted from the prompt's last.
"""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModel

from benchmarks.workload import Workload
from recbole_cllm4rec.backbone.base import Layout
from recbole_cllm4rec.backbone.encoder import EncoderBackbone
from recbole_cllm4rec.corpus.documents import Document
from recbole_cllm4rec.corpus.text import IntArray
from recbole_cllm4rec.model.cllm4rec import CLLM4Rec
from recbole_cllm4rec.model.view import View

BATCH = 20
IGNORED = -100


class Tables(nn.Module):
    """Embeddings of users and items of one view."""

    def __init__(self, view: View):
        super().__init__()
        self.users = nn.Embedding.from_pretrained(view.users.detach().clone(), freeze=False)
        self.items = nn.Embedding.from_pretrained(view.items.detach().clone(), freeze=False)


class Reference(nn.Module):
    """The model of a workload, computed plainly; its tables start where the model's are."""

    def __init__(self, workload: Workload, location: str):
        """``location``: the folder of the backbone's weights."""
        super().__init__()
        model: CLLM4Rec = workload.model
        self.lm: Any = AutoModel.from_pretrained(location, dtype=torch.float32, attn_implementation="eager")
        self.lm.to(workload.device).eval().requires_grad_(False)
        self.collaborative = Tables(model.collaborative)
        assert model.content is not None
        self.content = Tables(model.content)
        self.is_encoder = isinstance(model.backbone, EncoderBackbone)
        if isinstance(model.backbone, EncoderBackbone):
            self.transform = copy.deepcopy(model.backbone.transform)
            self.bias = nn.Parameter(model.backbone.bias.detach().clone())
        self.n_words, self.n_users = model.vocabulary.n_words, model.vocabulary.n_users
        self.lambda_c = model.options.lambda_c
        self.told = torch.from_numpy(model.corpus.described()).to(workload.device)  # the views start apart
        self.device = workload.device

    def content_loss(self, documents: Sequence[Document], layouts: Sequence[Layout]) -> Tensor:
        """Words given words."""
        return self._text_loss(documents, layouts, self.content, self.collaborative, self._word_logits, 0)

    def collaborative_loss(self, documents: Sequence[Document], layouts: Sequence[Layout]) -> Tensor:
        """Items given items."""
        first = self.n_words + self.n_users
        return self._text_loss(documents, layouts, self.collaborative, self.content, self._item_logits, first)

    def recommendation_loss(self, documents: Sequence[Document], layouts: Sequence[Layout]) -> Tensor:
        """All held-out items at the end of the prompt, as a row of ones and zeros for every document."""
        logits = self._answers(layouts)
        wanted = torch.zeros_like(logits)
        for row, document in zip(wanted, documents, strict=True):
            row[self._tensor(document.main) - self.n_words - self.n_users] = 1
        likelihood = -(logits.log_softmax(dim=1).nan_to_num(neginf=0) * wanted).sum()
        return self._regularised(likelihood, documents, self.collaborative, self.content)

    @torch.no_grad()
    def scores(self, layouts: Sequence[Layout]) -> Tensor:
        """Scores of all items [U, J], 20 users at a time."""
        return torch.cat([self._answers(layouts[start : start + BATCH]) for start in range(0, len(layouts), BATCH)])

    def _answers(self, layouts: Sequence[Layout]) -> Tensor:
        ids, mask = self._padded([layout.ids for layout in layouts])
        states = self.lm(inputs_embeds=self._embed(ids, self.collaborative), attention_mask=mask).last_hidden_state
        ends = torch.tensor([int(layout.reads[0]) for layout in layouts], device=self.device)
        return self._item_logits(states[torch.arange(len(ids), device=self.device), ends])

    def _text_loss(
        self,
        documents: Sequence[Document],
        layouts: Sequence[Layout],
        own: Tables,
        other: Tables,
        head: Any,
        first: int,
    ) -> Tensor:
        states, targets = (
            self._masked_text(layouts, own, first) if self.is_encoder else self._causal_text(documents, own, first)
        )
        logits = head(states)  # [B, T, C], all there at once
        likelihood = nn.functional.cross_entropy(
            logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum"
        )
        return self._regularised(likelihood, documents, own, other)

    def _causal_text(self, documents: Sequence[Document], tables: Tables, first: int) -> tuple[Tensor, Tensor]:
        """States [B, M, K] that predict, and what they predict [B, M], by a pass over prompts, then main texts."""
        prompts, prompt_mask = self._padded([document.prompt for document in documents])
        mains, main_mask = self._padded([document.main for document in documents])
        prompt = self.lm(inputs_embeds=self._embed(prompts, tables), attention_mask=prompt_mask.long(), use_cache=True)
        lengths = prompt_mask.sum(dim=1)
        main = self.lm(
            inputs_embeds=self._embed(mains, tables),
            attention_mask=torch.cat([prompt_mask, main_mask], dim=1).long(),
            position_ids=lengths[:, None] + torch.arange(mains.shape[1], device=self.device),
            past_key_values=prompt.past_key_values,
            use_cache=True,
        )
        ends = prompt.last_hidden_state[torch.arange(len(mains), device=self.device), lengths - 1]
        states = torch.cat([ends[:, None], main.last_hidden_state[:, :-1]], dim=1)
        return states, (mains - first).masked_fill(~main_mask, IGNORED)

    def _masked_text(self, layouts: Sequence[Layout], tables: Tables, first: int) -> tuple[Tensor, Tensor]:
        """The same of an encoder [B, T, K], [B, T], in one pass over whole documents."""
        ids, mask = self._padded([layout.ids for layout in layouts])
        targets = torch.full_like(ids, IGNORED)
        for row, layout in zip(targets, layouts, strict=True):
            row[self._tensor(layout.reads)] = self._tensor(layout.targets) - first
        states = self.lm(inputs_embeds=self._embed(ids, tables), attention_mask=mask.long()).last_hidden_state
        return states, targets

    def _embed(self, ids: Tensor, tables: Tables) -> Tensor:
        embeddings = self.lm.get_input_embeddings()(ids.clamp(max=self.n_words - 1))
        users = (ids >= self.n_words) & (ids < self.n_words + self.n_users)
        items = ids >= self.n_words + self.n_users
        embeddings[users] = tables.users(ids[users] - self.n_words)
        embeddings[items] = tables.items(ids[items] - self.n_words - self.n_users)
        return embeddings

    def _word_logits(self, states: Tensor) -> Tensor:
        weight = self.lm.get_input_embeddings().weight
        return self.transform(states) @ weight.T + self.bias if self.is_encoder else states @ weight.T

    def _item_logits(self, states: Tensor) -> Tensor:
        logits = states @ self.collaborative.items.weight.T
        logits[..., 0] = -torch.inf  # RecBole's padding item
        return logits

    def _regularised(self, likelihood: Tensor, documents: Sequence[Document], own: Tables, other: Tables) -> Tensor:
        tokens = self._tensor(np.concatenate([part for document in documents for part in document]))
        known = tokens[tokens >= self.n_words] - self.n_words
        known = known[self.told[known]]
        users, items = known[known < self.n_users], known[known >= self.n_users] - self.n_users
        penalty = (own.users(users) - other.users(users).detach()).square().sum()
        penalty = penalty + (own.items(items) - other.items(items).detach()).square().sum()
        return (likelihood + self.lambda_c / 2 * penalty) / len(documents)

    def _padded(self, rows: Sequence[IntArray]) -> tuple[Tensor, Tensor]:
        """Ids [B, T] and true where a token is [B, T]."""
        width = max(map(len, rows))
        ids = torch.zeros(len(rows), width, dtype=torch.long)
        mask = torch.zeros(len(rows), width, dtype=torch.bool)
        for b, row in enumerate(rows):
            ids[b, : len(row)] = torch.from_numpy(row)
            mask[b, : len(row)] = True
        return ids.to(self.device), mask.to(self.device)

    def _tensor(self, values: IntArray) -> Tensor:
        return torch.from_numpy(values).to(self.device)
