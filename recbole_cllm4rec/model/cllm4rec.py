"""CLLM4Rec: user and item tokens of two views, collaborative and content, in one frozen language model."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from recbole.data.interaction import Interaction
from recbole.model.abstract_recommender import GeneralRecommender
from recbole.utils import InputType
from torch import Tensor, nn
from tqdm import tqdm

from recbole_cllm4rec import processes
from recbole_cllm4rec.backbone.base import Backbone
from recbole_cllm4rec.backbone.lengths import batches_by_length
from recbole_cllm4rec.backbone.load import load_backbone
from recbole_cllm4rec.backbone.precision import resolve_precision
from recbole_cllm4rec.corpus.batching import Batch, collate, tokens_at_once
from recbole_cllm4rec.corpus.documents import Document, HistoryPrompt
from recbole_cllm4rec.corpus.text import Corpus, Histories, IntArray, recency_weights
from recbole_cllm4rec.corpus.tokens import ExtendedVocabulary
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.model.closed_form import Matrix, sentence_rows, tfidf_rows
from recbole_cllm4rec.model.head import PooledHead
from recbole_cllm4rec.model.losses import mutual_regularisation, negative_log_likelihood, total_loss
from recbole_cllm4rec.model.options import CLLM4RecOptions
from recbole_cllm4rec.model.prior import HistoryPrior, build_prior
from recbole_cllm4rec.model.ranking import Ranking, best_of
from recbole_cllm4rec.model.sampling import sample_items, sampling_stream
from recbole_cllm4rec.model.view import LAZY_LEARNER, Rows, View
from recbole_cllm4rec.options import read_options

USERS_AT_ONCE = 4096
"""Users that are read before they are ranked, so that a batch holds histories of like length."""
SCORES = 2**25
"""Scores held at once where a prior makes all of them; in float32 128 MB."""
NOTHING = np.empty(0, dtype=np.int64)


class CLLM4Rec(GeneralRecommender):
    """Collaborative Large Language Model for Recommender Systems (WWW 2024, arXiv 2311.01343).

    Its trainer walks the stages of pretraining and finetuning; see :mod:`recbole_cllm4rec.training`.
    """

    input_type = InputType.POINTWISE
    sparse_gradients = True  # if ``learner`` is sparse_adam
    in_own_precision = True  # its trainer knows nothing of RecBole's enable_amp
    told: Tensor

    def __init__(self, config: Any, dataset: Any):
        """``dataset``: the training part, which carries the text (:class:`recbole_cllm4rec.dataset.TextDataset`)."""
        super().__init__(config, dataset)
        self.options = options = read_options(CLLM4RecOptions, config)
        self.backbone = self._load_backbone(config["seed"])
        hidden_size = self.backbone.hidden_size
        self.corpus: Corpus = dataset.corpus()
        self.histories = self.corpus.histories  # read of users that are scored
        options.check_texts(self.corpus.item_texts, remedy="choose --variant=no-text")
        self.vocabulary = ExtendedVocabulary(self.backbone.vocabulary_size, self.corpus.n_users, self.corpus.n_items)
        readers = set(options.readers_of_items())
        words = tfidf_rows(self.corpus.item_texts) if readers & {"shared_words", "tfidf_weight"} else None
        view = partial(View, self.vocabulary, hidden_size, config["learner"] == LAZY_LEARNER)
        self.collaborative = view(words if options.shared_words else None).to(self.device)
        self.content = view().to(self.device) if options.content_view else None
        # Where the views start apart, a content token that no text teaches is noise, and nothing to be regularised to;
        # where they start alike, at texts, it holds the other at its start.
        told = torch.from_numpy(self.corpus.described()) | (options.token_init == "text")
        self.register_buffer("told", told.to(self.device), persistent=False)
        self.samples_items = self.n_items - 1 > options.sampled_above
        self.sampling = sampling_stream(config["seed"])
        self.history_prompt = HistoryPrompt(self.vocabulary, self.backbone.words)
        self.history_room = self.history_prompt.room(self.backbone.max_length - self.backbone.overhead)
        self.asks_question = config["epochs"] > 0  # LLM-PreRec is never taught the question, so it is not asked
        self.head = None
        if options.item_head != "state":
            head = PooledHead(self.n_items, hidden_size, options.pool_attention, options.user_shrink)
            self.head = head.to(self.device)
        encoded = partial(sentence_rows, self.backbone, config=config, max_batch_tokens=options.max_batch_tokens)
        starts_at_texts = options.token_init == "text" and not config["brought_back"]
        reads_sentences = starts_at_texts or "sentence_weight" in readers
        sentences = encoded(self.corpus.item_texts, "items") if reads_sentences else None
        self.prior: HistoryPrior | None = None
        if options.has_prior:
            histories, progress = self.corpus.histories, config["show_progress"]
            self.prior = build_prior(options, histories, self.n_items, words, sentences, self.device, progress)
        if starts_at_texts and sentences is not None:
            self._start_from_text(sentences, encoded(self.corpus.user_texts, "users"))

    def states(self, batch: Batch, own: Rows) -> Tensor:
        """The states [R, K] that the batch reads, its user and item tokens embedded by a view's rows."""
        n_words = self.vocabulary.n_words
        words = nn.functional.embedding(batch.ids.clamp(max=n_words - 1), self.backbone.word_embeddings)  # [B, T, K]
        where = (batch.ids >= n_words).nonzero(as_tuple=True)
        tokens = own.at(batch.ids[where] - n_words)
        embeddings = words.index_put(where, tokens.to(words.dtype))
        return self.backbone(embeddings, batch.mask)[batch.rows, batch.columns]

    def question_states(self, batch: Batch, own: Rows) -> Tensor:
        """What the item head reads [B, K] of B questions, by the rows of the collaborative view."""
        if self.head is None:
            return self.states(batch, own)
        states = None if self.options.item_head == "pooled" else self.states(batch, self.heard(own))
        rows, items = self._shown(batch)
        weights = None
        if not self.training and self.recency < 1:
            counts = torch.bincount(rows, minlength=len(batch)).cpu().numpy()
            weights = torch.from_numpy(recency_weights(counts, self.recency)).to(rows.device)
        return self.head(states, own.users_at(self._users(batch)), rows, own.items_at(items), weights)

    def heard(self, own: Rows) -> Rows:
        """The rows that the language model reads beside a head of its own: user tokens do not learn by its state.

        Through all its layers they would learn the hidden items by heart.
        """
        return own._replace(users=own.users.detach())

    def item_logits(self, states: Tensor) -> Tensor:
        """Scores of all items [R, J], the tied head Z_l^v h; RecBole's padding item can never be drawn."""
        logits = (states @ self.collaborative.rows().items.to(states.dtype).T).float()
        if self.head is not None:
            logits = logits + self.head.bias
        return logits.index_fill(1, torch.zeros(1, dtype=torch.long, device=logits.device), -torch.inf)

    def collaborative_loss(self, batch: Batch) -> Tensor:
        """Items from the items before or around them (the paper's L-step objective)."""
        own = self.collaborative.rows()
        likelihood = self._item_likelihood(self.states(batch, own), batch, own)
        return self._regularised(likelihood, batch, own, self.content)

    def recommendation_loss(self, batch: Batch) -> Tensor:
        """Items hidden from a history, all at once (the paper's finetuning objective)."""
        offsets = None if self.prior is None else self.prior.offsets(self._users(batch), *self._shown(batch))
        bias = None if self.head is None else self.head.bias
        own = self.collaborative.rows()
        likelihood = self._item_likelihood(self.question_states(batch, own), batch, own, bias, offsets)
        return self._regularised(likelihood, batch, own, self.content)

    def content_loss(self, batch: Batch, regularised: bool = True) -> Tensor:
        """Words from the words before or around them (the paper's C-step objective).

        Without regularisation it is the warm-up, when no collaborative view is there yet to be followed.
        """
        assert self.content is not None, "LLM-CF has no content stage"
        own = self.content.rows()
        states, weight, bias, cap = self.backbone.word_head(self.states(batch, own))
        likelihood = negative_log_likelihood(states, weight, batch.reads, batch.targets, bias, cap=cap)
        return self._regularised(likelihood, batch, own, self.collaborative if regularised else None)

    @torch.no_grad()
    def full_sort_predict(self, interaction: Interaction) -> Tensor:
        """Scores of all items for B users [B · J], in one forward pass a user over his :meth:`prediction`."""
        users = interaction[self.USER_ID].cpu().numpy()
        return self._with_prior(self.item_logits(self.user_states(users)), users).view(-1)

    def read(self, histories: Histories) -> None:
        """Score users by ``histories`` from now on; without this, by those of training."""
        self.histories = histories

    def predict(self, interaction: Interaction) -> Tensor:
        """Scores of B pairs [B]."""
        users, asked = interaction[self.USER_ID].unique(return_inverse=True)  # candidates of one user stand together
        scores = self.full_sort_predict(Interaction({self.USER_ID: users})).view(-1, self.n_items)
        return scores[asked, interaction[self.ITEM_ID]]

    @torch.no_grad()
    def recommend(
        self,
        users: Sequence[int] | IntArray,
        k: int,
        excluded: Sequence[IntArray] | None = None,
        show_progress: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """The ``k`` best items of each of U users, best first: ids [U, k] and float32 scores [U, k], in internal ids.

        Memory does not grow with users times items. ``excluded``: items to leave out, for each of ``users``; those of
        its history if not given. Ties go to the lower id; where fewer than ``k`` items are left, the padding
        item with a score of −inf fills up.
        """
        training = self.training
        self.eval()
        ranking = Ranking(self._ranked_rows(), self.backbone.dtype) if self.prior is None else None
        at_once = USERS_AT_ONCE if self.prior is None else max(1, SCORES // self.n_items)
        found = [(torch.empty(0, k, dtype=torch.long), torch.empty(0, k))]
        with tqdm(total=len(users), desc="recommend", unit="user", disable=not show_progress) as bar:
            for start in range(0, len(users), at_once):
                some = np.asarray(users[start : start + at_once], dtype=np.int64)
                if excluded is None:
                    known = [self.histories[user] for user in some]
                else:
                    known = list(excluded[start : start + at_once])
                if ranking is None:
                    asked = Interaction({self.USER_ID: torch.from_numpy(some)})
                    items, scores = best_of(self.full_sort_predict(asked).view(len(some), -1), k, known)
                else:
                    items, scores = ranking.best(self._ranked_by(self.user_states(some)), k, known)
                found.append((items.cpu(), scores.cpu()))
                bar.update(len(some))
        self.train(training)
        items, scores = (torch.cat(parts) for parts in zip(*found, strict=True))
        return items, scores

    def _ranked_rows(self) -> Tensor:
        """Item rows [J, K], or [J, K + 1] with the biases; :meth:`_ranked_by` makes states that score by them."""
        table = self.collaborative.rows().items
        return table if self.head is None else torch.cat([table, self.head.bias[:, None]], dim=1)

    def _ranked_by(self, states: Tensor) -> Tensor:
        return states if self.head is None else torch.cat([states, states.new_ones(len(states), 1)], dim=1)

    def user_states(self, users: IntArray) -> Tensor:
        """What the item head reads to score each of B users [B, K]."""
        documents = [self.prediction(int(user)) for user in users]
        layouts = [self.backbone.lay_out_question(*document) for document in documents]
        dtype = self.backbone.dtype if self.head is None else torch.float32
        states = torch.zeros(len(users), self.backbone.hidden_size, dtype=dtype, device=self.device)
        lengths = np.array([len(layout.ids) for layout in layouts], dtype=np.int64)
        most = tokens_at_once(self.device, self.options.max_batch_tokens)
        read = self.question_states if self.asks_question else self.states
        tables = self.collaborative.rows()
        for rows, own in processes.turns(batches_by_length(lengths, len(users), most)):
            batch = collate([documents[r] for r in rows], [layouts[r] for r in rows], self.vocabulary.n_words)
            found = read(batch.to(self.device), tables)
            if own:
                states[torch.from_numpy(rows)] = found
        return processes.put_together(states)

    def prediction(self, user: int) -> Document:
        """What the head and the backbone read to score a user: the history, or its end if the prompt has no room for
        more, which are the latest items where the split is by time. The prior reads all of it.
        """
        ask = self.history_prompt.question if self.asks_question else self.history_prompt.continuation
        return Document(ask(user, self.histories[user][-self.history_room :]), NOTHING)

    def _load_backbone(self, seed: int) -> Backbone:
        options = self.options
        backbone = load_backbone(
            options.backbone,
            options.pretrained,
            processes.from_main(lambda: resolve_precision(options.precision, self.device)),
            options.train_backbone,
            options.max_length,
            options.text_mask_share,
            seed,
        )
        if options.shard_backbone:
            if backbone.trainable:
                raise UserError("shard_backbone is for a backbone that stays as it is: leave it out, or train_backbone")
            backbone.keep_fingerprint()
            processes.shard(backbone.model, backbone.layers, self.device)
        return backbone.to(self.device)

    def _start_from_text(self, item_sentences: Matrix, user_sentences: Matrix) -> None:
        """Both views' tokens start at the encoded sentence of their text; tokens without a text stay random."""
        known = item_sentences.any(axis=1)
        if known.sum() < self.n_items - 1:
            self.logger.info(f"{self.n_items - 1 - known.sum()} items have no text; their tokens start at random")
        length = self.backbone.word_embeddings.float().norm(dim=1).mean()  # which the backbone is used to
        self.collaborative.start_at(user_sentences, item_sentences, length)
        if self.content is not None:
            self.content.start_like(self.collaborative)

    def _item_likelihood(
        self, states: Tensor, batch: Batch, own: Rows, bias: Tensor | None = None, offsets: Tensor | None = None
    ) -> Tensor:
        """Of the items to be found by Z_l^v h of all items or, if they are many, of a sample with the targets.

        ``bias`` [J] and ``offsets`` [R, J] are added to the scores of all items.
        """
        targets = batch.targets - self.vocabulary.item(0)  # [P]
        if not self.samples_items:  # RecBole's padding item is never a target
            known = None if offsets is None else offsets[:, 1:]
            of_items = None if bias is None else bias[1:]
            return negative_log_likelihood(states, own.items[1:], batch.reads, targets - 1, of_items, known)
        elsewhere = batch.elsewhere - self.vocabulary.item(0)
        sample = sample_items(targets, self.n_items, self.options.n_sampled, self.sampling, elsewhere)
        rows = own.items_at(sample.items)  # [C, K]
        corrections = sample.corrections if bias is None else sample.corrections + bias[sample.items]
        return negative_log_likelihood(states, rows, batch.reads, sample.positions, corrections)

    def _users(self, batch: Batch) -> Tensor:
        """Of B documents that name one user each [B]."""
        first, last = self.vocabulary.user(0), self.vocabulary.item(0)
        return batch.ids[(batch.ids >= first) & (batch.ids < last)] - first

    def _shown(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Documents [S] and the items [S] that stand in them."""
        rows, columns = (batch.ids >= self.vocabulary.item(0)).nonzero(as_tuple=True)
        return rows, batch.ids[rows, columns] - self.vocabulary.item(0)

    @property
    def recency(self) -> float:
        """What an item of a history counts for each later one in scoring; without a prior, ``auto`` is 1."""
        if self.prior is not None:
            return self.prior.in_scoring.recency
        return 1.0 if self.options.recency == "auto" else self.options.recency

    @property
    def inferred(self) -> dict[str, float]:
        """What the training part told of the prior, for the result."""
        return {} if self.prior is None else self.prior.inferred

    def _with_prior(self, logits: Tensor, users: IntArray) -> Tensor:
        if self.prior is None:
            return logits
        return logits + self.prior.scores([self.histories[u] for u in users])

    def _regularised(self, likelihood: Tensor, batch: Batch, own: Rows, other: View | None) -> Tensor:
        penalty = likelihood.new_zeros(())
        if other is not None:
            tokens = batch.entities - self.vocabulary.n_words
            tokens = tokens[self.told[tokens]]
            penalty = mutual_regularisation(own.at(tokens), other.rows().at(tokens))
        scope = self.options.loss_scope
        return total_loss(likelihood, penalty, self.options.lambda_c, *batch.whole, scope)
