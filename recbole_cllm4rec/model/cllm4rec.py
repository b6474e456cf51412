"""CLLM4Rec: user and item tokens of two views, collaborative and content, in one frozen language model."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from recbole.data.interaction import Interaction
from recbole.model.abstract_recommender import GeneralRecommender
from recbole.utils import InputType
from torch import Tensor, nn
from tqdm import tqdm

from recbole_cllm4rec.backbone.lengths import batches_by_length
from recbole_cllm4rec.backbone.load import load_backbone
from recbole_cllm4rec.backbone.precision import resolve_precision
from recbole_cllm4rec.backbone.sentences import encode_sentences
from recbole_cllm4rec.corpus.batching import Batch, collate, tokens_at_once
from recbole_cllm4rec.corpus.documents import Document, HistoryPrompt
from recbole_cllm4rec.corpus.text import Corpus, IntArray
from recbole_cllm4rec.corpus.tokens import ExtendedVocabulary
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.model.losses import mutual_regularisation, negative_log_likelihood, total_loss
from recbole_cllm4rec.model.options import CLLM4RecOptions
from recbole_cllm4rec.model.ranking import Ranking
from recbole_cllm4rec.model.sampling import sample_items
from recbole_cllm4rec.model.view import LAZY_LEARNER, View
from recbole_cllm4rec.options import read_options

USERS_AT_ONCE = 4096
"""Users that are read before they are ranked, so that a batch holds histories of like length."""
NOTHING = np.empty(0, dtype=np.int64)


class CLLM4Rec(GeneralRecommender):
    """Collaborative Large Language Model for Recommender Systems (WWW 2024, arXiv 2311.01343).

    Its trainer walks the stages of pretraining and finetuning; see :mod:`recbole_cllm4rec.training`.
    """

    input_type = InputType.POINTWISE

    def __init__(self, config: Any, dataset: Any):
        """``dataset``: the training part, which carries the text (:class:`recbole_cllm4rec.dataset.TextDataset`)."""
        super().__init__(config, dataset)
        self.options = read_options(CLLM4RecOptions, config)
        options = self.options
        self.backbone = load_backbone(
            options.backbone,
            options.pretrained,
            resolve_precision(options.precision, self.device),
            options.train_backbone,
            options.max_length,
            options.text_mask_share,
            config["seed"],
        ).to(self.device)
        self.corpus: Corpus = dataset.corpus()
        self.vocabulary = ExtendedVocabulary(self.backbone.vocabulary_size, self.corpus.n_users, self.corpus.n_items)
        sparse = config["learner"] == LAZY_LEARNER
        self.collaborative = View(self.vocabulary, self.backbone.hidden_size, sparse).to(self.device)
        self.content = (
            View(self.vocabulary, self.backbone.hidden_size, sparse).to(self.device) if options.content_view else None
        )
        self.samples_items = self.n_items - 1 > options.sampled_above
        self.history_prompt = HistoryPrompt(self.vocabulary, self.backbone.words)
        self.history_room = self.history_prompt.room(self.backbone.max_length - self.backbone.overhead)
        self.asks_question = config["epochs"] > 0  # LLM-PreRec is never taught the question, so it is not asked
        if options.token_init == "text":
            self.start_from_text(config["show_progress"])

    def states(self, batch: Batch, view: View) -> Tensor:
        """The states [R, K] that the batch reads, its user and item tokens embedded by ``view``."""
        n_words = self.vocabulary.n_words
        words = nn.functional.embedding(batch.ids.clamp(max=n_words - 1), self.backbone.word_embeddings)  # [B, T, K]
        where = (batch.ids >= n_words).nonzero(as_tuple=True)
        tokens = view(batch.ids[where] - n_words)
        embeddings = words.index_put(where, tokens.to(words.dtype))
        return self.backbone(embeddings, batch.mask)[batch.rows, batch.columns]

    def item_logits(self, states: Tensor) -> Tensor:
        """Scores of all items [R, J], the tied head Z_l^v h; RecBole's padding item can never be drawn."""
        logits = (states @ self.collaborative.items.to(states.dtype).T).float()
        return logits.index_fill(1, torch.zeros(1, dtype=torch.long, device=logits.device), -torch.inf)

    def collaborative_loss(self, batch: Batch) -> Tensor:
        """Items from the items before or around them (the paper's L-step and finetuning objectives)."""
        targets = batch.targets - self.vocabulary.item(0)
        likelihood = self._item_likelihood(self.states(batch, self.collaborative), batch.reads, targets)
        return self._regularised(likelihood, batch, self.collaborative, self.content)

    def content_loss(self, batch: Batch, regularised: bool = True) -> Tensor:
        """Words from the words before or around them (the paper's C-step objective).

        Without regularisation it is the warm-up, when no collaborative view is there yet to be followed.
        """
        assert self.content is not None, "LLM-CF has no content stage"
        states, weight, bias = self.backbone.word_head(self.states(batch, self.content))
        likelihood = negative_log_likelihood(states, weight, batch.reads, batch.targets, bias)
        return self._regularised(likelihood, batch, self.content, self.collaborative if regularised else None)

    @torch.no_grad()
    def full_sort_predict(self, interaction: Interaction) -> Tensor:
        """Scores of all items for B users, in one forward pass a user [B · J]; the whole history is in the prompt."""
        return self.item_logits(self.user_states(interaction[self.USER_ID].cpu().numpy())).view(-1)

    def predict(self, interaction: Interaction) -> Tensor:
        """Scores of B pairs [B]."""
        scores = self.full_sort_predict(interaction).view(-1, self.n_items)
        return scores.gather(1, interaction[self.ITEM_ID].view(-1, 1)).squeeze(1)

    @torch.no_grad()
    def recommend(
        self,
        users: Sequence[int] | IntArray,
        k: int,
        exclude_history: bool = True,
        show_progress: bool = False,
        excluded: Sequence[IntArray] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The ``k`` best items of each of U users, best first: ids [U, k] and float32 scores [U, k], in internal ids.

        Memory does not grow with users times items. ``exclude_history``: leave out the items of the training part, or
        in their place those of ``excluded``, for each of ``users``. Ties go to the lower id; where fewer than ``k``
        items are left, the padding item with a score of −inf fills up.
        """
        training = self.training
        self.eval()
        ranking = Ranking(self.collaborative.items, self.backbone.dtype)
        found = [(torch.empty(0, k, dtype=torch.long), torch.empty(0, k))]
        with tqdm(total=len(users), desc="recommend", unit="user", disable=not show_progress) as bar:
            for start in range(0, len(users), USERS_AT_ONCE):
                some = np.asarray(users[start : start + USERS_AT_ONCE], dtype=np.int64)
                known = [self.corpus.histories[user] for user in some] if exclude_history else None
                if excluded is not None:
                    known = list(excluded[start : start + USERS_AT_ONCE])
                items, scores = ranking.best(self.user_states(some), k, known)
                found.append((items.cpu(), scores.cpu()))
                bar.update(len(some))
        self.train(training)
        items, scores = (torch.cat(parts) for parts in zip(*found, strict=True))
        return items, scores

    def user_states(self, users: IntArray) -> Tensor:
        """What the item head reads to score each of B users [B, K]."""
        documents = [self.prediction(int(user)) for user in users]
        layouts = [self.backbone.lay_out_question(*document) for document in documents]
        states = torch.empty(len(users), self.backbone.hidden_size, dtype=self.backbone.dtype, device=self.device)
        lengths = np.array([len(layout.ids) for layout in layouts], dtype=np.int64)
        most = tokens_at_once(self.device, self.options.max_batch_tokens)
        for rows in batches_by_length(lengths, len(users), most):
            batch = collate([documents[r] for r in rows], [layouts[r] for r in rows], self.vocabulary.n_words)
            states[torch.from_numpy(rows)] = self.states(batch.to(self.device), self.collaborative)
        return states

    def prediction(self, user: int) -> Document:
        """What the backbone reads to score a user: the whole training history, or as much of it as there is room."""
        ask = self.history_prompt.question if self.asks_question else self.history_prompt.continuation
        return Document(ask(user, self.corpus.histories[user][: self.history_room]), NOTHING)

    @torch.no_grad()
    def start_from_text(self, show_progress: bool) -> None:
        """Both views' tokens start at the encoded sentence of their text; tokens without a text stay random."""
        view = self.collaborative
        found, tokens = self._tokens(self.corpus.item_texts, "items", show_progress)
        if not len(found):
            raise UserError(
                "token_init is text, but no item has one: name its columns in text_fields, or choose random"
            )
        if len(found) < self.n_items - 1:
            self.logger.info(f"{self.n_items - 1 - len(found)} items have no text; their tokens start at random")
        view.items[found] = tokens
        found, tokens = self._tokens(self.corpus.user_texts, "users", show_progress)
        view.users[found] = tokens
        if self.content is not None:
            self.content.load_state_dict(view.state_dict())

    def _item_likelihood(self, states: Tensor, reads: Tensor, targets: Tensor) -> Tensor:
        """Of the items ``targets`` [P] by Z_l^v h of all items or, if they are many, of a sample with the targets."""
        if not self.samples_items:  # RecBole's padding item is never a target
            return negative_log_likelihood(states, self.collaborative.items[1:], reads, targets - 1)
        sample = sample_items(targets, self.n_items, self.options.n_sampled)
        rows = self.collaborative.items_at(sample.items)  # [C, K]
        return negative_log_likelihood(states, rows, reads, sample.positions, sample.corrections)

    def _tokens(self, texts: Sequence[str], whose: str, show_progress: bool) -> tuple[Tensor, Tensor]:
        """Indices [M] of the texts that have a word, and a token for each [M, K]."""
        found, sentences = encode_sentences(self.backbone, texts, whose, show_progress, self.options.max_batch_tokens)
        # Centred, as what all texts share tells nothing apart; and of a word's length, which the backbone is used to.
        directions = nn.functional.normalize(sentences - sentences.mean(0))
        return found, directions * self.backbone.word_embeddings.float().norm(dim=1).mean()

    def _regularised(self, likelihood: Tensor, batch: Batch, own: View, other: View | None) -> Tensor:
        penalty = likelihood.new_zeros(())
        if other is not None:
            tokens = batch.entities - self.vocabulary.n_words
            penalty = mutual_regularisation(own(tokens), other(tokens))
        scope = self.options.loss_scope
        return total_loss(likelihood, penalty, self.options.lambda_c, *batch.whole, scope)
