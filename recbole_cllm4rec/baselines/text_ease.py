"""EASE that knows the text of the items: one closed form over interactions and text together."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import torch
from recbole.data.interaction import Interaction
from recbole.model.abstract_recommender import GeneralRecommender
from recbole.utils import InputType, ModelType
from scipy.linalg import get_lapack_funcs
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer
from torch import Tensor, nn

from recbole_cllm4rec.backbone.base import Backbone
from recbole_cllm4rec.backbone.load import load_backbone
from recbole_cllm4rec.backbone.precision import Precision, resolve_precision
from recbole_cllm4rec.backbone.sentences import encode_sentences
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.options import Above, AtLeast, read_options

Matrix = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class TextEASEOptions:
    """Every choice that TextEASE leaves open. Their defaults stand in ``properties/model/TextEASE.yaml``."""

    reg_weight: Annotated[float, Above(0)]
    """λ, the L2 regularisation, as EASE's."""
    tfidf_weight: Annotated[float, AtLeast(0)]
    """α: two items of the same words count as if so many users had taken both. 0 leaves the words out."""
    sentence_weight: Annotated[float, AtLeast(0)]
    """The same for the cosine of two items' encoded sentences. With 0 no backbone is loaded."""
    backbone: str
    """What encodes the sentences: a hub id, a local folder, ``minilm`` or ``scratch``."""
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
        texts = dataset.corpus().item_texts
        for name in ("tfidf_weight", "sentence_weight"):
            if getattr(self.options, name) and not any(texts):
                raise UserError(f"no item has a text for {name}: name its columns in text_fields, or set it to 0")
        # In a tuple, as torch takes a module for a part of the model, which is counted, trained and saved with it.
        self._backbone = (self._load_backbone(config["seed"]) if self.options.sentence_weight else None,)
        self.dummy_parameter = nn.Parameter(torch.zeros(1))  # RecBole's trainer wants one to optimise
        self.interaction_matrix: csr_matrix = dataset.inter_matrix(form="csr").astype(np.float32)
        self.item_similarity = item_weights(self._gram(texts, config["show_progress"]), self.options.reg_weight)
        self.other_parameter_name = ["interaction_matrix", "item_similarity"]  # what RecBole's checkpoints save

    @property
    def backbone(self) -> Backbone | None:
        """What encoded the sentences, if anything did."""
        return self._backbone[0]

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
        products = self.interaction_matrix[users].multiply(self.item_similarity[:, items].T)
        return torch.from_numpy(np.asarray(products.sum(axis=1)).ravel()).to(self.device)

    def _load_backbone(self, seed: int) -> Backbone:
        options = self.options
        precision = resolve_precision(options.precision, self.device)
        return load_backbone(
            options.backbone, True, precision, trainable=False, max_length=options.max_length, mask_share=0, seed=seed
        ).to(self.device)

    def _gram(self, texts: Sequence[str], show_progress: bool) -> Matrix:
        """XᵀX + αFFᵀ [J, J], where α and F are the weights and the features of words and of sentences."""
        gram = self.interaction_matrix.T @ self.interaction_matrix
        if self.options.tfidf_weight:
            F = tfidf_rows(texts) * math.sqrt(self.options.tfidf_weight)
            gram = gram + F @ F.T
        gram = gram.toarray()
        if self.backbone is not None:
            F = sentence_rows(self.backbone, texts, show_progress) * math.sqrt(self.options.sentence_weight)
            gram += F @ F.T
        return gram


def tfidf_rows(texts: Sequence[str]) -> csr_matrix:
    """TF-IDF of the words of J texts [J, D], each row of length 1 or, where no word counts, 0.

    Raises :class:`UserError` where no word counts at all.
    """
    # A word of one item makes it like no other. A word of most items tells little and fills the product of the rows.
    vectorizer = TfidfVectorizer(min_df=2, max_df=0.5, sublinear_tf=True, dtype=np.float32)
    try:
        return vectorizer.fit_transform(texts)
    except ValueError:
        raise UserError(
            "tfidf_weight needs words that two items share and at most half of them have, but their texts have none: "
            "name other columns in text_fields, or set it to 0"
        ) from None


def sentence_rows(backbone: Backbone, texts: Sequence[str], show_progress: bool) -> Matrix:
    """The encoded sentences of J texts [J, K], centred, each row of length 1 or, where there is no text, 0."""
    found, sentences = encode_sentences(backbone, texts, "items", show_progress)
    rows = sentences.new_zeros(len(texts), backbone.hidden_size)
    rows[found] = nn.functional.normalize(sentences - sentences.mean(0))
    return rows.cpu().numpy()


def item_weights(gram: Matrix, reg_weight: float) -> Matrix:
    """B = I − P / diag(P) with P = (G + λI)⁻¹ [J, J] (Steck, WWW 2019); ``gram`` G [J, J] is overwritten.

    Raises :class:`UserError` where λ is too small for G + λI to be positive definite in the precision of ``gram``.
    """
    gram[np.diag_indices_from(gram)] += reg_weight
    # Cholesky's inverse takes half the operations of a general one and no second matrix. LAPACK overwrites columns, so
    # it is given the transpose, which is the same matrix, and fills one triangle. Float32 is enough: 6,086 items with
    # λ = 200 take 3 s of a core, half of float64's, and no weight, of up to 0.1, is off by more than 2e-7.
    potrf, potri = get_lapack_funcs(("potrf", "potri"), (gram,))
    factor, failed = potrf(gram.T, overwrite_a=True)
    if failed:
        raise UserError(f"reg_weight is {reg_weight:g}, too small to invert the Gram matrix with: raise it")
    P = potri(factor, overwrite_c=True)[0].T
    P += np.tril(P, -1).T
    P /= -P.diagonal()
    np.fill_diagonal(P, 0)
    return P
