"""A study from the command to its report: trial after trial, a progress bar, and a log file for each."""

import gc
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import SQLAlchemyError
from tqdm import tqdm

from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.options import AtLeast, check_value
from recbole_cllm4rec.tuning.engine import Trials
from recbole_cllm4rec.tuning.report import Tuned, ranked, write_report
from recbole_cllm4rec.tuning.search import Record, Search, prepare
from recbole_cllm4rec.tuning.workers import working

_GLANCE = 1.0  # seconds between two looks at the trials of other processes


def tune(
    model: str,
    dataset: str,
    space_file: str | Path | Literal[True] = True,
    trials: int = 30,
    config_files: Sequence[str | Path] = (),
    overrides: Mapping[str, Any] | None = None,
) -> Tuned:
    """Search the space in a file, or if True the one that comes with the model, and write what was found.

    ``trials`` counts those of the study, which goes on where it was stopped and is shared by all processes that call
    this with the same arguments. Files go to ``<result_dir>/<dataset>/tuning``. Raises :class:`UserError` for what is
    the user's to mend and where no trial came to its end, and a KeyboardInterrupt that says how to go on.
    """
    total = check_value("trials", Annotated[int, AtLeast(1)], trials)
    with _logging_to(Path(os.devnull)):  # every trial logs how it reads the data
        search = prepare(model, dataset, space_file, config_files, overrides)
    config = search.config
    path = Path(config["result_dir"]) / dataset / "tuning" / (config["run_name"] or model)
    workers = Path(f"{path}.work")
    database = Path(f"{path}.db")
    try:
        study = Trials(search, database, workers)
        with working(workers) as own, _Bar(search, study, total) as bar:
            try:
                _work(study, total, own, bar, Path(f"{path}.logs"))
            except KeyboardInterrupt:
                raise KeyboardInterrupt(f"stopped after {bar.n} of {total} trials; the same command goes on") from None
        with study.lock:
            return write_report(search, study.name, study.records(), path)
    except (SQLAlchemyError, StorageInternalError) as error:  # the second has the first for its cause
        why = " ".join(str(error.__cause__ or error).split())[:200]
        raise UserError(f"{database} cannot be read or written: {why}; move it away, or set result_dir") from error


def _work(study: Trials, total: int, own: Path, bar: "_Bar", logs: Path) -> None:
    """Run trials till the study has ``total``, and wait for those of other processes, which may die."""
    while True:
        trial = study.begin(total, own)
        bar.look()
        if trial is not None:
            with _logging_to(logs / f"{study.name}-{trial.number:04d}.log"):
                study.run(trial, own, bar.watch(trial.number))
            gc.collect()  # trainers and models refer to each other
            torch.cuda.empty_cache()
        elif bar.n < total:
            time.sleep(_GLANCE)
        else:
            return


class _Bar:
    """The progress of a study, trials of other processes included, and what this process is at."""

    def __init__(self, search: Search, study: Trials, total: int) -> None:
        self._search, self._study, self._total = search, study, total
        self._best = "none complete"
        name = f"{search.config['run_name'] or search.model} on {search.dataset}"
        done = min(len(self._ended()), total)
        self._bar = tqdm(total=total, initial=done, desc=name, unit="trial", disable=not search.config["show_progress"])
        self.look()

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def look(self) -> None:
        """Count the trials that have ended."""
        ended = self._ended()
        best = next(iter(ranked(ended, self._search.maximises)), None)
        if best is not None and best.state == "complete":
            self._best = f"best {self._search.metric} {best.score:.4f}"
        self.n = len(ended)
        self._bar.n = min(self.n, self._total)
        self._bar.set_postfix_str(self._best)

    def watch(self, number: int) -> Callable[[int, float], None]:
        """Shows the validation scores of a trial as they come."""

        def show(epoch: int, score: float) -> None:
            self._bar.set_postfix_str(f"{self._best}; trial {number}, epoch {epoch + 1}: {score:.4f}")

        return show

    def _ended(self) -> list[Record]:
        return [record for record in self._study.records() if record.state != "running"]


@contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    """Let all that is logged go to a file and nothing to the screen, where the bar is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    file = logging.FileHandler(path, encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s  %(message)s"))
    root.handlers = [file]
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.handlers = handlers
        root.setLevel(level)
        file.close()
