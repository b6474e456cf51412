"""One run of one row, or its audit: whether it is done already, and the doing of it."""

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from recbole_cllm4rec.auditing import audit, leak, read_audit
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.experiment import run
from recbole_cllm4rec.protocol.leakage import report
from recbole_cllm4rec.protocol.sources import changed_since
from recbole_cllm4rec.report.rows import read_result


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


def audit_of(job: Job) -> Job:
    """The audit of the row of ``job``, with its configuration."""
    return replace(job, path=job.path.with_name(f"{job.row}.audit.json"), audits=True)


def finished(job: Job, fingerprints: Mapping[str, str], data: Path) -> bool:
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


def lacks_users(job: Job) -> bool:
    """Whether the run is finished but for figures of users, which a comparison needs."""
    return job.path.exists() and _read(job).get("config_hash") == job.digest


def _read(job: Job) -> dict[str, Any]:
    return read_audit(job.path) if job.audits else read_result(job.path)


def other_split(job: Job, fingerprints: Mapping[str, str]) -> str | None:
    """Why a job that was done has no place in the table, if it was on another split."""
    found = _read(job)["split"]
    return None if found == dict(fingerprints) else f"scored on another split, test {found['test']}, so not comparable"


def attempt(job: Job) -> str | None:
    """Do a job in this process; why it failed, if it did."""
    try:
        if job.audits:
            return _audited(job)
        run(job.model, job.dataset, job.files, job.overrides, resume=not lacks_users(job))
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
