"""Rows of a comparison: runs read from their files, user by user, on one split or refused."""

import json
import math
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from recbole.evaluator.register import metrics_dict

from recbole_cllm4rec.errors import UserError, shown

FloatArray = npt.NDArray[np.float64]

# What a comparison reads of a result; deeper keys are dotted.
_NEEDED: dict[str, type | tuple[type, ...]] = {
    "run": str,
    "model": str,
    "seed": int,
    "dataset": str,
    "test": dict,
    "valid": dict,
    "split.train": str,
    "split.valid": str,
    "split.test": str,
    "history_mask": str,
    "parameters.trained": int,
    "seconds.model": (int, float),
    "seconds.training": (int, float),
    "seconds.scoring": (int, float),
    "peak_memory_gib": (int, float),
    "device": str,
    "versions": dict,
    "commit": (dict, type(None)),
    "history": list,
    "config.valid_metric": str,
    "config.metric_decimal_place": int,
    "config.eval_args.mode.test": str,
}
# What has to agree for figures to be of one and the same test.
_PROTOCOL = (
    "split.train",
    "split.valid",
    "split.test",
    "history_mask",
    "config.history_read",
    "config.eval_args.mode.test",
    "items",  # that are ranked; runs of before do not say it
)
_ABSENT = object()


@dataclass(frozen=True)
class Row:
    """One line of the table: a model's runs, one a seed, on one split."""

    name: str
    results: list[dict[str, Any]]  # as in results/<dataset>/<run>-<seed>.json
    per_user: dict[str, FloatArray]  # metric -> [U], mean over the seeds, in the order of users common to all rows
    error: str | None = None  # why there are no figures; then the row shows this line


class Users(NamedTuple):
    """The figures of one run's users: raw ids [U], sorted, and metric -> [U]."""

    ids: npt.NDArray[np.str_]
    figures: dict[str, FloatArray]


def higher_is_better(metric: str) -> bool:
    """Whether more of a metric, ``ndcg@100``, is better."""
    return not getattr(metrics_dict.get(metric.partition("@")[0]), "smaller", False)


def kept(result: Mapping[str, Any]) -> dict[str, Any] | None:
    """The record of the epoch that validation chose, the later of equals as in RecBole; None without a curve."""
    sign = 1 if higher_is_better(result["config"]["valid_metric"].lower()) else -1
    scored = [record for record in result["history"] if "valid score" in record]
    return max(reversed(scored), key=lambda record: sign * record["valid score"], default=None)


def read_rows(runs: Mapping[str, Sequence[Path]]) -> list[Row]:
    """Rows by name, each from the result files of its seeds and the figures of users that lie beside them.

    Raises :class:`UserError` as :func:`read_result`, :func:`read_users` and :func:`common_split`, and where two runs
    were tested on different users.
    """
    rows = [Row(name, [read_result(path) for path in paths], {}) for name, paths in runs.items()]
    common_split(rows)
    users = {
        path: read_users(path, result) for row in rows for path, result in zip(runs[row.name], row.results, strict=True)
    }
    _check_same(users)
    return [replace(row, per_user=_mean([users[path].figures for path in runs[row.name]])) for row in rows]


def read_result(path: Path) -> dict[str, Any]:
    """A result file. Raises :class:`UserError` if it is unreadable, or lacks what a comparison reads."""
    try:
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is no JSON: {error}; delete it and repeat the run") from None
    for key, kind in _NEEDED.items():
        value = _at(result, key)
        if value is _ABSENT:
            raise UserError(f"{path} has no {key}; delete it and repeat the run")
        if not isinstance(value, kind):
            raise UserError(f"{path}: {key} cannot be {shown(value)}; delete it and repeat the run")
    figures = all(isinstance(figure, int | float) for part in ("test", "valid") for figure in result[part].values())
    records = all(isinstance(record, dict) for record in result["history"])
    if not (figures and records and 0 <= result["config"]["metric_decimal_place"] <= 100):
        raise UserError(f"{path} holds figures that are no numbers; delete it and repeat the run")
    for values in (result, result["config"]):  # runs of before could read nothing else
        values.setdefault("history_read", "train")
    return result


def read_users(path: Path, result: Mapping[str, Any]) -> Users:
    """The figures of users beside the result file ``path``. Raises :class:`UserError` if they are not of ``result``."""
    file = path.with_suffix(".users.npz")
    try:
        with np.load(file, allow_pickle=False) as arrays:
            figures = dict(arrays)
        if "users" not in figures:
            raise ValueError("it does not say whose figures it holds, in an array 'users'")
        ids = figures.pop("users").astype(str)
        if any(values.shape != ids.shape for values in figures.values()):
            raise ValueError("its arrays differ in length")
        order = ids.argsort()
        users = Users(ids[order], {name: values.astype(np.float64)[order] for name, values in figures.items()})
    except FileNotFoundError:
        raise UserError(f"{file} is missing: repeat the run, with eval_args.mode full, and it writes it") from None
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        why = "it holds pickled objects" if "allow_pickle" in str(error) else " ".join(str(error).split())
        raise UserError(f"{file} cannot be read: {why}; repeat the run") from None
    rounding = max(1e-6, 10 ** -result["config"]["metric_decimal_place"])  # the first is that of float32
    for metric, values in users.figures.items():
        mean, printed = float(values.mean()), result["test"].get(metric, math.nan)
        if not abs(mean - printed) <= rounding:
            raise UserError(f"{file}: {metric} is {mean:.6f} on average, but {printed} in {path.name}; repeat the run")
    return users


def common_split(rows: Sequence[Row]) -> dict[str, Any]:
    """What all runs share: fingerprints of the three parts, what is masked and read, and what was ranked at test.

    Empty where no row has figures. Raises :class:`UserError` where two runs differ in one of them.
    """
    runs = [(f"{row.name} (seed {result['seed']})", result) for row in rows if not row.error for result in row.results]
    if not runs:
        return {}
    shared = {}
    for key in _PROTOCOL:
        values = {name: value for name, result in runs if (value := _at(result, key)) is not _ABSENT}
        for name, value in values.items():
            first, shared[key] = next(iter(values.items()))
            if value != shared[key]:
                raise UserError(
                    f"{first} and {name} cannot stand in one table: {key} is {shared[key]!r} in the first and "
                    f"{value!r} in the second; run both on one data set with one load_col, split_seed, eval_args, "
                    "history_mask and history_read"
                )
    return shared


def _at(values: Any, key: str) -> Any:
    for name in key.split("."):
        values = values.get(name, _ABSENT) if isinstance(values, dict) else _ABSENT
    return values


def _check_same(users: Mapping[Path, Users]) -> None:
    """Raise :class:`UserError` where two files are of different users."""
    if not users:
        return
    files = list(users.items())
    for path, (found, _) in files[1:]:
        first, (ids, _) = files[0]
        if not np.array_equal(found, ids):
            odd = min({*found.tolist()} ^ {*ids.tolist()}, default="none")
            raise UserError(
                f"{first} and {path} were tested on different users, {len(ids)} and {len(found)}, for instance "
                f"{odd!r} in one of them only; repeat both runs"
            )


def _mean(seeds: Sequence[Mapping[str, FloatArray]]) -> dict[str, FloatArray]:
    """The mean over seeds of every metric that all of them have."""
    shared = [metric for metric in seeds[0] if all(metric in figures for figures in seeds)]
    return {metric: np.mean([figures[metric] for figures in seeds], axis=0) for metric in shared}
