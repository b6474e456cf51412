"""Models side by side on one split: runs that are not there yet, then the table."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from tqdm import tqdm

from recbole_cllm4rec.auditing import read_audit, summary
from recbole_cllm4rec.checkpoint.interrupts import sigterm_as_interrupt
from recbole_cllm4rec.comparison.apart import run_apart
from recbole_cllm4rec.comparison.job import Job, audit_of, finished, lacks_users, other_split
from recbole_cllm4rec.comparison.plan import plan
from recbole_cllm4rec.config import Config
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.experiment import configure
from recbole_cllm4rec.protocol.split import history_masked, split
from recbole_cllm4rec.report.comparison import check_earlier, tested, write_comparison
from recbole_cllm4rec.report.comparison import compare as tabulate
from recbole_cllm4rec.report.rows import Row, read_rows
from recbole_cllm4rec.report.table import Table


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
    audits = [audit_of(jobs[0]) for jobs in rows.values() if jobs]
    runs = [job for jobs in zip_longest(*rows.values()) for job in jobs if job]  # all of the first seed, then the next
    errors = refused | _run_all([*audits, *runs], fingerprints, Path(config["data_path"]))
    done = read_rows({name: [job.path for job in jobs] for name, jobs in rows.items() if name not in errors})
    found = {row.name: row for row in done} | {name: Row(name, [], {}, why) for name, why in errors.items()}
    audited = summary({job.row: read_audit(job.path)["verdicts"] for job in audits if job.row not in errors})
    of_rows = [found[name] for name in rows]
    table = tabulate(of_rows, reference, _columns(config, done), dataset, command, audited)
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


def _columns(config: Config, rows: Sequence[Row]) -> list[str]:
    """The metrics of the table: of ``table_metrics`` those that were measured, or else whatever was."""
    measured = {metric for row in rows for result in row.results for metric in result["test"]}
    wanted: list[str] = config["table_metrics"]
    return [metric for metric in wanted if metric in measured] or sorted(measured) or wanted


def _run_all(jobs: Sequence[Job], fingerprints: Mapping[str, str], data: Path) -> dict[str, str]:
    """Run what is not finished; row -> the line that says why it could not.

    A SIGTERM ends it as Ctrl-C does, once the training that is running is saved.
    """
    errors: dict[str, str] = {}
    todo = [job for job in jobs if not finished(job, fingerprints, data)]
    if replaced := [job.path for job in todo if job.path.exists() and not job.audits and not lacks_users(job)]:
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
            if why := run_apart(job) or other_split(job, fingerprints):
                errors[job.row] = why
                bar.write(f"{job.row}: {why}")
    return errors
