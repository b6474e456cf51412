"""What is searched: a space around one configuration, and the validation score of one of its points."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path
from typing import Any, Literal

import torch
from recbole.utils.argument_list import evaluation_arguments

from recbole_cllm4rec.config import Config
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.experiment import OnValidation, configure, fit
from recbole_cllm4rec.protocol.split import split
from recbole_cllm4rec.tuning.space import Space
from recbole_cllm4rec.tuning.spacefile import packaged_space, read_space

# What the scores of two points have to share to be compared.
_COMMON = {*evaluation_arguments, "history_mask", "seed", "split_seed"}
# RecBole refuses values, numpy singular matrices and torch infinite losses as ValueError.
_OF_THE_POINT = (UserError, ValueError, ArithmeticError, MemoryError, torch.OutOfMemoryError)


class PointError(UserError):
    """One point of the space cannot be trained; others may."""


@dataclass(frozen=True)
class Record:
    """A point that was tried. ``curve``: epoch -> validation score; ``score``: its best, or its last where pruned.

    ``state``: complete, pruned, failed or running.
    """

    number: int
    state: str
    score: float | None
    values: dict[str, Any]
    curve: dict[int, float]
    seconds: float | None
    error: str | None


@dataclass(frozen=True)
class Search:
    """A space around the configuration ``config``, which ``model``, ``dataset``, ``files`` and ``overrides`` give.

    ``split``: the fingerprints of the parts, the same at every point; ``data``: sha256 of the atomic files.
    """

    model: str
    dataset: str
    files: Sequence[str | Path]
    overrides: Mapping[str, Any]
    space: Space
    config: Config
    split: dict[str, str]
    data: dict[str, str]

    @property
    def metric(self) -> str:
        """The metric that is optimised."""
        return str(self.config["valid_metric"])

    @property
    def maximises(self) -> bool:
        """Whether a higher score is better."""
        return bool(self.config["valid_metric_bigger"])

    def evaluate(self, values: Mapping[str, Any], scratch: Path, watch: OnValidation | None = None) -> float:
        """The validation score of the best epoch at the point ``values``; the test part is not scored.

        Checkpoints go to ``scratch``. ``watch`` is told every validation score; what it raises ends the training and
        comes through. Raises :class:`PointError` for what is wrong with this point, :class:`UserError` for what is
        wrong with all.
        """
        options = {**self.overrides, **values, "show_progress": False, "checkpoint_dir": str(scratch)}
        try:
            fitted = fit(*configure(self.model, self.dataset, self.files, options), watch)
        except _OF_THE_POINT as error:
            getLogger().info("this point cannot be trained", exc_info=True)
            kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
            raise PointError(kind + " ".join(str(error).split())) from error
        if fitted.parts.fingerprints != self.split:
            raise UserError(f"{', '.join(values)}: tuning them changes the split, so that scores do not compare")
        score = fitted.valid.get(self.metric.lower())
        if score is None:
            raise UserError(
                f"{self.model} validated no epoch, so that there is nothing to tune by: see eval_step, epochs"
            )
        if math.isnan(score):
            raise PointError(f"{self.metric} is not a number")
        return score


def prepare(
    model: str,
    dataset: str,
    space_file: str | Path | Literal[True],
    config_files: Sequence[str | Path] = (),
    overrides: Mapping[str, Any] | None = None,
) -> Search:
    """The search that a command asks for, its space checked and its data split. True: the model's own space.

    Raises :class:`UserError` for a space that the model cannot take, and where there is nothing to validate on.
    """
    if space_file is not True and not isinstance(space_file, str | Path):
        raise UserError(f"tune takes the file of a search space, or nothing for the model's own, not {space_file!r}")
    overrides = overrides or {}
    entry, config = configure(model, dataset, config_files, overrides)
    space = read_space(packaged_space(model) if space_file is True else Path(space_file))
    for name, place in space.places.items():
        if name.partition(".")[0] in _COMMON:
            raise UserError(f"{place}: {name} is the same for all trials, so that scores compare: set it outside")
        if name in overrides:
            raise UserError(f"{place}: {name} is tuned here and set to {overrides[name]!r} too: leave out one of them")
    space.check(lambda values: configure(model, dataset, config_files, {**overrides, **values}))
    parts = split(config, entry.dataset(config))
    if parts.valid is None:
        raise UserError(f"dataset {dataset!r} has no validation part, and tuning goes by it: see eval_args.split")
    if config["eval_step"] < 1:
        raise UserError("eval_step is 0, so that nothing is validated, and tuning goes by it: set eval_step to 1")
    return Search(model, dataset, config_files, overrides, space, config, parts.fingerprints, parts.files)
