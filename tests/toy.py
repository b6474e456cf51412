"""Three users, five items and what was written of them: small enough to do the arithmetic by hand.

Documents over the literal ``WORDS`` have literal token ids; :func:`build` makes a model over a real tokenizer instead.
"""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import yaml

from recbole_cllm4rec.backbone.base import Backbone
from recbole_cllm4rec.backbone.load import load_backbone
from recbole_cllm4rec.corpus.text import Corpus, Histories, IntArray, Review
from recbole_cllm4rec.corpus.tokens import ExtendedVocabulary
from recbole_cllm4rec.model.cllm4rec import CLLM4Rec
from recbole_cllm4rec.training.stages import Stage, build_stages

PROPERTIES = yaml.safe_load((Path(__file__).parents[1] / "properties/model/CLLM4Rec.yaml").read_text(encoding="utf-8"))
PAPER = PROPERTIES | PROPERTIES["variants"]["paper"]

USERS = np.array([1, 2, 1, 3, 1, 2])
ITEMS = np.array([1, 3, 2, 5, 3, 4])
HISTORIES = Histories(
    USERS, ITEMS, 4
)  # user 1 has items 1, 2, 3; user 2 has 3, 4; user 3 has 5; 0 is RecBole's padding

CORPUS = Corpus(
    n_users=4,
    n_items=6,
    histories=HISTORIES,
    user_texts=["", "so good", "", "not so bad"],
    item_texts=["", "red lip stick", "blue eye liner", "", "green hair oil", ""],
    reviews=[Review(1, 2, "very good"), Review(2, 3, "bad very bad")],
)

TEXT = (
    "has interacted with the user will interact with: The biography of is: content writes review for : "
    "so good not bad red lip stick blue eye liner green hair oil very"
)
WORDS = TEXT.split()
VOCABULARY = ExtendedVocabulary(100, 4, 6)  # <user_i> is 100 + i, <item_j> is 104 + j


def words(texts: Sequence[str]) -> list[IntArray]:
    """Positions in ``WORDS``."""
    return [np.array([WORDS.index(word) for word in text.split()], dtype=np.int64) for text in texts]


class First:
    """In place of a random generator: nothing is permuted, the first are chosen and the lowest is drawn."""

    def permutation(self, pool: int | IntArray) -> IntArray:
        return np.arange(pool) if isinstance(pool, int) else pool

    def choice(self, pool: int | IntArray, size: int, replace: bool) -> IntArray:
        return self.permutation(pool)[:size]

    def uniform(self, low: float, high: float) -> float:
        return low


def backbone(name: str | Path, **changes: Any) -> Backbone:
    """A backbone, frozen and in float32 unless ``changes`` say else."""
    asked = {"pretrained": True, "dtype": torch.float32, "trainable": False, "max_length": 64, "mask_share": 0.15}
    return load_backbone(str(name), **{**asked, "seed": 0, **changes})


def word_logits(backbone: Backbone, states: torch.Tensor) -> torch.Tensor:
    """Scores of all words [P, N] from states [P, K]."""
    h, W, b, cap = backbone.word_head(states)
    scores = h @ W.T if b is None else h @ W.T + b
    return scores if cap is None else cap * torch.tanh(scores / cap)


def options(backbone: str | Path, **changes: Any) -> dict[str, Any]:
    """The paper's values in the model's yaml, and what else a model reads from RecBole's ``Config``."""
    return {
        **PAPER,
        "backbone": str(backbone),
        "precision": "float32",
        "USER_ID_FIELD": "user",
        "ITEM_ID_FIELD": "item",
        "NEG_PREFIX": "neg_",
        "device": torch.device("cpu"),
        "seed": 1,
        "weight_decay": 0.0,
        "show_progress": False,
        "sentence_dir": None,
        "brought_back": None,
        **changes,
    }


def build(config: dict[str, Any], corpus: Corpus = CORPUS) -> CLLM4Rec:
    """A model over the corpus, its tokens drawn from one and the same seed."""
    sizes = {"user": corpus.n_users, "item": corpus.n_items}
    torch.manual_seed(0)
    return CLLM4Rec(config, SimpleNamespace(num=sizes.get, corpus=lambda: corpus))


def stages(config: dict[str, Any], model: CLLM4Rec) -> list[Stage]:
    """The stages of a model, with its optimisers as RecBole would make them."""
    kinds = {"adam": torch.optim.Adam, "sparse_adam": torch.optim.SparseAdam}
    return build_stages(config, model, lambda params, learning_rate, learner: kinds[learner](params, lr=learning_rate))
