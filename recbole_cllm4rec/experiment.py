"""One experiment, top to bottom: configuration -> data -> split -> model -> training -> test -> result."""

from collections.abc import Mapping, Sequence
from logging import getLogger
from pathlib import Path
from time import perf_counter
from typing import Any

from recbole.utils import init_seed

from recbole_cllm4rec.compat import fresh_logger
from recbole_cllm4rec.config import Config
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.protocol import metrics
from recbole_cllm4rec.protocol.split import split
from recbole_cllm4rec.registry import Entry, resolve
from recbole_cllm4rec.report.result import commit, versions, write_result
from recbole_cllm4rec.training.estimate import peak_memory


def run(
    model: str,
    dataset: str,
    config_files: Sequence[str | Path] = (),
    overrides: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Train ``model`` on ``dataset``, test it, write the result file, and return its content.

    Raises :class:`recbole_cllm4rec.errors.UserError` for whatever is the user's to mend.
    """
    metrics.register()
    entry = resolve(model)
    config = Config(entry.model, dataset, config_files, overrides, entry.options)
    fresh_logger(config)
    return run_with(entry, config)


def run_with(entry: Entry, config: Config) -> dict[str, Any]:
    """As :func:`run`, the configuration being ready."""
    log = getLogger()
    clock = _Clock()
    for recipe in config.recipes:
        log.info("%s: %s", recipe.source, recipe.values)
    data = entry.dataset(config)
    log.info(data)
    parts = split(config, data)
    log.info("split: %s, masked at test: %s", parts.fingerprints, config["history_mask"])
    clock.lap("data")
    init_seed(config["seed"], config["reproducibility"])
    model = entry.model(config, parts.train._dataset).to(config["device"])
    clock.lap("model")
    try:
        trainer = entry.trainer(config, model)
    except ImportError as error:  # RecBole's hook to a tracker that is not installed
        raise UserError(str(error)) from None
    _, valid = trainer.fit(parts.train, parts.valid, saved=True, show_progress=config["show_progress"])
    clock.lap("training")
    test = trainer.evaluate(parts.test, load_best_model=True, show_progress=config["show_progress"])
    clock.lap("test")
    result = {
        "run": config["run_name"] or config["model"],
        "model": config["model"],
        "dataset": config["dataset"],
        "seed": config["seed"],
        "test": _plain(test),
        "valid": _plain(valid),
        "split": parts.fingerprints,
        "history_mask": config["history_mask"],
        "backbone": _backbone(model, config),
        "parameters": {
            "trained": sum(p.numel() for p in model.parameters() if p.requires_grad),
            "all": sum(p.numel() for p in model.parameters()),
        },
        "seconds": clock.laps | {f"training: {name}": s for name, s in getattr(trainer, "timings", {}).items()},
        "peak_memory_gib": peak_memory(config["device"]),
        "device": str(config["device"]),
        "versions": versions(),
        "commit": commit(),
        "history": getattr(trainer, "history", []),
        "config": config.effective(),
    }
    path = write_result(result, Path(config["result_dir"]) / config["dataset"])
    log.info("result: %s", path)
    return result


class _Clock:
    """Seconds between laps."""

    def __init__(self) -> None:
        self._last = perf_counter()
        self.laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        now = perf_counter()
        self.laps[name] = now - self._last
        self._last = now


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


def _plain(figures: Mapping[str, Any] | None) -> dict[str, float]:
    return {name: float(value) for name, value in (figures or {}).items()}
