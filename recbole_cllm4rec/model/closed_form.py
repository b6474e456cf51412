"""EASE in closed form over interactions and item text together (after Jeunen et al., RecSys 2020)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.linalg import get_lapack_funcs
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer
from torch import nn

from recbole_cllm4rec.backbone.base import Backbone
from recbole_cllm4rec.backbone.sentences import MAX_BATCH_TOKENS, encode_sentences
from recbole_cllm4rec.corpus.words import split_words
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.options import Above, AtLeast, Share

Matrix = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class ClosedFormOptions:
    """What the closed form leaves open."""

    reg_weight: Annotated[float, Above(0)]
    """λ, the L2 regularisation, as EASE's."""
    tfidf_weight: Annotated[float, AtLeast(0)]
    """α: two items of the same words count as if so many users had taken both. 0 leaves the words out."""
    sentence_weight: Annotated[float, AtLeast(0)]
    """The same for the cosine of two items' encoded sentences."""
    amplification: Annotated[float, Above(0)]
    """ρ of case amplification: a weight w between two items becomes sign(w)|w|^ρ, less of it where it is weak; EASE's
    own are those of ρ = 1."""

    recency: Share | Literal["auto"]
    """In scoring, an item of a history counts so much for each later one: below 1, the latest count most. ``auto``:
    what is likeliest by the latest training items, each found from those before it; of data split at random, 1. Files
    that are split already have the latest last, if a number is asked for."""

    def readers_of_items(self) -> list[str]:
        """The options by which the texts of items are read."""
        return [name for name in ("tfidf_weight", "sentence_weight") if getattr(self, name)]

    def check_texts(self, texts: Sequence[str], remedy: str) -> None:
        """Raises :class:`UserError`, which names a ``remedy``, where texts of items are read and no item has one."""
        readers = self.readers_of_items()
        if readers and not any(texts):
            raise UserError(
                f"no item has a text for {', '.join(readers)}: name its columns in text_fields, or {remedy}"
            )


def text_kernel(options: ClosedFormOptions, words: csr_matrix | None, sentences: Matrix | None) -> Matrix | float:
    """αFFᵀ [J, J], where α and F are the weights and the features of words and of sentences, added up; 0 without any.

    ``words`` [J, D]: those of :func:`tfidf_rows`, ``sentences`` [J, K]: those of :func:`sentence_rows`; each is read
    where it has a weight.
    """
    kernel: Matrix | float = 0.0
    if options.tfidf_weight and words is not None:
        F = words * math.sqrt(options.tfidf_weight)
        kernel += (F @ F.T).toarray()
    if options.sentence_weight and sentences is not None:
        F = sentences * math.sqrt(options.sentence_weight)
        kernel += F @ F.T
    return kernel


def text_ease_weights(interactions: csr_matrix, kernel: Matrix | float, options: ClosedFormOptions) -> Matrix:
    """B [J, J] from interactions X [I, J] and the kernel αFFᵀ of the items' texts: of the Gram matrix XᵀX + αFFᵀ."""
    B = item_weights((interactions.T @ interactions).toarray() + kernel, options.reg_weight)
    return amplified(B, options.amplification)


def amplified(weights: Matrix, exponent: float) -> Matrix:
    """sign(w)|w|^ρ of every weight (case amplification: Breese, Heckerman and Kadie, UAI 1998)."""
    if exponent == 1:
        return weights
    powers: Matrix = np.copysign(np.abs(weights) ** exponent, weights)
    return powers


def tfidf_rows(texts: Sequence[str]) -> csr_matrix:
    """TF-IDF of the D words of J texts that tell items apart [J, D], each row of length 1 or, where it has none, 0."""
    # A word of one item makes it like no other. A word of most items tells little and fills the product of the rows.
    vectorizer = TfidfVectorizer(analyzer=split_words, min_df=2, max_df=0.5, sublinear_tf=True, dtype=np.float32)
    try:
        return vectorizer.fit_transform(texts)
    except ValueError:
        getLogger().warning("no word is shared by two items and by at most half of them: words tell no items apart")
        return csr_matrix((len(texts), 0), dtype=np.float32)


def sentence_rows(
    backbone: Backbone, texts: Sequence[str], whose: str, config: Any, max_batch_tokens: int = MAX_BATCH_TOKENS
) -> Matrix:
    """The encoded sentences of J texts [J, K], centred, each row of length 1 or, where there is no text, 0.

    Centred, as what all texts share tells nothing apart. ``whose`` says in the progress bar whose texts they are;
    ``config`` says whether there is one, and the ``sentence_dir``.
    """
    folder = Path(config["sentence_dir"]) if config["sentence_dir"] else None
    found, sentences = encode_sentences(backbone, texts, whose, config["show_progress"], max_batch_tokens, folder)
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
