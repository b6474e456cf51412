"""EASE that knows the text of the items: one closed form over interactions and text together."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pandas as pd
import torch
from recbole.data.interaction import Interaction
from recbole.model.abstract_recommender import GeneralRecommender
from recbole.utils import InputType, ModelType
from scipy.sparse import csr_matrix
from torch import Tensor, nn
from tqdm import tqdm

from recbole_cllm4rec.backbone.base import Backbone
from recbole_cllm4rec.backbone.load import load_backbone
from recbole_cllm4rec.backbone.precision import Precision, resolve_precision
from recbole_cllm4rec.corpus.text import Histories, IntArray
from recbole_cllm4rec.model.closed_form import (
    ClosedFormOptions,
    Matrix,
    sentence_rows,
    text_ease_weights,
    text_kernel,
    tfidf_rows,
)
from recbole_cllm4rec.model.likeliest import RECENCIES, hide, likeliest
from recbole_cllm4rec.options import AtLeast, read_options


@dataclass(frozen=True)
class TextEASEOptions(ClosedFormOptions):
    """Every choice that TextEASE leaves open. Their defaults stand in ``properties/model/TextEASE.yaml``."""

    backbone: str
    """What encodes the sentences, if they have a weight: a hub id, a local folder, ``minilm`` or ``scratch``."""
    precision: Precision
    """Precision of the backbone's weights; ``auto`` measures whether bfloat16 is faster here."""
    max_length: Annotated[int, AtLeast(8)]
    """Tokens of a sentence, capped by the backbone's positions."""


class TextEASE(GeneralRecommender):
    """EASE with side information in closed form (Jeunen, Van Balen and Goethals, RecSys 2020: CEASE).

    The features F [J, D] of the items join their interactions X [I, J] as the rows of D more users: the item weights B
    minimise ‖X − XB‖² + α‖Fᵀ − FᵀB‖² + λ‖B‖² with diag(B) = 0, for which the Gram matrix XᵀX + αFFᵀ is enough.
    """

    input_type = InputType.POINTWISE
    type = ModelType.TRADITIONAL

    def __init__(self, config: Any, dataset: Any):
        """``dataset``: the training part, which carries the text (:class:`recbole_cllm4rec.dataset.TextDataset`)."""
        super().__init__(config, dataset)
        self.options = read_options(TextEASEOptions, config)
        corpus = dataset.corpus()
        texts = corpus.item_texts
        self.options.check_texts(texts, remedy="set the weight to 0")
        # In a tuple, as torch takes a module for a part of the model, which is counted, trained and saved with it.
        self._backbone = (self._load_backbone(config["seed"]) if self.options.sentence_weight else None,)
        self.dummy_parameter = nn.Parameter(torch.zeros(1))  # RecBole's trainer wants one to optimise
        self.interaction_matrix: csr_matrix = dataset.inter_matrix(form="csr").astype(np.float32)
        sentences = None if self.backbone is None else sentence_rows(self.backbone, texts, "items", config)
        words = tfidf_rows(texts) if self.options.tfidf_weight else None
        kernel = text_kernel(self.options, words, sentences)
        asked, shown = self.options.recency, config["show_progress"]
        solves = tqdm(total=1 + (asked == "auto"), desc="solve the item weights", unit="solve", disable=not shown)

        def solve(X: csr_matrix) -> Matrix:
            B = text_ease_weights(X, kernel, self.options)
            solves.update()
            return B

        with solves:
            self.item_similarity = solve(self.interaction_matrix)
            if asked == "auto":
                in_order = pd.unique(dataset.pairs()[0])  # of the rows: whose items are hidden must not go by ids
                asked = self._likeliest_recency(in_order, corpus.histories, solve, shown)
            self.recency = asked
        if self.recency < 1:
            self.read(corpus.histories)
        self.other_parameter_name = ["interaction_matrix", "item_similarity"]  # what RecBole's checkpoints save

    @property
    def backbone(self) -> Backbone | None:
        """What encoded the sentences, if anything did."""
        return self._backbone[0]

    @property
    def inferred(self) -> dict[str, float]:
        """What the training part told, for the result: the recency."""
        return {"recency": self.recency} if self.options.recency == "auto" else {}

    def read(self, histories: Histories) -> None:
        """Score users by ``histories`` from now on; without this, by those of training."""
        self.interaction_matrix = histories.matrix(self.n_items, self.recency)

    def calculate_loss(self, interaction: Interaction) -> Tensor:
        """Nothing is left to learn; the trainer of RecBole's traditional models asks all the same."""
        return self.dummy_parameter.sum()

    def full_sort_predict(self, interaction: Interaction) -> Tensor:
        """Scores of all items for B users [B · J]; RecBole's padding item can never be drawn."""
        users = interaction[self.USER_ID].cpu().numpy()
        scores = self.interaction_matrix[users] @ self.item_similarity
        scores[:, 0] = -np.inf
        return torch.from_numpy(scores).view(-1).to(self.device)

    def predict(self, interaction: Interaction) -> Tensor:
        """Scores of B pairs [B]."""
        users, items = (interaction[field].cpu().numpy() for field in (self.USER_ID, self.ITEM_ID))
        X = self.interaction_matrix[users].tocoo()  # what each pair's user has, and no more of the item weights
        terms = X.data * self.item_similarity[X.col, items[X.row]]
        scores = np.bincount(X.row, terms, minlength=len(users)).astype(np.float32)
        return torch.from_numpy(scores).to(self.device)

    def _likeliest_recency(
        self, users: IntArray, histories: Histories, solve: Callable[[csr_matrix], Matrix], show_progress: bool
    ) -> float:
        """By the latest items of some of ``users`` and the item weights that are solved without these."""
        hidden = hide(histories, self.n_items, latest=True, users=users)
        X = self.interaction_matrix.tolil()
        X[hidden.users, hidden.items] = 0
        B = solve(X.tocsr())

        def scores(recency: float) -> Tensor:
            return torch.from_numpy(hidden.shown.matrix(self.n_items, recency) @ B)

        recency = likeliest(hidden, scores, RECENCIES, show_progress).recency
        self.logger.info(f"the likeliest recency is {recency:g}")
        return recency

    def _load_backbone(self, seed: int) -> Backbone:
        options = self.options
        precision = resolve_precision(options.precision, self.device)
        return load_backbone(
            options.backbone, True, precision, trainable=False, max_length=options.max_length, mask_share=0, seed=seed
        ).to(self.device)
