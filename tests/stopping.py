"""A CLLM4Rec on the shop that is stopped at a batch, a validation or the test, and what two runs have to share."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from shop import SMALL

from recbole_cllm4rec.training.trainer import StagedTrainer

TRAINED = {
    "train_batch_size": 5,
    "content_epochs": 1,
    "pretrain_epochs": 1,
    "epochs": 2,
    "eval_step": 1,
    "learning_rate": 0.01,
    "learning_rate_schedule": "linear",
    "mask_share": [0.1, 0.6],
    "max_length": 64,
    "precision": "float32",
}
"""Three stages of some batches each, in which whatever is drawn is drawn."""


def options(backbone: Path, **changes: Any) -> dict[str, Any]:
    """Of a run."""
    return {**SMALL, **TRAINED, "backbone": str(backbone), **changes}


def stop_at(patch: pytest.MonkeyPatch, method: str, time: int, number: int = signal.SIGTERM) -> None:
    """Send a signal to this process at the ``time``-th call of a method of the trainer."""
    really, calls = getattr(StagedTrainer, method), iter(range(1, 10**6))

    def called(self: StagedTrainer, *args: Any, **options: Any) -> Any:
        if next(calls) == time:
            os.kill(os.getpid(), number)
        return really(self, *args, **options)

    patch.setattr(StagedTrainer, method, called)


def same(a: dict[str, Any], b: dict[str, Any]) -> None:
    """Assert that figures, losses and weights of two runs are the same, bit for bit."""
    for part in ("test", "valid", "split"):
        assert a[part] == b[part]
    records = [[{k: v for k, v in e.items() if "seconds" not in k} for e in r["history"]] for r in (a, b)]
    assert records[0] == records[1]
    weights = [load_file(r["weights"]) for r in (a, b)]
    assert weights[0].keys() == weights[1].keys()
    for name, tensor in weights[0].items():
        assert torch.equal(tensor, weights[1][name]), name
