"""Configurations of a model that only they are made for; the fixture ``write`` has its yaml."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import atomic_files
from recbole.model.abstract_recommender import GeneralRecommender
from recbole.utils import InputType

from recbole_cllm4rec.config import Config
from recbole_cllm4rec.options import AtLeast


class Toy(GeneralRecommender):
    """The model."""

    input_type = InputType.PAIRWISE


@dataclass(frozen=True)
class ToyOptions:
    """The options of :class:`Toy`."""

    layers: Annotated[int, AtLeast(1)]
    pooling: str


def toy(*files: str | Path, **overrides: Any) -> Config:
    """The configuration of :class:`Toy` on the dataset ``toy``."""
    return Config(Toy, "toy", files, overrides, ToyOptions)


def refusal(*args: Any) -> str:
    """The message, of one line, with which a configuration is refused."""
    return atomic_files.refusal(Config, *args)
