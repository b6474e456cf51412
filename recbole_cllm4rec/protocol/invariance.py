"""What test figures must not depend on: the internal ids, which follow the order of rows in a file."""

import copy
from typing import Any

import numpy as np
import torch
from recbole.data.dataloader import FullSortEvalDataLoader
from recbole.data.interaction import Interaction
from recbole.model.abstract_recommender import GeneralRecommender
from recbole.utils import ModelType, init_seed
from scipy.sparse import csr_matrix
from torch import Tensor

from recbole_cllm4rec.protocol.split import Split
from recbole_cllm4rec.protocol.subject import Finding, Subject

LAST_DIGIT = 1.5e-6
"""Figures have six decimals, of which the order of summation may turn the last by one."""

NOT_RANKED = (True, "not compared: no test part is ranked against all items")


class CoOccurrence(GeneralRecommender):
    """Items by how often they come with a user's own in training: whole numbers, so no rounding decides a tie."""

    def __init__(self, config: Any, train: Any):
        super().__init__(config, train)
        users, items = train.pairs()
        shape = (self.n_users, self.n_items)
        self.histories = csr_matrix((np.ones(len(users)), (users, items)), shape)
        self.counts = self.histories.T @ self.histories

    def full_sort_predict(self, interaction: Any) -> Tensor:
        """Scores of all items for B users [B · J]."""
        scores = self.histories[interaction[self.USER_ID].cpu().numpy()] @ self.counts
        return torch.from_numpy(scores.toarray()).to(self.device).view(-1)


class Tied(GeneralRecommender):
    """One score for all."""

    def full_sort_predict(self, interaction: Any) -> Tensor:
        """Scores of all items for B users [B · J]."""
        return torch.zeros(len(interaction) * self.n_items, device=self.device)


def relabelling(subject: Subject) -> Finding:
    """Whether figures survive other internal ids.

    A traditional model is scored itself. Where random numbers take part, co-occurrence counts are in its place.
    """
    if not isinstance(subject.loaders.test, FullSortEvalDataLoader):
        return NOT_RANKED
    loaders = subject.twin
    ours, theirs = subject.loaders.fingerprints["test"], loaders.fingerprints["test"]
    if ours != theirs:
        return False, f"the split itself: test part {ours} becomes {theirs} under new ids"
    name, seed = subject.config["model"], subject.config["seed"]
    if subject.config["MODEL_TYPE"] == ModelType.TRADITIONAL:
        before = _figures(subject.trainer, _one_pass(subject.model, subject.loaders), subject.loaders)
        change = _changed(before, _figures_of_another(subject, loaders, seed))
        if not change or not _changed(before, _figures_of_another(subject, subject.loaders, seed + 1)):
            return not change, f"{name}: {_under_new_ids(subject, before, change)}"
    before = _figures(subject.trainer, CoOccurrence(subject.config, subject.parts[0]), subject.loaders)
    change = _changed(before, _figures(subject.trainer, CoOccurrence(subject.config, loaders.parts[0]), loaders))
    return (
        not change,
        f"co-occurrence counts, as {name} draws random numbers: {_under_new_ids(subject, before, change)}",
    )


def ties(subject: Subject) -> Finding:
    """Whether a ranking of equal scores survives other internal ids."""
    if not isinstance(subject.loaders.test, FullSortEvalDataLoader):
        return NOT_RANKED
    loaders = subject.twin
    train = loaders.parts[0]
    after = _figures(subject.trainer, Tied(subject.config, train), loaders)
    before = _figures(subject.trainer, Tied(subject.config, subject.parts[0]), subject.loaders)
    change = _changed(before, after)
    return not change, f"all scores equal: {_under_new_ids(subject, before, change)}{_lowest_among_first(subject)}"


def _under_new_ids(subject: Subject, before: dict[str, float], change: str) -> str:
    sizes = f"{subject.ids.n_users - 1:,} users and {subject.ids.n_items - 1:,} items"
    return f"{change or f'test figures ({len(before)}) stay the same'} under new ids of {sizes}"


def _figures_of_another(subject: Subject, loaders: Split, seed: int) -> dict[str, float]:
    init_seed(seed, subject.config["reproducibility"])
    model = subject.entry.model(subject.config, loaders.train._dataset).to(subject.config["device"])
    return _figures(subject.trainer, _one_pass(model, loaders), loaders)


def _one_pass(model: Any, loaders: Split) -> Any:
    """The model after one pass over its training data, which is all that a traditional one asks for."""
    for batch in loaders.train:
        model.calculate_loss(batch.to(model.device))
    return model


def _figures(trainer: Any, model: Any, loaders: Split) -> dict[str, float]:
    """Test figures of ``model``, as ``trainer`` evaluates its own."""
    evaluation = copy.copy(trainer)
    evaluation.model, evaluation.item_tensor = model, None
    evaluation.eval_collector.data_collect(loaders.train)
    found = evaluation.evaluate(loaders.test, load_best_model=False)
    return {name: float(value) for name, value in found.items()}


def _changed(before: dict[str, float], after: dict[str, float]) -> str:
    """The first figure that is not the same, in words; nothing where all are."""
    for name, value in before.items():
        if abs(value - after[name]) > LAST_DIGIT:
            return f"{name} {value:.6f} becomes {after[name]:.6f}"
    return ""


def _lowest_among_first(subject: Subject) -> str:
    """How many of the k lowest item ids are among the first k of the items, all of one score; k is the last cut-off."""
    collector, device, k = subject.trainer.eval_collector, subject.config["device"], max(subject.config["topk"])
    if not collector.register.need("rec.topk"):
        return ""
    scores = torch.zeros(1, subject.ids.n_items, device=device)
    scores[0, 0] = -torch.inf  # the padding
    someone = Interaction({subject.ids.user_field: torch.ones(1, dtype=torch.int64)})
    lowest = torch.arange(1, k + 1, device=device)
    collector.eval_batch_collect(scores, someone, torch.zeros_like(lowest), lowest)
    share = float(collector.get_data_struct().get("rec.topk")[0, :k].sum()) / k
    chance = k / (subject.ids.n_items - 1)
    return f"; of the {k} lowest ids {share:.1%} are among the first {k} (by chance {chance:.1%})"
