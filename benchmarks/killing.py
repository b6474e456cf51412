"""Trainings of a tiny CLLM4Rec in processes of their own, which can be killed, and what they leave."""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from safetensors.torch import load_file

from benchmarks.troubles import Trouble
from recbole_cllm4rec.checkpoint import journal, store
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.experiment import run

BATCH = "batch"
"""What a process says before it saves, if it does: once when it begins to train, then after every batch."""

processes = get_context("forkserver")
processes.set_forkserver_preload(["benchmarks.killing"])


@dataclass(frozen=True)
class Workplace:
    """A folder with the dataset ``torture`` in it, and the ``options`` of all trainings there."""

    folder: Path
    options: dict[str, Any]


@dataclass
class Outcome:
    """How a process ended: its exit code, negative for a signal, and its result or the line of its error."""

    code: int
    result: dict[str, Any] | None = None
    error: str = ""


def build(folder: Path, backbone: str, users: int, items: int, rng: np.random.Generator, **options: Any) -> Workplace:
    """Random interactions and texts as atomic files; everything in the options that draws at random is on."""
    home = folder / "dataset" / "torture"
    home.mkdir(parents=True)
    pairs = [f"u{user}\ti{item}\n" for user in range(users) for item in rng.choice(items, 8, replace=False)]
    words = [f"w{number}" for number in range(40)]
    texts = [f"i{item}\t{' '.join(rng.choice(words, 6))}\n" for item in range(items)]
    (home / "torture.inter").write_text("user_id:token\titem_id:token\n" + "".join(pairs))
    (home / "torture.item").write_text("item_id:token\ttitle:token_seq\n" + "".join(texts))
    (home / "torture.yaml").write_text("load_col: {inter: [user_id, item_id]}\ntext_fields: {item: [title]}\n")
    chosen = {
        "backbone": backbone,
        "train_backbone": True,  # its dropout draws from torch's generator
        "sampled_above": 0,  # and a sampled softmax from its own
        "n_sampled": 5,
        "training_prior": 0.0,  # which scores all items
        "scoring_prior": 0.0,
        "token_init": "text",
        "mask_share": [0.1, 0.6],
        "learning_rate": 0.01,
        "learning_rate_schedule": "linear",
        "max_length": 48,
        "train_batch_size": 16,
        "content_epochs": 1,
        "pretrain_epochs": 1,
        "epochs": 3,
        "eval_step": 1,
        "topk": [5],
        "metrics": ["Recall", "NDCG"],
        "valid_metric": "NDCG@5",
        "table_metrics": ["ndcg@5"],
        "precision": "float32",
        "gpu_id": "",
        "show_progress": False,
        "state": "WARNING",
    }
    return Workplace(folder, chosen | options)


def start(place: Workplace, resume: bool | str, trouble: Trouble | None = None, **options: Any) -> "Child":
    """A training in a process of its own, which saves after every batch unless ``options`` say else."""
    ours, theirs = processes.Pipe(duplex=False)
    asked = {**place.options, "checkpoint_minutes": 0, **options}
    process = processes.Process(target=_train, args=(place.folder, asked, resume, trouble, theirs))
    process.start()
    theirs.close()
    return Child(process, ours)


class Child:
    """A process at work. ``batches``: that :meth:`end` has waited for."""

    def __init__(self, process: Any, reports: Connection):
        self._process = process
        self._reports = reports
        self.batches = 0

    def kill_after(self, seconds: float, batches: int | None = None) -> Outcome:
        """SIGKILL ``seconds`` after it started or, if given, after so many of its batches; it may end before."""
        if batches is None or self.wait_for(batches):
            self._process.join(seconds)
            self._process.kill()
        return self.end()

    def wait_for(self, batches: int) -> bool:
        """Till it trains, and has gone through so many batches; False if it has ended before."""
        return all(self._heard() == BATCH for _ in range(1 + batches))

    def end(self) -> Outcome:
        """What became of it."""
        told = self._heard()
        while told == BATCH:
            self.batches += 1
            told = self._heard()
        self._process.join()
        outcome = Outcome(self._process.exitcode or 0)
        if isinstance(told, str):
            outcome.error = told
        else:
            outcome.result = told
        return outcome

    def _heard(self) -> Any:
        try:
            return self._reports.recv()
        except (EOFError, OSError):  # it has died
            return ""


def _train(folder: Path, options: dict[str, Any], resume: bool | str, trouble: Trouble | None, out: Connection) -> None:
    os.chdir(folder)
    torch.set_num_threads(1)

    def reporting(step: Callable[..., Any]) -> Callable[..., Any]:
        def reported(*args: Any) -> Any:
            out.send(BATCH)
            return step(*args)

        return reported

    with ExitStack() as patches:
        for name in ("__enter__", "look"):
            patches.enter_context(mock.patch.object(journal.Journal, name, reporting(getattr(journal.Journal, name))))
        patches.enter_context(trouble() if trouble else nullcontext())
        try:
            out.send(run("CLLM4Rec", "torture", (), options, resume))
        except UserError as error:
            out.send(f"error: {error}")


def newest_folder(place: Workplace) -> Path | None:
    """Of the run that was begun last."""
    folders = sorted((place.folder / "saved" / "torture").glob("*/[0-9]*"), key=lambda path: int(path.name))
    return folders[-1] if folders else None


def checkpoints(place: Workplace) -> list[Path]:
    """Of that run, oldest first."""
    folder = newest_folder(place)
    return sorted((folder / "checkpoints").glob("[0-9]" * 6)) if folder else []


def words(checkpoint: Path) -> str:
    """Where in the training it was saved."""
    state = json.loads((checkpoint / store.STATE).read_text(encoding="utf-8"))
    return str(state["words"])


def copied(place: Workplace, target: Path) -> Workplace:
    """The same folder elsewhere, for another fate."""
    shutil.copytree(place.folder, target)
    return Workplace(target, place.options)


def differences(place: Workplace, result: Mapping[str, Any], other: Workplace, others: Mapping[str, Any]) -> list[str]:
    """What is not the same, bit for bit: figures of the parts, records of epochs without seconds, and weights."""
    found = [part for part in ("test", "valid", "split") if result[part] != others[part]]
    for number, (a, b) in enumerate(zip(result["history"], others["history"], strict=False)):
        found += [f"epoch {number} {key}" for key in a if "seconds" not in key and a[key] != b.get(key)]
    if len(result["history"]) != len(others["history"]):
        found.append("number of epochs")
    here, there = (load_file(p.folder / r["weights"]) for p, r in ((place, result), (other, others)))
    found += [name for name in here if not torch.equal(here[name], there[name])]
    return found
