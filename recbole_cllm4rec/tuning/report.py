"""What a study leaves behind: every trial in a table and in JSON, and the best values as a config file."""

import json
import re
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.report.result import commit, versions, write_whole
from recbole_cllm4rec.tuning.search import Record, Search
from recbole_cllm4rec.yamlio import dump_yaml, load_yaml

_ORDER = ("complete", "pruned", "failed", "running")


@dataclass(frozen=True)
class Tuned:
    """What a study found: the best values, their validation score, the config file that holds them, and in words."""

    values: dict[str, Any]
    score: float
    config_file: Path
    summary: str


def ranked(records: Sequence[Record], maximises: bool) -> list[Record]:
    """Complete trials, the best first, then pruned ones, then the rest."""
    sign = -1 if maximises else 1
    return sorted(records, key=lambda trial: (_ORDER.index(trial.state), sign * (trial.score or 0), trial.number))


def write_report(search: Search, study: str, records: Sequence[Record], path: Path) -> Tuned:
    """``<path>.md`` and ``.json`` with every trial, and ``.yaml`` with the best values for ``--config_files``.

    Raises :class:`UserError` where no trial is complete, and where the files cannot be written.
    """
    records = ranked(records, search.maximises)
    best = records[0]
    if best.state != "complete" or best.score is None:
        raise UserError(f"none of {len(records)} trials ({_states(records)}) came to its end: {best.error}")
    title = f"{path.name} on {search.dataset}"
    found = (
        f"{search.metric} {best.score:.6f} on the validation part in trial {best.number}, "
        f"the best of {len(records)} ({_states(records)})"
    )
    texts = {
        "json": json.dumps(_facts(search, study, records), indent=1, ensure_ascii=False) + "\n",
        "md": _page(search, study, records, title),
        "yaml": f"# {title}: {found}\n{dump_yaml(best.values)}",
    }
    try:
        for suffix, text in texts.items():
            write_whole(Path(f"{path}.{suffix}"), text.encode())
    except OSError as error:
        raise UserError(f"{error.filename or path}: {error.strerror}; set result_dir to a folder with room") from error
    config_file = Path(f"{path}.yaml")
    values = [f"  {name}: {value}" for name, value in best.values.items()]
    lines = [f"{title}: {found}", *values, f"all trials: {path}.md", f"use them: {command(search, config_file)}"]
    return Tuned(best.values, best.score, config_file, "\n".join(lines))


def command(search: Search, config_file: Path) -> str:
    """The command that trains and tests what was found."""
    paths = [str(path) for path in (*search.files, config_file)]
    files = paths if any(path.split() != [path] for path in paths) else " ".join(paths)
    options = {"model": search.model, "dataset": search.dataset, "config_files": files, **search.overrides}
    return shlex.join(["python", "run_recbole.py", *(f"--{key}={_typed(value)}" for key, value in options.items())])


def _typed(value: Any) -> str:
    """``value`` as the command line reads it back."""
    plain = isinstance(value, str) and re.fullmatch(r"[\w./ -]+", value) and load_yaml(value) == value
    return str(value) if plain else json.dumps(value)


def _states(records: Sequence[Record]) -> str:
    numbers = Counter(trial.state for trial in records)
    return ", ".join(f"{numbers[state]} {state}" for state in _ORDER if numbers[state])


def _facts(search: Search, study: str, records: Sequence[Record]) -> dict[str, Any]:
    return {
        "study": study,
        "model": search.model,
        "dataset": search.dataset,
        "metric": search.metric,
        "maximised": search.maximises,
        "space": search.space.meaning(),
        "split": search.split,
        "trials": [asdict(trial) for trial in records],
        "versions": versions() | {"optuna": version("optuna")},
        "commit": commit(),
        "config_hash": search.config.digest(),
        "config": search.config.effective(),
    }


def _page(search: Search, study: str, records: Sequence[Record], title: str) -> str:
    names = list(search.space.domains)
    best = records[0]
    seconds = sum(trial.seconds or 0 for trial in records)
    parameters = [[name, str(domain), _short(best.values[name])] for name, domain in search.space.domains.items()]
    trials = [
        [
            _short(trial.score),
            *(_short(trial.values.get(name)) for name in names),
            str(trial.number),
            trial.state + (f": {trial.error}" if trial.error else ""),
            str(len(trial.curve)),
            f"{trial.seconds or 0:.1f}",
        ]
        for trial in records
    ]
    return "\n".join(
        [
            f"# {title}\n",
            f"{len(records)} trials ({_states(records)}) in {seconds:.0f} seconds, chosen by {search.metric} on the "
            "validation part; the test part was not scored.\n",
            *_table(["parameter", "searched", "chosen"], parameters),
            "",
            *_table([search.metric, *names, "trial", "state", "validations", "seconds"], trials),
            "",
            f"- study `{study}`, Optuna {version('optuna')}, TPE sampler, median pruner, seed {search.config['seed']}",
            f"- configuration `{search.config.digest()}`",
            *(f"- {part} `{fingerprint}`" for part, fingerprint in search.split.items()),
            "",
        ]
    )


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]


def _short(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
