"""The trials of a search as an Optuna study in SQLite, shared by processes of which any may die at any time."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from filelock import FileLock

from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.experiment import OnValidation
from recbole_cllm4rec.tuning.search import PointError, Record, Search
from recbole_cllm4rec.tuning.space import Choice, Domain
from recbole_cllm4rec.tuning.workers import bury, is_dead

try:
    import optuna
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
    from optuna.trial import FrozenTrial, Trial, TrialState
except ModuleNotFoundError:
    raise UserError("tuning needs Optuna: pip install 'recbole_cllm4rec[tune]' (from a checkout: '.[tune]')") from None

_LOCKED_SECONDS = 60  # SQLite admits one writer at a time: how long the others wait
_PATIENCE = 3  # deaths of its process after which a trial has failed: it may be what kills them
_HOPELESS = 3  # failures in a row, from the first trial on, after which a study stops
_STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
}


class Trials:
    """The study of ``search`` in the file ``database``, made if it is not there.

    Its name tells the model, and by a hash the space, the configuration, the split and the files: where one of them
    changes, a new study begins in the same file. ``workers`` is the folder that :func:`workers.working` was given.
    """

    def __init__(self, search: Search, database: Path, workers: Path) -> None:
        self.name = f"{search.model}-{_identity(search)}"
        self.lock = FileLock(f"{database}.lock")  # held to look at the trials and act on it, and to write reports
        self._search, self._workers = search, workers
        self._distributions = {name: _distribution(domain) for name, domain in search.space.domains.items()}
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            database.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{database.parent}: {error.strerror}; set result_dir to a folder with room") from error
        with self.lock:
            self._study = optuna.create_study(
                storage=optuna.storages.RDBStorage(
                    f"sqlite:///{database}", engine_kwargs={"connect_args": {"timeout": _LOCKED_SECONDS}}
                ),
                study_name=self.name,
                direction="maximize" if search.maximises else "minimize",
                pruner=_pruner(search),
                load_if_exists=True,
            )
            if not self._study.get_trials(deepcopy=False) and (start := _as_it_stands(search)):
                self._study.enqueue_trial(start)

    def begin(self, total: int, own: Path) -> Trial | None:
        """A new trial, unless ``total`` have begun; ``own`` is the folder of this process.

        A trial whose process has died is given up and its point goes first.
        """
        with self.lock:
            for running in self._all(TrialState.RUNNING):
                process = self._workers / running.user_attrs.get("worker", "died before it could sign")
                if is_dead(process):
                    self.give_up(running, deaths=1)
                    bury(process)
            begun = len(_counted(self._all()))
            if begun >= total:
                return None
            # Seeded anew for every trial: two processes never draw the same, and a study that was killed goes on as
            # it would have.
            seed = np.random.SeedSequence([self._search.config["seed"], begun]).generate_state(1)
            self._study.sampler = optuna.samplers.TPESampler(seed=int(seed[0]))
            trial = self._study.ask(self._distributions)
            trial.set_user_attr("worker", own.name)
            return trial

    def run(self, trial: Trial, own: Path, watch: OnValidation) -> None:
        """Train a trial and store what became of it; ``watch`` is told every validation score.

        Raises :class:`UserError` for a mistake that is not this point's, or where the first trials all failed.
        """

        def validated(epoch: int, score: float) -> None:
            trial.report(score, epoch)
            watch(epoch, score)
            if trial.should_prune():
                raise optuna.TrialPruned

        values = _decoded(self._search, trial.params)
        try:
            with TemporaryDirectory(dir=own) as scratch:
                score = self._search.evaluate(values, Path(scratch), validated)
        except optuna.TrialPruned:
            self._study.tell(trial, state=TrialState.PRUNED)
        except PointError as error:
            trial.set_user_attr("error", str(error))
            self._study.tell(trial, state=TrialState.FAIL)
            self._stop_if_hopeless(error)
        except BaseException:
            with self.lock:
                self.give_up(trial)
            raise
        else:
            self._study.tell(trial, score)

    def give_up(self, trial: Trial | FrozenTrial, deaths: int = 0) -> None:
        """Close a trial that came to no end, and queue its point again, unless it killed its process too often."""
        deaths += trial.user_attrs.get("deaths", 0)
        self._study.tell(trial.number, state=TrialState.FAIL)
        if deaths < _PATIENCE:
            self._study.enqueue_trial(trial.params, {"instead of": trial.number, "deaths": deaths})

    def records(self) -> list[Record]:
        """All trials but those that began again as another, in the order of their numbers."""
        return [_record(self._search, trial) for trial in _counted(self._all())]

    def _all(self, *states: TrialState) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=states or None)

    def _stop_if_hopeless(self, error: PointError) -> None:
        ended = [trial for trial in _counted(self._all()) if trial.state.is_finished()]
        if len(ended) >= _HOPELESS and all(trial.state == TrialState.FAIL for trial in ended):
            raise UserError(f"all of the first {len(ended)} trials failed, the last one so: {error}") from error


def _identity(search: Search) -> str:
    meaning = [search.space.meaning(), search.config.digest(), search.split, search.data]
    return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()[:12]


def _distribution(domain: Domain) -> BaseDistribution:
    if isinstance(domain, Choice):
        return CategoricalDistribution(domain.codes())
    kind: Any = IntDistribution if domain.whole else FloatDistribution
    return kind(domain.low, domain.high, log=domain.log, **({"step": domain.step} if domain.step else {}))


def _decoded(search: Search, params: Mapping[str, Any]) -> dict[str, Any]:
    """Optuna's values as the configuration takes them."""
    return {name: search.space.domains[name].decode(value) for name, value in params.items()}


def _as_it_stands(search: Search) -> dict[str, Any] | None:
    """Optuna's values of the configuration itself, the first trial if the space has it."""
    given, domains = search.config.effective(), search.space.domains
    if not all(name in given and domain.holds(given[name]) for name, domain in domains.items()):
        return None
    return {name: domain.encode(given[name]) for name, domain in domains.items()}


def _pruner(search: Search) -> optuna.pruners.BasePruner:
    """Stops a trial that is below the median of its predecessors at the same epoch.

    Five trials are complete before that, and a tenth of the epochs go by. What trains in one epoch is never stopped.
    """
    return optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=max(2, search.config["epochs"] // 10))


def _counted(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Trials that have begun, without those that began again as another."""
    again = {trial.user_attrs.get("instead of") for trial in trials}
    return [trial for trial in trials if trial.state != TrialState.WAITING and trial.number not in again]


def _record(search: Search, trial: FrozenTrial) -> Record:
    state = _STATES[trial.state]
    return Record(
        number=trial.number,
        state=state,
        score=trial.value,
        values=_decoded(search, trial.params),
        curve=trial.intermediate_values,
        seconds=trial.duration.total_seconds() if trial.duration else None,
        error=trial.user_attrs.get("error", "its process died") if state == "failed" else None,
    )
