"""RecBole's ``Config`` over more layers, with every name and value checked."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import recbole.config
from recbole.evaluator.register import metrics_dict
from recbole.utils import ModelType, get_model

from recbole_cllm4rec import compat, processes
from recbole_cllm4rec.config_check import checked
from recbole_cllm4rec.config_layers import dataset_folder, gather, merge, model_names, properties_dir, recbole_models
from recbole_cllm4rec.config_rules import SHARES_OF_TRANSFORMS
from recbole_cllm4rec.errors import UnfitConfigError, UserError, suggestion
from recbole_cllm4rec.protocol import metrics
from recbole_cllm4rec.yamlio import Loader

__all__ = ["Config", "model_class", "model_names", "properties_dir"]

# Options that came later, and their values at which figures are what they were before: runs of before stand for these.
_BEFORE = {
    "history_read": "train",
    "recency": 1.0,
    "backbone_learning_rate": None,
    "pool_attention": False,
    "user_shrink": 0.0,
}

_LATER_STAGES = ("finetune", "critic_pretrain")  # of S3Rec and RaCT

# Options that no figure depends on: where things are, what is shown, what else is written, who holds what.
_OF_NO_CONSEQUENCE = {
    "checkpoint_dir",
    "checkpoint_minutes",
    "data_path",
    "download",
    "log_wandb",
    "result_dir",
    "run_name",
    "save_dataset",
    "sentence_dir",
    "save_dataloaders",
    "shard_backbone",
    "show_progress",
    "state",
    "table_metrics",
    "wandb_project",
}
_OF_WHOLE_FILES = ("rm_dup_inter", "val_interval", "user_inter_num_interval", "item_inter_num_interval")

compat.apply()
metrics.register()


class Config(recbole.config.Config):
    """The configuration of one run. Higher layers win, a key at a time:

    1. RecBole's ``overall.yaml``
    2. ``properties/overall.yaml``
    3. RecBole's ``model/<Model>.yaml``
    4. ``properties/model/<Model>.yaml``
    5. RecBole's ``dataset/sample.yaml``
    6. RecBole's ``dataset/<dataset>.yaml``
    7. ``properties/dataset/<dataset>.yaml``
    8. ``<dataset>.yaml`` beside the atomic files
    9. RecBole's ``quick_start_config`` for the type of the model, but for the protocol that it gives sequential ones
    10. the preset among the model's ``variants`` that the key ``variant`` names
    11. ``config_files``, in order
    12. ``overrides``

    A yaml of a dataset (7, 8) may hold ``for_model: {<Model>: {...}}``, whose values for this model come right after
    both of these files; ``recipes`` lists these layers, for a run to say so. Dotted keys, ``eval_args.mode: uni100``,
    change one entry of a mapping and leave the others.

    ``model`` is a class or the name of a model of RecBole, ``options`` the model's options dataclass, if it has one.
    Values stay what they are: nothing is passed to ``eval``, and ``overrides`` is not changed. Raises
    :class:`UserError` for names that nobody reads, for values that are not legal, and for files that cannot be read.
    """

    def __init__(
        self,
        model: str | type,
        dataset: str,
        config_files: Sequence[str | Path] = (),
        overrides: Mapping[str, Any] | None = None,
        options: type | None = None,
    ) -> None:
        # RecBole's __init__ would read sys.argv, evaluate strings and change its caller's dictionary. Its two halves
        # are the gathering of values, which is replaced here, and their interpretation, which is RecBole's.
        self.model_class = model_class(model)
        self.model = self.model_class.__name__
        self.dataset = dataset
        compat.apply()  # the module of the model is imported by now
        self.yaml_loader = Loader
        self._init_parameters_category()
        layers = gather(self.model, dataset, self._quick_start(), config_files, overrides or {})
        self.recipes = [layer for layer in layers if layer.recipe and layer.values]
        self.asked = checked(layers, self.model, dataset, options)
        self._check_split_already(merge([layer for layer in layers if layer.default]))
        self.final_config_dict = deepcopy(self.asked) | self.internal_config_dict
        compat.trust(self.asked["checkpoint_dir"])
        with _one_line_errors(self.model):
            self._set_default_parameters()
            self._init_device()
            self._set_train_neg_sample_args()
            self._set_eval_neg_sample_args("valid")
            self._set_eval_neg_sample_args("test")
            for metric in self["metrics"]:
                metrics_dict[metric.lower()](self)  # a metric checks its own settings
        self._settle_recency()
        self["table_metrics"] = [metric.lower() for metric in self["table_metrics"]]  # as results name them
        self["device"] = processes.place(self["device"])
        if not processes.is_main():
            self["show_progress"] = self["log_wandb"] = False

    def effective(self) -> dict[str, Any]:
        """Every option in plain values, sorted by name, as a config file that gives this configuration again.

        What RecBole derives (the device, the type of the model, ...) is left out.
        """
        rewritten = {"data_path", "gpu_id", "train_neg_sample_args"}  # RecBole does not take its own version back
        values = {key: self.asked[key] if key in rewritten else self[key] for key in self.asked}
        values |= {"model": self.model, "dataset": self.dataset}
        return {key: _plain(values[key]) for key in sorted(values)}

    def digest(self) -> str:
        """A hash of every option that figures depend on: runs of one digest and one split may stand for each other."""
        values = self.effective()
        ignored = _OF_NO_CONSEQUENCE | {key for key, value in _BEFORE.items() if values.get(key) == value}
        values = {key: value for key, value in values.items() if key not in ignored}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]

    def _quick_start(self) -> list[Path]:
        """RecBole's own choice of ``quick_start_config`` files; beside it, RecBole notes the type of the model."""
        self._yamls: list[Path] = []
        self._load_internal_config_dict(self.model, self.model_class, self.dataset)
        return [path for path in self._yamls if path.parent.name == "quick_start_config"]

    def _update_internal_config_dict(self, file: str) -> dict[str, Any]:
        """RecBole asks for each of its yamls here; they are noted, to be read with the plugin's between them."""
        self._yamls.append(Path(file))
        return {}

    def _set_default_parameters(self) -> None:
        # RecBole admits a sequential model for repeatable recommendation only, as a row of its datasets is one target.
        # Here it goes by the general models' rules (protocol.sequences): one row a user, history masked.
        asked, sequential = self["repeatable"], self["MODEL_TYPE"] == ModelType.SEQUENTIAL
        self._check_model_can(sequential)
        self["repeatable"] = asked or sequential
        if sequential and self["loss_type"] == "CE":
            self["train_neg_sample_args"] = None  # cross-entropy is over all items, and RecBole refuses negatives
        super()._set_default_parameters()
        self["repeatable"] = asked
        if sequential:
            self["MODEL_TYPE"] = ModelType.GENERAL
        self.final_config_dict["data_path"] = str(dataset_folder(self.asked["data_path"], self.dataset))

    def _check_split_already(self, defaults: Mapping[str, Any]) -> None:
        """Raise :class:`UserError` for what would filter or split files that are split already, and does nothing."""
        if not self.asked["benchmark_filename"]:
            return
        wanted = {name: (self.asked[name], defaults[name]) for name in _OF_WHOLE_FILES}
        wanted["eval_args.split"] = (self.asked["eval_args"]["split"], defaults["eval_args"]["split"])
        for name, (asked, default) in wanted.items():
            if asked != default:
                raise UserError(
                    f"dataset {self.dataset!r} is split already (benchmark_filename), which {name} changes nothing of: "
                    f"leave it out, or put all interactions into one {self.dataset}.inter, without benchmark_filename"
                )

    def _settle_recency(self) -> None:
        """``recency: auto`` is 1 unless the split leaves histories in order. Raises :class:`UserError` where a number
        below 1 wants an order that is not there.
        """
        recency, at_random = self["recency"], self["eval_args"]["order"] == "RO"
        if recency == "auto":
            if at_random or self["benchmark_filename"]:  # files already split do not say by what
                self["recency"] = 1.0
        elif recency is not None and recency < 1 and at_random and not self["benchmark_filename"]:
            raise UserError(
                f"recency is {recency:g}, but eval_args.order is RO, which leaves histories without an order: set "
                "recency to auto, or --eval_args.order=TO"
            )

    def _check_model_can(self, sequential: bool) -> None:
        """Raise :class:`UnfitConfigError` for what only some models can follow, where RecBole fails in training."""
        transform = self["transform"]
        if transform and not sequential:
            raise UnfitConfigError(
                f"transform is {transform}, which changes sequences of items: {self.model} reads none"
            )
        own_loop = getattr(self.model_class, "in_own_precision", False)
        if own_loop and (names := [name for name in ("enable_amp", "enable_scaler") if self[name]]):
            raise UnfitConfigError(f"{names[0]} is of RecBole's own training: {self.model} has precision for that")
        share = SHARES_OF_TRANSFORMS.get(transform)
        if share and self[share] is None:
            raise UnfitConfigError(
                f"transform is {transform}, which takes its share from {share}: {self.model} has none"
            )
        stage, path = self["train_stage"], self["pre_model_path"]
        if stage in _LATER_STAGES and not Path(path or "").is_file():
            raise UnfitConfigError(
                f"train_stage is {stage}, but pre_model_path is {path!r}, which is no file: give the checkpoint of the "
                "stage before, or leave train_stage out"
            )
        by_steps = self["MODEL_TYPE"] != ModelType.TRADITIONAL  # a closed form never asks its learner
        if self["learner"] == "sparse_adam" and by_steps and not getattr(self.model_class, "sparse_gradients", False):
            raise UnfitConfigError(
                f"learner is sparse_adam, but gradients of {self.model} are not sparse: set learner to adam"
            )

    def _init_device(self) -> None:
        """As RecBole's, but ``use_gpu: False`` is the CPU, and CUDA_VISIBLE_DEVICES stays unless ``gpu_id`` is set.

        A run on the CPU does not hide the GPUs from the next run in the process.
        """
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        if not self["use_gpu"]:
            self["gpu_id"] = ""
        elif self["gpu_id"] is None:
            first = range(int(os.environ.get("LOCAL_WORLD_SIZE", 1)))  # one for each process on this machine
            self["gpu_id"] = ",".join(map(str, first)) if visible is None else visible
        super()._init_device()
        if self["gpu_id"] == "":
            os.environ.pop("CUDA_VISIBLE_DEVICES")
            if visible is not None:
                os.environ["CUDA_VISIBLE_DEVICES"] = visible


def model_class(model: str | type) -> Any:
    """``model``, or RecBole's model of that name. Raises :class:`UserError` where there is none or a package lacks."""
    if isinstance(model, type):
        return model
    names = model_names()
    if model not in names:
        raise UserError(f"no model is called {model!r}{suggestion(model, names)}")
    if model not in recbole_models():
        raise UserError(f"{model} is not RecBole's: pass its class, registry.resolve({model!r}).model")
    try:
        return get_model(model)
    except ImportError as error:
        raise UserError(f"model {model!r} needs the package {error.name}: pip install {error.name}") from None


@contextmanager
def _one_line_errors(model: str) -> Iterator[None]:
    """RecBole's own refusals of a configuration of ``model``, as :class:`UnfitConfigError`."""
    try:
        yield
    except (ValueError, NotImplementedError, RuntimeError, TypeError) as error:
        message = f"RecBole refuses this configuration of {model}: {' '.join(str(error).split())}"
        raise UnfitConfigError(message) from error


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {str(key): _plain(entry) for key, entry in value.items()}
        case list() | tuple():
            return [_plain(entry) for entry in value]
        case Enum():
            return value.name
        case np.generic():
            return value.item()
        case None | bool() | int() | float() | str():
            return value
    return str(value)
