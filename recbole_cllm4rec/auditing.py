"""The leakage audit as a command: what is found goes into a file, beside the result that it vouches for."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.experiment import configure
from recbole_cllm4rec.protocol.leakage import OF_NUMBERING, Verdict, examine
from recbole_cllm4rec.protocol.subject import prepare
from recbole_cllm4rec.report.result import write_whole


def audit(
    model: str,
    dataset: str,
    config_files: Sequence[str | Path] = (),
    overrides: Mapping[str, Any] | None = None,
) -> tuple[list[Verdict], Path]:
    """Audit the run that these arguments describe; the verdicts, and ``<run>.audit.json``, where they stand.

    Raises :class:`UserError` as :func:`recbole_cllm4rec.experiment.run`.
    """
    entry, config = configure(model, dataset, config_files, overrides)
    subject = prepare(entry, config, entry.dataset(config))
    verdicts = examine(subject)
    content = {
        "run": config["run_name"] or config["model"],
        "config_hash": config.digest(),
        "split": subject.loaders.fingerprints,
        "files": subject.loaders.files,
        "verdicts": [asdict(verdict) for verdict in verdicts],
    }
    path = Path(config["result_dir"]) / dataset / f"{content['run']}.audit.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; set result_dir to a folder with room") from error
    return verdicts, path


def read_audit(path: Path) -> dict[str, Any]:
    """What :func:`audit` wrote, ``verdicts`` as such. Raises :class:`UserError` if it is not that."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        verdicts = [Verdict(**verdict) for verdict in found["verdicts"]]
        facts = {"split": found["split"], "config_hash": found["config_hash"], "files": found.get("files", {})}
        return {**facts, "verdicts": verdicts}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is no audit that can be read ({error!r}): delete it") from None


def leak(verdicts: Sequence[Verdict]) -> str | None:
    """The first leak that was found, in words."""
    leaks = [verdict for verdict in verdicts if not verdict.passed and verdict.check not in OF_NUMBERING]
    return f"the audit found a leak: {leaks[0].check}: {leaks[0].detail}" if leaks else None


def summary(audits: Mapping[str, Sequence[Verdict]]) -> list[str]:
    """What the audits of some rows found, a line for each check that failed, or one line that none did."""
    failed = [
        f"{row}: {verdict.check}: {verdict.detail}"
        for row, verdicts in audits.items()
        for verdict in verdicts
        if not verdict.passed
    ]
    n_checks = max(map(len, audits.values()), default=0)
    return failed or [f"no leak: {n_checks} checks of each of {len(audits)} rows passed"]
