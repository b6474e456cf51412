"""What an audit looks at: the objects of a run as they are before the training."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from recbole.utils import init_seed

from recbole_cllm4rec.building import build_model, build_trainer
from recbole_cllm4rec.corpus.text import IntArray
from recbole_cllm4rec.protocol import pairs
from recbole_cllm4rec.protocol.relabel import relabelled
from recbole_cllm4rec.protocol.split import Split, split
from recbole_cllm4rec.registry import Entry

Finding = tuple[bool, str]
"""Whether a check passed, and its evidence."""


@dataclass(frozen=True)
class Subject:
    """The parts of the split, their loaders, the model and its trainer.

    ``twin``: the same data under other internal ids.
    """

    entry: Entry
    config: Any
    loaders: Split
    model: Any
    trainer: Any
    twin: Split

    @property
    def parts(self) -> list[Any]:
        """The datasets of training, validation and test."""
        return self.loaders.parts

    @cached_property
    def ids(self) -> pairs.Ids:
        """How pairs become codes."""
        train = self.parts[0]
        return pairs.Ids(train.uid_field, train.iid_field, train.user_num, train.item_num)

    @cached_property
    def codes(self) -> dict[str, IntArray]:
        """Codes of the pairs of each part."""
        names = ("train", "valid", "test")
        return {name: pairs.of_part(part, self.ids) for name, part in zip(names, self.parts, strict=True)}

    @cached_property
    def held_out(self) -> IntArray:
        """Codes of the validation and test pairs; where pairs may repeat, of those that training does not have."""
        held_out = np.union1d(self.codes["valid"], self.codes["test"])
        return np.setdiff1d(held_out, self.codes["train"]) if self.config["repeatable"] else held_out

    @property
    def rows(self) -> Any:
        """The loader of interactions for training; that of a knowledge graph has triplets beside them."""
        return getattr(self.loaders.train, "general_dataloader", self.loaders.train)

    @property
    def evaluations(self) -> dict[str, Any]:
        """The loaders of the held-out parts that are not empty."""
        both = {"valid": self.loaders.valid, "test": self.loaders.test}
        return {name: loader for name, loader in both.items() if loader is not None}

    def leaks(self, found: Iterable[IntArray]) -> tuple[IntArray, int]:
        """The held-out pairs among the codes that were found, each once, and the number of all of these."""
        total, leaked = 0, [pairs.NOTHING]
        for codes in found:
            total += len(codes)
            leaked.append(codes[pairs.among(codes, self.held_out)])
        return np.unique(np.concatenate(leaked)), total

    def evidence(self, leaked: IntArray, total: int, where: str) -> str:
        """What :meth:`leaks` found, in words."""
        counts = f"{len(leaked):,} of {len(self.held_out):,} held-out pairs among {total:,} {where}"
        return counts + self.example(leaked)

    def example(self, codes: IntArray) -> str:
        """The first of some pairs by its raw ids; nothing where there are none."""
        if not len(codes):
            return ""
        user, item = divmod(int(codes[0]), self.ids.n_items)
        train = self.parts[0]
        return f": user {train.id2token(train.uid_field, user)} with item {train.id2token(train.iid_field, item)}"


def prepare(entry: Entry, config: Any, data: Any) -> Subject:
    """What a run makes of its arguments up to the training. ``data`` is not split yet; raises as ``split``."""
    twin = relabelled(data, np.random.default_rng(config["split_seed"]))
    loaders = split(config, data)
    init_seed(config["seed"], config["reproducibility"])
    model = build_model(entry, config, loaders)
    if config["train_neg_sample_args"].get("dynamic"):
        loaders.train.get_model(model)
    return Subject(entry, config, loaders, model, build_trainer(entry, config, model), split(config, twin))
