"""What a hundred times more users or items cost: ``python -m benchmarks.growth``.

Tables are random and synthetic, of 10,000 and of 1,000,000 rows; only their sizes matter here. Each row of the report
is measured in a process of its own, so that its peak memory is its own.
"""

import argparse
import json
import multiprocessing
import os
import resource
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from tabulate import tabulate
from torch import Tensor
from torch.optim import Adam, Optimizer, SparseAdam
from tqdm import tqdm

from benchmarks.measure import processor
from recbole_cllm4rec.backbone.precision import Precision, resolve_precision
from recbole_cllm4rec.corpus.tokens import ExtendedVocabulary
from recbole_cllm4rec.model.losses import mutual_regularisation, negative_log_likelihood
from recbole_cllm4rec.model.ranking import Ranking
from recbole_cllm4rec.model.sampling import sample_items
from recbole_cllm4rec.model.view import Rows, View

SMALL, LARGE = 10_000, 1_000_000
HIDDEN = 384
USERS_RANKED, HISTORY, TOP = 512, 10, 100
BATCH, READ, WANTED, DRAWN = 64, 20, 4, 8192
"""Users in a step, tokens that each reads, items that each is to find, and items drawn for a sampled softmax."""

Row = dict[str, Any]


def ranking(n_items: int, dtype: torch.dtype, repeats: int) -> Row:
    """Top-100 of all items for states that are there, 10 of each user's items left out."""
    table, states = torch.randn(n_items, HIDDEN), torch.randn(USERS_RANKED, HIDDEN)
    rng = np.random.default_rng(0)
    known = [rng.integers(1, n_items, HISTORY) for _ in range(USERS_RANKED)]
    start = perf_counter()
    prepared = Ranking(table, dtype)
    ready = perf_counter() - start
    a, b = torch.ones(1024, 768, dtype=dtype), torch.ones(768, 3072, dtype=dtype)  # whose product is the machine's rate
    seconds, matrix = timed(lambda: prepared.best(states, TOP, known), lambda: a @ b, repeats)
    operations = 2.0 * USERS_RANKED * n_items * HIDDEN
    return {
        "measure": "ranking",
        "items": n_items,
        "seconds to prepare": ready,
        "users a second": USERS_RANKED / seconds,
        "share of the matrix rate": operations / seconds / (2.0 * 1024 * 768 * 3072 / matrix),
    }


def step(n_users: int, n_items: int, lazy: bool, sampled: bool, repeats: int) -> Row:
    """What the tables add to a step of finetuning: lookups, item head, regularisation, backward, Adam.

    The backbone, which no number of users or items reaches, is left out: the mean of what is read stands for its state.
    """
    torch.manual_seed(0)
    vocabulary = ExtendedVocabulary(0, n_users, n_items)
    own, other = (View(vocabulary, HIDDEN, sparse=lazy) for _ in range(2))
    looked_up, scored = ([own.users], [own.items]) if not sampled else ([own.users, own.items], [])
    optimisers: list[Optimizer] = (
        [SparseAdam(looked_up), *([Adam(scored)] if scored else [])] if lazy else [Adam(own.parameters())]
    )

    def once() -> None:
        users, items = torch.randint(n_users, (BATCH, 1)), torch.randint(1, n_items, (BATCH, READ - 1))
        tokens = torch.cat([users, items + n_users], dim=1).view(-1)
        targets = torch.randint(1, n_items, (BATCH * WANTED,))
        rows = own.rows()
        states = rows.at(tokens).view(BATCH, READ, HIDDEN).mean(dim=1)
        likelihood = (sampled_likelihood if sampled else full_likelihood)(rows, states, targets)
        wanted = torch.cat([tokens, targets + n_users])
        loss = likelihood + mutual_regularisation(rows.at(wanted), other.rows().at(wanted))
        for optimiser in optimisers:
            optimiser.zero_grad()
        loss.backward()
        for optimiser in optimisers:
            optimiser.step()

    return {
        "measure": "step",
        "users": n_users,
        "items": n_items,
        "Adam": "lazy" if lazy else "dense",
        "softmax": "sampled" if sampled else "full",
        "milliseconds": 1000 * timed(once, None, repeats)[0],
    }


def full_likelihood(rows: Rows, states: Tensor, targets: Tensor) -> Tensor:
    """Of ``targets`` [P], as many for each state, over all items."""
    reads = torch.arange(len(states)).repeat_interleave(len(targets) // len(states))
    return negative_log_likelihood(states, rows.items, reads, targets)


def sampled_likelihood(rows: Rows, states: Tensor, targets: Tensor) -> Tensor:
    """As :func:`full_likelihood`, over some of them."""
    reads = torch.arange(len(states)).repeat_interleave(len(targets) // len(states))
    sample = sample_items(targets, len(rows.items), DRAWN)
    return negative_log_likelihood(states, rows.items_at(sample.items), reads, sample.positions, sample.corrections)


def timed(run: Callable[[], object], beside: Callable[[], object] | None, repeats: int) -> tuple[float, float]:
    """Median seconds of a run, and of one of ``beside``, in turns; the first of each is not counted."""
    runs = [run, *([beside] if beside else [])]
    seconds: list[list[float]] = [[] for _ in runs]
    for _ in range(1 + repeats):
        for one, taken in zip(runs, seconds, strict=True):
            start = perf_counter()
            one()
            taken.append(perf_counter() - start)
    medians = [median(taken[1:]) for taken in seconds]
    return medians[0], medians[-1]


MEASURES: dict[str, Callable[..., Row]] = {
    "rank 10,000 items": partial(ranking, SMALL),
    "rank 1,000,000 items": partial(ranking, LARGE),
    "dense Adam, 10,000 users": partial(step, SMALL, SMALL, False, False),
    "dense Adam, 1,000,000 users": partial(step, LARGE, SMALL, False, False),
    "lazy Adam, 10,000 users": partial(step, SMALL, SMALL, True, False),
    "lazy Adam, 1,000,000 users": partial(step, LARGE, SMALL, True, False),
    "full softmax, 10,000 items": partial(step, SMALL, SMALL, True, False),
    "full softmax, 1,000,000 items": partial(step, SMALL, LARGE, True, False),
    "sampled softmax, 10,000 items": partial(step, SMALL, SMALL, True, True),
    "sampled softmax, 1,000,000 items": partial(step, SMALL, LARGE, True, True),
}


def measured(name: str, precision: Precision, repeats: int, threads: int) -> Row:
    """One row, in this process, with its peak memory over that of torch alone."""
    torch.set_num_threads(threads)
    before = peak()
    measure = MEASURES[name]
    dtype = [resolve_precision(precision, torch.device("cpu"))] if measure.func is ranking else []  # type: ignore[attr-defined]
    row = measure(*dtype, repeats)
    return {"name": name, **row, "GiB": peak() - before}


def peak() -> float:
    """GiB that this process has held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**30 if sys.platform == "darwin" else 2**20)


def main(arguments: list[str] | None = None) -> None:
    """Measure, print a table and write ``results/benchmarks/growth.json``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="rows whose name contains this")
    parser.add_argument("--precision", choices=["auto", "float32", "bfloat16"], default="auto", help="of the scan")
    parser.add_argument("--repeats", type=int, default=5, help="runs a row; the median counts")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks/growth.json"))
    asked = parser.parse_args(arguments)
    names = [name for name in MEASURES if not asked.only or asked.only in name]
    rows = []
    context = multiprocessing.get_context("spawn")
    for name in (bar := tqdm(names, unit="row")):
        bar.set_description(name)
        with context.Pool(1) as pool:
            rows.append(pool.apply(measured, (name, asked.precision, asked.repeats, asked.threads)))
    report = {
        "processor": processor(),
        "threads": asked.threads,
        "torch": torch.__version__,
        "hidden size": HIDDEN,
        "rows": rows,
    }
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    for kind in ("ranking", "step"):
        shown = [{k: v for k, v in row.items() if k != "measure"} for row in rows if row["measure"] == kind]
        if shown:
            print(tabulate(shown, headers="keys", floatfmt=".3f", intfmt=","), end="\n\n")


if __name__ == "__main__":
    main()
