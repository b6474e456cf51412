"""Models side by side on one split: runs that are not there yet, each in a process of its own, then the table."""

import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import zip_longest
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from pathlib import Path
from tempfile import gettempdir
from threading import Thread
from typing import Any, NamedTuple

from tqdm import tqdm

from recbole_cllm4rec.auditing import audit, leak, read_audit, summary
from recbole_cllm4rec.checkpoint.interrupts import sigterm_as_interrupt
from recbole_cllm4rec.config import Config
from recbole_cllm4rec.errors import UnfitConfigError, UnknownOptionError, UserError
from recbole_cllm4rec.experiment import configure, run
from recbole_cllm4rec.protocol.leakage import report
from recbole_cllm4rec.protocol.sources import changed_since
from recbole_cllm4rec.protocol.split import history_masked, split
from recbole_cllm4rec.report.comparison import check_earlier, tested, write_comparison
from recbole_cllm4rec.report.comparison import compare as tabulate
from recbole_cllm4rec.report.result import result_path
from recbole_cllm4rec.report.rows import Row, read_result, read_rows
from recbole_cllm4rec.report.table import Table


class Asked(NamedTuple):
    """A row as the command line names it: ``MODEL``, ``MODEL:VARIANT``, ``MODEL@SEEDS``, ``MODEL:VARIANT@SEEDS``."""

    model: str
    variant: str
    seeds: int

    @property
    def row(self) -> str:
        """Its name: that of the variant, as papers call their ablations, or else of the model."""
        return self.variant or self.model

    @property
    def overrides(self) -> dict[str, str]:
        """What makes it a variant."""
        return {"variant": self.variant} if self.variant else {}


@dataclass(frozen=True)
class Job:
    """One run of one row, or its audit."""

    row: str
    model: str
    dataset: str
    files: Sequence[str | Path]
    overrides: dict[str, Any]
    digest: str
    path: Path  # of its result
    audits: bool = False

    @property
    def title(self) -> str:
        """What the progress bar shows."""
        return f"{self.row}, audit" if self.audits else f"{self.row}, seed {self.overrides['seed']}"

    @property
    def log(self) -> Path:
        """What the job prints."""
        return self.path.parent / "log" / f"{self.path.stem}.log"


def compare(
    models: Sequence[str],
    dataset: str,
    seeds: int,
    reference: str | None,
    config_files: Sequence[str | Path],
    overrides: Mapping[str, Any],
    command: str,
) -> tuple[Table, list[Path]]:
    """Train and test ``models`` with ``seeds`` seeds each, the first being ``seed``; the table and its files.

    A model is ``NAME`` or ``NAME:VARIANT``, whose row has the name of the variant; ``NAME@2`` has two seeds whatever
    ``seeds`` is. Each of ``overrides`` goes to the models that have it. Every row is audited for leaks before it is
    run. What is there already, of the same configuration and split, is not repeated; what fails leaves its reason in
    its row. The others are tested against ``reference``, the first row unless said.

    Raises :class:`UserError` for models and options that nobody has, and for results of another split.
    """
    if "run_name" in overrides:
        raise UserError(
            f"run_name is {overrides['run_name']!r}, but rows have the names of their models and variants: leave it "
            "out; another result_dir keeps two tables apart"
        )
    rows, refused = plan(models, dataset, seeds, config_files, overrides)
    reference = reference or next(iter(rows))
    if reference not in rows:
        raise UserError(f"reference is {reference!r}, which is not among the rows: {', '.join(rows)}")
    config, fingerprints = _common(rows, refused)
    folder, mode = Path(config["result_dir"]) / dataset, config["eval_args"]["mode"]["test"]
    check_earlier(folder, tested(fingerprints, history_masked(config, "test"), config["history_read"], mode))
    audits = [_audit_of(jobs[0]) for jobs in rows.values() if jobs]
    runs = [job for jobs in zip_longest(*rows.values()) for job in jobs if job]  # all of the first seed, then the next
    errors = refused | _run_all([*audits, *runs], fingerprints, Path(config["data_path"]))
    done = read_rows({name: [job.path for job in jobs] for name, jobs in rows.items() if name not in errors})
    found = {row.name: row for row in done} | {name: Row(name, [], {}, why) for name, why in errors.items()}
    audited = summary({job.row: read_audit(job.path)["verdicts"] for job in audits if job.row not in errors})
    what = [found[name] for name in rows], reference, _columns(config, done), dataset, command, audited
    table = tabulate(*what)
    return table, write_comparison(folder, table)


def _common(rows: Mapping[str, Sequence[Job]], refused: Mapping[str, str]) -> tuple[Config, dict[str, str]]:
    """The configuration of the first row that ranks, and the fingerprints of the split that all rows have in common.

    Raises :class:`UserError` where no row can be run, and where no figures of users come from their tests.
    """
    jobs = [of_row[0] for of_row in rows.values() if of_row]
    if not jobs:
        raise UserError(f"no row has figures; {'; '.join(f'{name}: {why}' for name, why in refused.items())}")
    found = [configure(job.model, job.dataset, job.files, job.overrides) for job in jobs]
    ranks = [config["eval_args"]["mode"]["test"] != "labeled" for _, config in found]
    entry, config = found[ranks.index(True)] if any(ranks) else found[0]
    parts = split(config, entry.dataset(config))
    if parts.test is None or not any(ranks):
        raise UserError(
            f"eval_args is {config['eval_args']}, by which no user is tested: a table needs a test part and "
            "candidates that are ranked, eval_args.mode full"
        )
    return config, parts.fingerprints


def heard(model: str, dataset: str, config_files: Sequence[str | Path], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ``overrides`` that the model has, whether it can follow them or not."""
    kept = dict(overrides)
    while True:
        try:
            configure(model, dataset, config_files, kept)
        except UnknownOptionError as error:
            known = {key: value for key, value in kept.items() if key.partition(".")[0] != error.key}
            if known == kept:  # it is a file's
                raise
            kept = known
            continue
        except UnfitConfigError:
            pass
        return kept


def plan(
    models: Sequence[str], dataset: str, seeds: int, files: Sequence[str | Path], overrides: Mapping[str, Any]
) -> tuple[dict[str, list[Job]], dict[str, str]]:
    """Row -> its runs, one a seed; and row -> why its model cannot follow the configuration, where it has no runs.

    Raises :class:`UserError` for two rows of one name, and for an option that none of the models has.
    """
    rows: dict[str, list[Job]] = {}
    refused: dict[str, str] = {}
    unheard = dict(overrides)
    for asked in (read_model(text, seeds) for text in models):
        if asked.row in rows:
            raise UserError(f"models has {asked.row!r} twice: give a row once")
        kept = heard(asked.model, dataset, files, {**overrides, **asked.overrides})
        unheard = {key: value for key, value in unheard.items() if key not in kept}
        try:
            rows[asked.row] = _jobs(asked, dataset, files, kept)
        except UnfitConfigError as error:
            rows[asked.row], refused[asked.row] = [], str(error)
            tqdm.write(f"{asked.row}: {error}")
    if unheard:
        configure(read_model(models[0], 1).model, dataset, files, unheard)
    return rows, refused


def read_model(text: str, seeds: int) -> Asked:
    """What ``text`` asks for, with ``seeds`` where it names no number. Raises :class:`UserError` for another one."""
    name, at, own = text.partition("@")
    if at and not re.fullmatch("[1-9][0-9]{0,2}", own):
        raise UserError(f"models has {text!r}: after @ stands the number of its seeds, 999 at most, as {name}@3")
    model, _, variant = name.partition(":")
    return Asked(model, variant, int(own) if at else seeds)


def _columns(config: Config, rows: Sequence[Row]) -> list[str]:
    """The metrics of the table: of ``table_metrics`` those that were measured, or else whatever was."""
    measured = {metric for row in rows for result in row.results for metric in result["test"]}
    wanted: list[str] = config["table_metrics"]
    return [metric for metric in wanted if metric in measured] or sorted(measured) or wanted


def _jobs(asked: Asked, dataset: str, files: Sequence[str | Path], kept: Mapping[str, Any]) -> list[Job]:
    if asked.variant and "variant" not in kept:
        raise UserError(f"{asked.model} has no variants: write {asked.model} alone, not {asked.model}:{asked.variant}")
    _, config = configure(asked.model, dataset, files, kept)
    return [_job(asked, dataset, files, kept, config["seed"] + number) for number in range(asked.seeds)]


def _job(asked: Asked, dataset: str, files: Sequence[str | Path], kept: Mapping[str, Any], seed: int) -> Job:
    own = {**kept, "seed": seed, "run_name": asked.row, "show_progress": False}
    _, config = configure(asked.model, dataset, files, own)
    path = result_path(Path(config["result_dir"]) / dataset, asked.row, seed)
    return Job(asked.row, asked.model, dataset, files, own, config.digest(), path)


def _audit_of(job: Job) -> Job:
    return replace(job, path=job.path.with_name(f"{job.row}.audit.json"), audits=True)


def _run_all(jobs: Sequence[Job], fingerprints: Mapping[str, str], data: Path) -> dict[str, str]:
    """Run what is not finished; row -> the line that says why it could not.

    A SIGTERM ends it as Ctrl-C does, once the training that is running is saved.
    """
    errors: dict[str, str] = {}
    todo = [job for job in jobs if not _finished(job, fingerprints, data)]
    if replaced := [job.path for job in todo if job.path.exists() and not job.audits and not _lacks_users(job)]:
        others = f" and {len(replaced) - 1} more are" if replaced[1:] else " is"
        tqdm.write(f"{replaced[0]}{others} of another configuration, replaced now: another --result_dir keeps both")
    with (
        sigterm_as_interrupt(),
        tqdm(todo, unit="job", desc=f"{len(jobs) - len(todo)} of {len(jobs)} are there") as bar,
    ):
        for job in bar:
            if job.row in errors:
                continue
            bar.set_postfix_str(job.title)
            if why := _run_apart(job) or _other_split(job, fingerprints):
                errors[job.row] = why
                bar.write(f"{job.row}: {why}")
    return errors


def _finished(job: Job, fingerprints: Mapping[str, str], data: Path) -> bool:
    """Whether the result is there. Raises :class:`UserError` if it is corrupt, or of another split or data."""
    if not job.path.exists():
        return False
    result = _read(job)
    then, now = result["split"]["test"], fingerprints["test"]
    if result["split"] != dict(fingerprints):
        raise UserError(f"{job.path} is of another split (test {then}, not {now}): move it, or set another result_dir")
    if result.get("config_hash") != job.digest:
        return False
    if name := changed_since(result.get("files", {}), data):
        raise UserError(f"{job.path} is of other data ({name} has changed): move it, or set another result_dir")
    return not leak(result["verdicts"]) if job.audits else job.path.with_suffix(".users.npz").exists()


def _lacks_users(job: Job) -> bool:
    """Whether the run is finished but for figures of users, which a comparison needs."""
    return job.path.exists() and _read(job).get("config_hash") == job.digest


def _read(job: Job) -> dict[str, Any]:
    return read_audit(job.path) if job.audits else read_result(job.path)


def _other_split(job: Job, fingerprints: Mapping[str, str]) -> str | None:
    found = _read(job)["split"]
    return None if found == dict(fingerprints) else f"scored on another split, test {found['test']}, so not comparable"


def _new_processes() -> SpawnContext | ForkServerContext:
    """Where they come from; on Linux with modules in place, which take longer to load than EASE to be solved."""
    # Libraries of macOS do not survive a fork, Windows has none, and the path of a socket has no more than 108 bytes.
    if sys.platform != "linux" or len(os.fsencode(gettempdir())) > 70:
        return get_context("spawn")
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__, "torch._dynamo"])  # torch's optimisers load that
    return context


def _run_apart(job: Job) -> str | None:
    """Run a job in a new process, whose peak memory and random state are its own; why it failed, if it did."""
    context = _new_processes()
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(sender, _run_logged, job))
    process.start()
    sender.close()  # so that the end of the process is the end of the pipe
    try:
        why: str | None = receiver.recv()
    except EOFError:
        why = f"its process was killed, perhaps for want of memory; see {job.log}"
    except KeyboardInterrupt:
        process.terminate()
        with suppress(EOFError):
            receiver.recv()  # it saves first
        raise KeyboardInterrupt(f"stopped in {job.title}; the same command goes on") from None
    process.join()
    return why


def _answer(sender: Connection, do: Callable[[Job], str | None], job: Job) -> None:
    sender.send(do(job))


def _run_logged(job: Job) -> str | None:
    Thread(target=_end_with_parent, daemon=True).start()
    try:
        job.log.parent.mkdir(parents=True, exist_ok=True)
        with job.log.open("a", encoding="utf-8") as log:
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
    except OSError as error:
        return f"{job.log}: {error.strerror}; set result_dir to a folder with room"
    return attempt(job)


def _end_with_parent() -> None:
    """Stop, as by SIGTERM, once the process is gone that waits for this one: nobody would start the next job."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def attempt(job: Job) -> str | None:
    """Do a job in this process; why it failed, if it did."""
    try:
        if job.audits:
            return _audited(job)
        run(job.model, job.dataset, job.files, job.overrides, resume=not _lacks_users(job))
    except UserError as error:
        print(f"error: {error}")
        return str(error)
    except Exception as error:  # whatever a model of RecBole raises ends its own row alone
        traceback.print_exc()
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}; see {job.log}"
    return None


def _audited(job: Job) -> str | None:
    verdicts, _ = audit(job.model, job.dataset, job.files, job.overrides)
    print(report(verdicts))
    return leak(verdicts)
