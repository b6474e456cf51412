"""Runs as they leave their files: results, figures of users, rows of a comparison."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recbole_cllm4rec.report.result import write_result
from recbole_cllm4rec.report.rows import Row

SPLIT = {"train": "8:aa", "valid": "2:bb", "test": "2:cc"}
Figures = Mapping[str, Sequence[float]]


def result(run: str = "EASE", seed: int = 1, test: Mapping[str, float] | None = None, **more: Any) -> dict[str, Any]:
    """What a comparison reads of a result file."""
    return {
        "run": run,
        "model": run,
        "dataset": "toy",
        "seed": seed,
        "test": dict(test or {"ndcg@2": 0.5}),
        "valid": {"ndcg@2": 0.25},
        "split": SPLIT,
        "history_mask": "train",
        "history_read": "train",
        "parameters": {"trained": 1234, "all": 5000},
        "seconds": {"model": 1.0, "training": 60.0, "scoring": 0.5},
        "peak_memory_gib": 1.25,
        "device": "cpu",
        "versions": {"recbole": "1.2.1", "torch": "2.13.0", "numpy": "2.4.6"},
        "commit": {"hash": "abc", "dirty": False},
        "history": [],
        "config": {
            "valid_metric": "NDCG@2",
            "metric_decimal_place": 6,
            "history_read": "train",
            "eval_args": {"mode": {"test": "full"}},
        },
        **more,
    }


def write(folder: Path, of: Mapping[str, Any], users: Sequence[str], figures: Figures) -> Path:
    """The files of a run; the means of ``figures`` are its test figures."""
    test = {metric: round(float(np.mean(values)), 6) for metric, values in figures.items()}
    arrays = {metric: np.array(values, dtype=np.float32) for metric, values in figures.items()}
    return write_result({**of, "test": test}, {"users": np.array(users), **arrays}, {}, folder)


def row(name: str, *seeds: Figures, **more: Any) -> Row:
    """A row of as many seeds as there are figures of users."""
    results = [
        result(name, number, {metric: float(np.mean(values)) for metric, values in figures.items()}, **more)
        for number, figures in enumerate(seeds, start=1)
    ]
    per_user = {metric: np.mean([figures[metric] for figures in seeds], axis=0) for metric in seeds[0]}
    return Row(name, results, per_user)


def failed(name: str, error: str = "out of memory") -> Row:
    """A row without figures."""
    return Row(name, [], {}, error)
