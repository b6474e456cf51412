"""RecBole's trainer for models that train in stages: it walks a list of stages and knows none of them by name."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from recbole.utils import dict2str, early_stopping
from torch.optim.lr_scheduler import LambdaLR
from tqdm import tqdm

from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.protocol.evaluation import FullSortEvaluation
from recbole_cllm4rec.training.checkpoint import load_weights, save_weights
from recbole_cllm4rec.training.estimate import estimate
from recbole_cllm4rec.training.optimisers import clip_gradients
from recbole_cllm4rec.training.stages import Pass, Stage, build_stages


@dataclass(frozen=True)
class _Fit:
    """What one call of ``fit`` was asked for."""

    valid_data: Any
    verbose: bool
    saved: bool
    show_progress: bool
    callback: Callable[[int, float], None] | None


class StagedTrainer(FullSortEvaluation):
    """Walks the stages of CLLM4Rec inside RecBole's loop of logging, validation, early stopping and evaluation.

    ``timings`` holds the seconds of every stage and of its validation, ``history`` a record an epoch.
    """

    def __init__(self, config: Any, model: Any):
        super().__init__(config, model)
        self.eval_step = config["eval_step"]
        self.best_valid_score: float
        self.cur_step: int
        self.stages = build_stages(config, model, self._build_optimizer)
        self.saved_model_file: str = str(Path(self.saved_model_file).with_suffix(".safetensors"))
        self.timings: dict[str, float] = {}
        self.history: list[dict[str, Any]] = []

    def fit(
        self,
        train_data: Any,
        valid_data: Any = None,
        verbose: bool = True,
        saved: bool = True,
        show_progress: bool = False,
        callback_fn: Callable[[int, float], None] | None = None,
    ) -> tuple[float, dict[str, float] | None]:
        """Train all stages; the best validation score and result, as RecBole's trainers return them."""
        self.eval_collector.data_collect(train_data)
        self.logger.info(str(estimate(self.stages, self.model, valid_data, self.eval_step, self.config["seed"])))
        asked = _Fit(valid_data, verbose, saved, show_progress, callback_fn)
        for number, stage in enumerate(self.stages):
            rng = np.random.default_rng([self.config["seed"], number])
            start = perf_counter()
            self._run(stage, rng, asked)
            self.timings[stage.name] = perf_counter() - start
        if saved and self.best_valid_result is None:
            save_weights(Path(self.saved_model_file), self.model)
        self._add_hparam_to_tensorboard(self.best_valid_score)
        return self.best_valid_score, self.best_valid_result

    def _run(self, stage: Stage, rng: np.random.Generator, asked: _Fit) -> None:
        bar = tqdm(total=stage.epochs * len(stage), desc=stage.name, unit="doc", disable=not asked.show_progress)
        schedules = [LambdaLR(optimiser, stage.rate) for current in stage.passes for optimiser in current.optimisers]
        for epoch in range(stage.epochs):
            start = perf_counter()
            losses = self._train_one_epoch(stage, epoch, rng, bar)
            rate = schedules[0].get_last_lr()[0]
            record = {"stage": stage.name, "epoch": epoch, "seconds": perf_counter() - start, "rate": rate, **losses}
            for schedule in schedules:
                schedule.step()
            self.history.append(record)
            if asked.verbose:
                self.logger.info(_line(record))
            self._track(stage, epoch, losses)
            validates = stage.validates and asked.valid_data
            if validates and ((epoch + 1) % self.eval_step == 0 or epoch + 1 == stage.epochs):
                bar.set_postfix_str(f"epoch {epoch + 1}/{stage.epochs}, validating")
                stop = self._validate(record, epoch, asked)
                bar.set_description(f"{stage.name} (best {self.valid_metric} {self.best_valid_score:.4f})")
                if stop:
                    self.logger.info(f"{stage.name}: more than {self.stopping_step} validations without a better one")
                    break
        bar.close()
        for current in stage.passes:
            current.finish()

    def _train_one_epoch(self, stage: Stage, epoch: int, rng: np.random.Generator, bar: tqdm) -> dict[str, float]:
        """Mean loss of every pass over this epoch's batches."""
        self.model.train()
        sums: dict[str, list[float]] = {current.name: [] for current in stage.passes}
        for step, (current, batch) in enumerate(stage.steps(rng)):
            loss = self._step(current, batch)
            if not np.isfinite(loss):
                raise UserError(
                    f"the loss became {loss} in stage {stage.name!r}, epoch {epoch + 1}, batch {step + 1} "
                    f"({current.name} pass): lower the learning rate, or set precision to float32"
                )
            sums[current.name].append(loss)
            bar.update(len(batch))
            losses = ", ".join(f"{name} {np.mean(values[-50:]):.4f}" for name, values in sums.items() if values)
            bar.set_postfix_str(f"epoch {epoch + 1}/{stage.epochs}, loss: {losses}", refresh=False)
        return {f"{name} loss": float(np.mean(values)) for name, values in sums.items()}

    def _step(self, current: Pass, batch: Any) -> float:
        current.zero_grad()
        loss = current.backward(batch, self.device)
        if self.clip_grad_norm:
            clip_gradients(current.parameters, **self.clip_grad_norm)
        current.step()
        return loss

    def _validate(self, record: dict[str, Any], epoch: int, asked: _Fit) -> bool:
        """Score the validation part, keep the model if it is the best so far, and say whether to stop."""
        start = perf_counter()
        score, result = self._valid_epoch(asked.valid_data)
        record |= {"validation seconds": perf_counter() - start, "valid score": score, "valid": dict(result)}
        self.timings["validation"] = self.timings.get("validation", 0.0) + record["validation seconds"]
        self.best_valid_score, self.cur_step, stop, better = early_stopping(
            score, self.best_valid_score, self.cur_step, max_step=self.stopping_step, bigger=self.valid_metric_bigger
        )
        if asked.verbose:
            self.logger.info(f"epoch {epoch + 1}: {self.valid_metric} {score:.6f}{', the best' if better else ''}")
            self.logger.info(f"valid result: {dict2str(result)}")
        self.tensorboard.add_scalar("Valid_score", score, epoch)
        self.wandblogger.log_metrics({**result, "valid_step": epoch}, head="valid")
        if better:
            self.best_valid_result = result
            if asked.saved:
                save_weights(Path(self.saved_model_file), self.model)
        if asked.callback:
            asked.callback(epoch, score)
        return bool(stop)

    def _track(self, stage: Stage, epoch: int, losses: dict[str, float]) -> None:
        for name, loss in losses.items():
            self.tensorboard.add_scalar(f"Loss/{stage.name}/{name}", loss, epoch)
        metrics = {f"{stage.name}/{name}": loss for name, loss in losses.items()}
        self.wandblogger.log_metrics({**metrics, "train_step": epoch}, head="train")

    @torch.no_grad()
    def evaluate(
        self, eval_data: Any, load_best_model: bool = True, model_file: str | None = None, show_progress: bool = False
    ) -> Any:
        """As RecBole's; the best model comes from a safetensors file."""
        if load_best_model:
            load_weights(Path(model_file or self.saved_model_file), self.model)
        return super().evaluate(eval_data, load_best_model=False, show_progress=show_progress)


def _line(record: dict[str, Any]) -> str:
    losses = ", ".join(f"{name} {value:.4f}" for name, value in record.items() if name.endswith("loss"))
    return f"{record['stage']} epoch {record['epoch'] + 1} [{record['seconds']:.1f} s] {losses}"
