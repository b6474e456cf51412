"""Full-sort evaluation of every model: ties that no item id decides, figures of every user, seconds of scoring."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import signature
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from recbole.data.dataloader import FullSortEvalDataLoader, NegSampleEvalDataLoader
from recbole.evaluator import Collector, Evaluator
from recbole.evaluator.base_metric import TopkMetric
from recbole.trainer import Trainer
from torch import Tensor

from recbole_cllm4rec.checkpoint.resume import Run
from recbole_cllm4rec.protocol.reading import read

FEWEST_USERS = 32
"""Users in a batch of a full ranking: fewer leave an encoder idle, and read a table of items for hardly anyone."""

FloatArray = npt.NDArray[np.float32]


class UserFigures(Evaluator):
    """RecBole's evaluator, which keeps what it last averaged."""

    def evaluate(self, dataobject: Any) -> Any:
        """As RecBole's."""
        self._last = dataobject
        return super().evaluate(dataobject)

    def per_user(self, topk: list[int]) -> dict[str, FloatArray]:
        """Of the last evaluation, in the order of its users: ``metric@k`` -> [U], for metrics of ranked hits."""
        figures: dict[str, FloatArray] = {}
        for name, metric in self.metric_class.items():
            if metric.metric_need != ["rec.topk"] or type(metric).metric_info is TopkMetric.metric_info:
                continue
            facts = metric.used_info(self._last)  # hits [U, K], and numbers of relevant items [U]
            values = metric.metric_info(*facts[: len(signature(metric.metric_info).parameters)])
            figures |= {f"{name}@{k}": values[:, k - 1].astype(np.float32) for k in topk}
        return figures


class FairTies(Collector):
    """RecBole's collector, which lets ``torch.topk`` decide between equal scores by the position of an item.

    Positions are internal ids, and these follow the order of the file, where popular items tend to come first. Here
    items are ranked in the order of a hash of their raw ids, so that a tie is decided by nothing that a model, a file
    or a relabelling of ids has a say in.
    """

    def arrange(self, dataset: Any) -> None:
        """Take the items of ``dataset``, whose scores come next."""
        tokens = dataset.field2id_token[dataset.iid_field]
        hashes = [hashlib.blake2b(str(token).encode(), digest_size=8).digest() for token in tokens]
        self._order = torch.tensor(sorted(range(len(tokens)), key=lambda item: hashes[item]), device=self.device)
        self._place = self._order.argsort()

    def eval_batch_collect(
        self, scores_tensor: Tensor, interaction: Any, positive_u: Tensor, positive_i: Tensor
    ) -> None:
        """As RecBole's, for scores [B, J] of users; labelled pairs have one score each and no ranking."""
        if scores_tensor.dim() == 1:
            super().eval_batch_collect(scores_tensor, interaction, positive_u, positive_i)
            return
        place = self._place[positive_i.to(self.device)]
        super().eval_batch_collect(scores_tensor[:, self._order], interaction, positive_u, place)
        if self.register.need("rec.items"):
            ranked = self.data_struct.get("rec.items")[-len(scores_tensor) :]
            ranked.copy_(self._order[ranked])

    def get_data_struct(self) -> Any:
        """As RecBole's, which fails where counts are collected beside tensors, as ItemCoverage and GiniIndex want."""
        held = self.data_struct._data_dict
        counts = {name: held.pop(name) for name in list(held) if not isinstance(held[name], Tensor)}
        collected = super().get_data_struct()
        for data in (self.data_struct, collected):
            data._data_dict.update(counts)
        return collected


class FullSortLoader(FullSortEvalDataLoader):
    """RecBole's, with some users in a batch however many items there are: of a million, it has two at a time."""

    step: int

    def _init_batch_size_and_step(self) -> None:
        super()._init_batch_size_and_step()
        if not self.is_sequential and self.step < FEWEST_USERS:
            self.step = FEWEST_USERS
            self.set_batch_size(self.step * self._dataset.item_num)


class CandidateLoader(NegSampleEvalDataLoader):
    """RecBole's, whose candidates are a user's own, drawn by ``split_seed`` alone.

    RecBole draws them from the stream that training draws from, so that every model, seed and epoch has others. And few
    users or labelled pairs are in a batch: for each pair a model may want all items, as EASE does, and RecBole's
    ``eval_batch_size`` counts the pairs here, not the items.
    """

    step: int

    def _init_batch_size_and_step(self) -> None:
        super()._init_batch_size_and_step()
        labelled = self.neg_sample_args["distribution"] == "none"
        pairs = self.config["eval_batch_size"] // self._dataset.item_num if labelled else 0
        self.step = max(FEWEST_USERS, pairs)

    def _neg_sampling(self, inter_feat: Any) -> Any:
        """As RecBole's, for the pairs of one user or, where nothing is drawn, any labelled pairs."""
        if self._sampler is None:
            return super()._neg_sampling(inter_feat)
        phase = int.from_bytes((self._sampler.phase or "").encode())
        with _drawn_by(self.config["split_seed"], phase, int(inter_feat[self.uid_field][0])):
            return super()._neg_sampling(inter_feat)


@contextmanager
def _drawn_by(*numbers: int) -> Iterator[None]:
    """A block whose draws from numpy's global stream are those of ``numbers``; the stream is as before after it."""
    before = np.random.get_state()
    np.random.seed(np.random.SeedSequence(numbers).generate_state(4))
    try:
        yield
    finally:
        np.random.set_state(before)


class FullSortEvaluation(Trainer):
    """A mixin before any trainer of RecBole's.

    ``to_read``: the dataset whose histories the model is to read in the next evaluation, if not those of training;
    ``reads``: whether it could;
    ``in_several_processes``: whether processes can share its work, as RecBole's own way averages what has no average;
    ``scoring_seconds``: of the model alone, in the last evaluation; ``earlier_seconds``: that went into the training
    before this process took it over.
    """

    in_several_processes = False
    to_read: Any = None
    reads = False

    def __init__(self, config: Any, model: Any):
        super().__init__(config, model)
        self.eval_step: int = min(self.eval_step, self.epochs)  # as RecBole has it, once a closed form has one epoch
        self.eval_collector = FairTies(config)
        self.evaluator = UserFigures(config)
        self.scoring_seconds = 0.0
        self.earlier_seconds = 0.0

    def keep(self, run: Run, facts: dict[str, Any]) -> None:
        """Keep the best weights in the folder of ``run``, where no other run has its own; RecBole names by the second.

        ``facts`` say what the run is, for those who save more than weights.
        """
        self.saved_model_file: str = str(run.weights(Path(self.saved_model_file).suffix))

    def evaluate(self, eval_data: Any, *args: Any, **options: Any) -> Any:
        """As RecBole's."""
        if eval_data:
            self.eval_collector.arrange(eval_data._dataset)
        self.scoring_seconds = 0.0
        return super().evaluate(eval_data, *args, **options)

    def per_user(self) -> dict[str, FloatArray]:
        """Figures of the last evaluation, ``metric@k`` -> [U], its users in the order of the data loader's."""
        return self.evaluator.per_user(self.config["topk"])

    def _neg_sample_batch_eval(self, batched_data: Any) -> Any:
        self._read()
        return super()._neg_sample_batch_eval(batched_data)

    def _read(self) -> None:
        """Not before the first batch, as RecBole's evaluation loads the histories of training with the best weights."""
        if self.to_read is not None:
            self.reads, self.to_read = read(self.model, self.to_read), None

    def _full_sort_batch_eval(self, batched_data: Any) -> Any:
        self._read()
        start = perf_counter()
        scored = super()._full_sort_batch_eval(batched_data)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.scoring_seconds += perf_counter() - start
        return scored
