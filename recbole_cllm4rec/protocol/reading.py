"""Which of a user's interactions a trained model reads: those of training, or later ones too."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from recbole.data.interaction import cat_interactions
from recbole.model.abstract_recommender import AutoEncoderMixin


def together(parts: Sequence[Any]) -> Any:
    """One dataset of the interactions of several parts of a split, in their order."""
    first = parts[0]
    return first.copy(cat_interactions([part.inter_feat for part in parts])) if len(parts) > 1 else first


def at_test(config: Any, parts: Sequence[Any]) -> Any:
    """The dataset whose histories are read at test; ``parts`` are training, validation, …"""
    return together(parts[:2] if config["history_read"] == "train+valid" else parts[:1])


def read(model: Any, known: Any) -> bool:
    """Have ``model`` read the histories of the dataset ``known`` from now on; False of a model that reads none.

    What it has learnt stays as it is. Models of ours say how by ``read(histories)``; of RecBole's, autoencoders and
    those that multiply a history with item weights read one. Models of embeddings have learnt their users by heart,
    and what sequential models read is in the rows of the data.
    """
    if hasattr(model, "read"):
        model.read(known.histories())
    elif isinstance(model, AutoEncoderMixin):
        model.build_histroy_items(known)  # as RecBole spells it
    elif hasattr(model, "interaction_matrix") and hasattr(model, "item_similarity"):
        model.interaction_matrix = known.inter_matrix(form="csr").astype(np.float32)
    else:
        return False
    return True
