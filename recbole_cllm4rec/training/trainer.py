"""RecBole's trainer for models that train in stages: it walks a list of stages and knows none of them by name."""

import warnings
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from recbole.utils import dict2str, early_stopping
from torch.optim.lr_scheduler import LambdaLR
from tqdm import tqdm

from recbole_cllm4rec import processes
from recbole_cllm4rec.checkpoint.journal import Journal
from recbole_cllm4rec.checkpoint.resume import Run
from recbole_cllm4rec.checkpoint.state import random_states, restoring, set_optimisers, set_random_states
from recbole_cllm4rec.checkpoint.weights import load_weights, save_weights, set_trained, trained
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.protocol.evaluation import FullSortEvaluation
from recbole_cllm4rec.training.estimate import estimate
from recbole_cllm4rec.training.optimisers import clip_gradients
from recbole_cllm4rec.training.position import Position
from recbole_cllm4rec.training.restored import check_place, check_state
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

    Several processes walk them side by side: each has all weights and takes all steps, the main one decides and writes.
    ``timings`` holds the seconds of every stage and of its validation, ``history`` a record an epoch. What
    :meth:`keep` was told is saved on the way, and gone on with.
    """

    in_several_processes = True

    def __init__(self, config: Any, model: Any):
        super().__init__(config, model)
        self.eval_step = config["eval_step"]
        self.best_valid_score: float
        self.cur_step: int
        self.stages = build_stages(config, model, self._build_optimizer)
        self.saved_model_file: str = str(Path(self.saved_model_file).with_suffix(".safetensors"))
        self.timings: dict[str, float] = {}
        self.history: list[dict[str, Any]] = []
        self._at = Position()
        self._schedules: list[LambdaLR] = []
        self._journal: Journal | None = None
        self._resumed: dict[str, Any] | None = None  # until its stage has taken what is the stage's

    def keep(self, run: Run, facts: dict[str, Any]) -> None:
        """Save checkpoints in the folder of ``run``, and go on with the state that was left there."""
        super().keep(run, facts)
        self._journal = Journal(run, facts, self.config["checkpoint_minutes"])
        self._resumed = run.state

    def fit(
        self,
        train_data: Any,
        valid_data: Any = None,
        verbose: bool = True,
        saved: bool = True,
        show_progress: bool = False,
        callback_fn: Callable[[int, float], None] | None = None,
    ) -> tuple[float, dict[str, float] | None]:
        """Train all stages; the best validation score and result, as RecBole's trainers return them.

        Raises :class:`Stopped`, the state being saved, where a signal ends it.
        """
        self.eval_collector.data_collect(train_data)
        if not self.eval_step:
            valid_data = None  # as in RecBole
        if self._resumed is None:
            seed = self.config["seed"]
            found = estimate(self.stages, self.model, valid_data, self.eval_step, seed, show_progress)
            self.logger.info(str(found))
        else:
            with restoring(Path(self.saved_model_file).parent):
                check_state(self._resumed)
                self._restore(self._resumed)
        processes.same(trained(self.model).values())
        asked = _Fit(valid_data, verbose, saved, show_progress, callback_fn)
        with self._journal or nullcontext():
            while self._at.stage < len(self.stages):
                self._run(self.stages[self._at.stage], asked)
                self._at = Position(self._at.stage + 1)
            if saved and self.best_valid_result is None:
                self._save_weights()
            if saved and self._journal:  # what comes now, the test, starts here if it is broken off
                self._journal.save(self._state, Path(self.saved_model_file))
        self._add_hparam_to_tensorboard(self.best_valid_score)
        return self.best_valid_score, self.best_valid_result

    def _run(self, stage: Stage, asked: _Fit) -> None:
        rng = np.random.default_rng([self.config["seed"], self._at.stage])
        self._schedules = [LambdaLR(optimiser, stage.rate) for optimiser in stage.optimisers]
        with restoring(Path(self.saved_model_file).parent):
            self._restore_stage(stage)
        start = perf_counter() - self.timings.get(stage.name, 0.0) - self._at.seconds
        done = self._at.epoch * len(stage)
        bar = tqdm(
            total=stage.epochs * len(stage),
            initial=done,
            desc=stage.name,
            unit="doc",
            smoothing=0,  # by the whole stage: two documents with a validation between them would make it hours
            disable=not asked.show_progress,
        )
        stop = False
        while self._at.epoch < stage.epochs and not stop:
            losses = self._train_one_epoch(stage, rng, bar)
            stop = self._end_epoch(stage, losses, bar, asked)
            self.timings[stage.name] = perf_counter() - start
            self._at = self._at.next_epoch(stage.epochs if stop else self._at.epoch + 1, rng)
            self._look()
        bar.close()
        for current in stage.passes:
            current.finish()

    def _train_one_epoch(self, stage: Stage, rng: np.random.Generator, bar: tqdm) -> dict[str, float]:
        """Mean loss of every pass over this epoch's batches, those that a killed process has trained on included."""
        at = self._at
        self.model.train()
        start = perf_counter() - at.seconds
        for current, batch in at.walk(stage, rng, bar):
            loss = self._step(current, batch)
            if not np.isfinite(loss):
                raise UserError(
                    f"the loss became {loss} in stage {stage.name!r}, epoch {at.epoch + 1}, batch {at.step + 1} "
                    f"({current.name} pass): lower the learning rate, or set precision to float32"
                )
            at.count(current, loss, perf_counter() - start)
            losses = ", ".join(f"{name} {np.mean(values[-50:]):.4f}" for name, values in at.losses.items() if values)
            bar.set_postfix_str(f"epoch {at.epoch + 1}/{stage.epochs}, loss: {losses}", refresh=False)
            self._look()
        return {f"{name} loss": float(np.mean(values)) for name, values in at.losses.items()}

    def _end_epoch(self, stage: Stage, losses: dict[str, float], bar: tqdm, asked: _Fit) -> bool:
        """Note what the epoch gave, validate if it is time, and say whether to stop."""
        epoch, rate = self._at.epoch, self._schedules[0].get_last_lr()[0]
        record = {"stage": stage.name, "epoch": epoch, "seconds": self._at.seconds, "rate": rate, **losses}
        if asked.verbose:
            self.logger.info(_line(record))
        self._track(stage, epoch, losses)
        stop = False
        if stage.validates and asked.valid_data and ((epoch + 1) % self.eval_step == 0 or epoch + 1 == stage.epochs):
            bar.set_postfix_str(f"epoch {epoch + 1}/{stage.epochs}, validating")
            stop = self._validate(record, epoch, asked)
            bar.set_description(f"{stage.name} (best {self.valid_metric} {self.best_valid_score:.4f})")
            if stop:
                self.logger.info(f"{stage.name}: more than {self.stopping_step} validations without a better one")
        with warnings.catch_warnings():  # gone on with from an epoch's end, it steps before an optimiser does
            warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")
            for schedule in self._schedules:
                schedule.step()
        self.history.append(record)
        return stop

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
        with self._journal.repeatable(self._state, self._best) if self._journal else nullcontext():
            scored = self._valid_epoch(asked.valid_data)
        score, result = processes.from_main(lambda: (float(scored[0]), {m: float(v) for m, v in scored[1].items()}))
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
                self._save_weights()
        if asked.callback:
            asked.callback(epoch, score)
        return bool(stop)

    def _save_weights(self) -> None:
        if processes.is_main():
            save_weights(Path(self.saved_model_file), self.model)

    def _track(self, stage: Stage, epoch: int, losses: dict[str, float]) -> None:
        for name, loss in losses.items():
            self.tensorboard.add_scalar(f"Loss/{stage.name}/{name}", loss, epoch)
        metrics = {f"{stage.name}/{name}": loss for name, loss in losses.items()}
        self.wandblogger.log_metrics({**metrics, "train_step": epoch}, head="train")

    @property
    def _best(self) -> Path | None:
        """The weights of the best epoch, once one was validated."""
        return None if self.best_valid_result is None else Path(self.saved_model_file)

    def _look(self) -> None:
        if self._journal:
            self._journal.look(self._state, self._best)

    def _state(self) -> dict[str, Any]:
        """Everything that the rest of the training depends on; in the midst of an epoch, after a step."""
        stage = self.stages[self._at.stage] if self._at.stage < len(self.stages) else None
        return {
            "at": vars(self._at),
            "words": self._at.words(stage.name) if stage else "the end of the training",
            "model": trained(self.model),
            "optimisers": [optimiser.state_dict() for optimiser in stage.optimisers] if stage else [],
            "schedules": [schedule.state_dict() for schedule in self._schedules] if stage else [],
            "random": {**random_states(self.device), "sampling": self.model.sampling.get_state()},
            "best score": None if self.best_valid_result is None else self.best_valid_score,
            "best result": self.best_valid_result,
            "validations without a better one": self.cur_step,
            "history": self.history,
            "timings": self.timings,
        }

    def _restore(self, state: dict[str, Any]) -> None:
        """The inverse of ``_state``, but for what :meth:`_restore_stage` does."""
        set_trained(self.model, state["model"])
        self._at = Position(**state["at"])
        self.best_valid_result = state["best result"]
        if self.best_valid_result is not None:
            self.best_valid_score = state["best score"]
        self.cur_step = state["validations without a better one"]
        self.history, self.timings = state["history"], state["timings"]
        of_stages = [seconds for name, seconds in self.timings.items() if name != "validation"]
        self.earlier_seconds = sum(of_stages) + self._at.seconds
        set_random_states(state["random"], self.device)
        self.model.sampling.set_state(state["random"]["sampling"])

    def _restore_stage(self, stage: Stage) -> None:
        """Optimisers and schedules, in the stage that the training is gone on with."""
        if self._resumed is not None:
            check_place(self._resumed, stage)
            set_optimisers(stage.optimisers, self._resumed["optimisers"])
            for schedule, left in zip(self._schedules, self._resumed["schedules"], strict=True):
                schedule.load_state_dict(left)
            self._resumed = None

    @torch.no_grad()
    def evaluate(
        self, eval_data: Any, load_best_model: bool = True, model_file: str | None = None, show_progress: bool = False
    ) -> Any:
        """As RecBole's; the best model comes from a safetensors file."""
        if load_best_model:
            if processes.is_main():
                load_weights(Path(model_file or self.saved_model_file), self.model)
            processes.same(trained(self.model).values())
        return super().evaluate(eval_data, load_best_model=False, show_progress=show_progress)


def _line(record: dict[str, Any]) -> str:
    losses = ", ".join(f"{name} {value:.4f}" for name, value in record.items() if name.endswith("loss"))
    return f"{record['stage']} epoch {record['epoch'] + 1} [{record['seconds']:.1f} s] {losses}"
