"""One experiment, top to bottom: configuration -> data -> split -> model -> training -> test -> result."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from inspect import signature
from logging import getLogger
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from recbole.utils import ModelType, init_seed

from recbole_cllm4rec import processes
from recbole_cllm4rec.building import build_model, build_trainer
from recbole_cllm4rec.checkpoint.resume import Resume, Run, finished, opened, run_name
from recbole_cllm4rec.compat import fresh_logger
from recbole_cllm4rec.config import Config
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.protocol import metrics, reading
from recbole_cllm4rec.protocol.sequences import HoldoutSequences
from recbole_cllm4rec.protocol.split import Split, history_masked, split
from recbole_cllm4rec.refusals import of_recbole
from recbole_cllm4rec.registry import Entry, resolve
from recbole_cllm4rec.report.plots import validation_curves
from recbole_cllm4rec.report.result import commit, result_path, versions, write_result
from recbole_cllm4rec.report.rows import read_result
from recbole_cllm4rec.training.estimate import peak_memory

OnValidation = Callable[[int, float], None]
"""Is told the epoch and the validation score after each validation; what it raises ends the training."""


@dataclass(frozen=True)
class Fitted:
    """A trained model, the best of its epochs on the validation part; the test part is still unseen."""

    parts: Split
    model: Any
    trainer: Any
    valid: dict[str, float]
    history: list[dict[str, Any]]
    seconds: dict[str, float]


def run(
    model: str,
    dataset: str,
    config_files: Sequence[str | Path] = (),
    overrides: Mapping[str, Any] | None = None,
    resume: Resume = False,
) -> dict[str, Any]:
    """Train ``model`` on ``dataset``, test it, write the result file, and return its content.

    ``resume``: True goes on with the newest run of this configuration if there is one, a path with the run in that
    folder; a run that is finished is returned as it is. Raises :class:`recbole_cllm4rec.errors.UserError` for whatever
    is the user's to mend, and :class:`recbole_cllm4rec.checkpoint.interrupts.Stopped` where a signal ended the
    training, which is saved. Where the process has joined others (:func:`recbole_cllm4rec.processes.joined`), all call
    it alike, and the main one writes.
    """
    with processes.watch():
        entry, config = configure(model, dataset, config_files, overrides)
        _check_company(model, entry.trainer)
        fresh_logger(config)
        if before := processes.from_main(lambda: _result_before(config, resume)):
            return before
        with opened(config, resume) as current:
            return run_with(entry, config, current)


def _check_company(model: str, trainer: Any) -> None:
    if processes.world() > 1 and not trainer.in_several_processes:
        raise UserError(f"{model} is trained by one process: leave out torchrun (legal with it: CLLM4Rec)")


def _result_before(config: Config, resume: Resume) -> dict[str, Any] | None:
    path = finished(config, resume)
    if path is None:
        return None
    getLogger().info("finished before, and not run again: %s", path)
    return read_result(path)


def _warn_of_another(config: Config) -> None:
    """Before a result of another configuration is replaced."""
    path = result_path(Path(config["result_dir"]) / config["dataset"], run_name(config), config["seed"])
    if path.exists() and read_result(path).get("config_hash") != config.digest():
        getLogger().warning("%s is of another configuration, and will be replaced: --run_name keeps both", path)


def configure(
    model: str,
    dataset: str,
    config_files: Sequence[str | Path] = (),
    overrides: Mapping[str, Any] | None = None,
) -> tuple[Entry, Config]:
    """Classes and configuration of a run; raises as :func:`run`."""
    metrics.register()
    entry = resolve(model)
    return entry, Config(entry.model, dataset, config_files, overrides, entry.options)


def run_with(entry: Entry, config: Config, current: Run) -> dict[str, Any]:
    """As :func:`run`, configuration and folder being ready."""
    _warn_of_another(config)
    fitted = fit(entry, config, run=current)
    if config["history_read"] != "train":
        fitted.trainer.to_read = reading.at_test(config, fitted.parts.parts)
    start = perf_counter()
    test = fitted.trainer.evaluate(fitted.parts.test, load_best_model=True, show_progress=config["show_progress"])
    fitted.seconds["test"] = perf_counter() - start
    fitted.seconds["scoring"] = fitted.trainer.scoring_seconds
    result = {
        "run": run_name(config),
        "model": config["model"],
        "dataset": config["dataset"],
        "seed": config["seed"],
        "test": _plain(test),
        "valid": fitted.valid,
        "split": fitted.parts.fingerprints,
        "files": fitted.parts.files,
        "items": fitted.parts.parts[0].item_num - 1,
        "history_mask": history_masked(config, "test"),
        "history_read": _history_read(fitted, config),
        "backbone": _backbone(fitted.model, config),
        "weights": str(fitted.trainer.saved_model_file),
        "parameters": _parameters(fitted.model),
        "inferred": getattr(fitted.model, "inferred", {}),
        "seconds": fitted.seconds,
        "peak_memory_gib": peak_memory(config["device"]),
        "device": str(config["device"]),
        "processes": processes.world(),
        "versions": versions(),
        "commit": commit(),
        "history": fitted.history,
        "config_hash": config.digest(),
        "config": config.effective(),
    }
    if processes.is_main():
        curves = validation_curves(result) if len(fitted.history) > 1 else {}
        path = write_result(result, _per_user(fitted), curves, Path(config["result_dir"]) / config["dataset"])
        getLogger().info("result: %s", path)
    current.finish()
    return result


def fit(entry: Entry, config: Config, on_validation: OnValidation | None = None, run: Run | None = None) -> Fitted:
    """Load, split and train, in the folder of ``run`` or a new one; nothing of the test part is scored."""
    if run is None:
        with opened(config) as new:
            return fit(entry, config, on_validation, new)
    log = getLogger()
    clock = _Clock()
    for recipe in config.recipes:
        log.info("%s: %s", recipe.source, recipe.values)
    read = partial(entry.dataset, config)
    data = processes.main_first(read) if config["download"] else read()
    log.info(data)
    parts = split(config, data)
    log.info("split: %s, masked at test: %s", parts.fingerprints, history_masked(config, "test"))
    clock.lap("data")
    init_seed(config["seed"], config["reproducibility"])
    model = build_model(entry, run.as_before(config), parts)
    clock.lap("model")
    trainer = build_trainer(entry, config, model)
    facts = _facts(config, parts, model)
    processes.check_same({name: facts[name] for name in ("config_hash", "split", "files", "backbone", "versions")})
    trainer.keep(run, run.checked(facts))
    try:
        valid, curve = _train(trainer, parts, config["show_progress"], on_validation)
    finally:
        trainer.tensorboard.close()  # its thread and file would stay, a hundred of them in a study
    clock.lap("training")
    clock.laps["training"] += trainer.earlier_seconds
    seconds = clock.laps | {f"training: {name}": s for name, s in getattr(trainer, "timings", {}).items()}
    return Fitted(parts, model, trainer, _plain(valid), getattr(trainer, "history", curve), seconds)


def _facts(config: Config, parts: Split, model: Any) -> dict[str, Any]:
    """What a run is: what checkpoints say of it, and what has to be the same where it goes on."""
    return {
        "config": config.effective(),
        "config_hash": config.digest(),
        "split": parts.fingerprints,
        "files": parts.files,
        "backbone": _backbone(model, config),
        "versions": versions(),
        "device": config["device"].type,
        "processes": processes.world(),
        "threads": torch.get_num_threads(),
    }


def _train(
    trainer: Any, parts: Split, show_progress: bool, on_validation: OnValidation | None
) -> tuple[Mapping[str, Any] | None, list[dict[str, Any]]]:
    """The best validation result, and the validation curve."""
    curve: list[dict[str, Any]] = []

    def validated(epoch: int, score: float) -> None:
        curve.append({"stage": "training", "epoch": epoch, "valid score": float(score)})
        if on_validation is not None:
            on_validation(epoch, score)

    # RecBole's trainer for decision trees takes no callback.
    watch = {"callback_fn": validated} if "callback_fn" in signature(trainer.fit).parameters else {}
    with of_recbole("to train on"):
        _, valid = trainer.fit(parts.train, parts.valid, saved=True, show_progress=show_progress, **watch)
    return valid, curve


class _Clock:
    """Seconds between laps."""

    def __init__(self) -> None:
        self._last = perf_counter()
        self.laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        now = perf_counter()
        self.laps[name] = now - self._last
        self._last = now


def _per_user(fitted: Fitted) -> dict[str, Any]:
    """Raw ids of the users of the test part, and the figures of each; nothing where pairs are scored, not users."""
    figures = fitted.trainer.per_user() if fitted.parts.test is not None else {}
    if not figures:
        return {}
    data = fitted.parts.test._dataset
    return {"users": data.id2token(data.uid_field, np.asarray(fitted.parts.test.uid_list)).astype(str), **figures}


def _parameters(model: Any) -> dict[str, int]:
    """Numbers of parameters; none of models that are counted or solved, whose one parameter is for the optimiser."""
    if model.type is ModelType.TRADITIONAL:
        return {"trained": 0, "all": 0}
    return {
        "trained": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "all": sum(p.numel() for p in model.parameters()),
    }


def _backbone(model: Any, config: Config) -> dict[str, Any] | None:
    """What stands behind the scores, for models that have a backbone."""
    backbone = getattr(model, "backbone", None)
    if backbone is None:
        return None
    return {
        "name": config["backbone"],
        "sha256": backbone.fingerprint(),
        "parameters": sum(p.numel() for p in backbone.model.parameters()),
        "precision": str(backbone.dtype).removeprefix("torch."),
        "trained": backbone.trainable,
    }


def _history_read(fitted: Fitted, config: Config) -> str:
    """What the model read at test; of a model that reads no histories, what it has learnt by heart."""
    reads = fitted.trainer.reads or isinstance(fitted.parts.parts[2], HoldoutSequences)
    return str(config["history_read"]) if reads else "train"


def _plain(figures: Mapping[str, Any] | None) -> dict[str, float]:
    return {name: float(value) for name, value in (figures or {}).items()}
