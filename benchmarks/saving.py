"""What checkpoints cost: ``python -m benchmarks.saving``.

The state of a training as large as the tables say, with Adam's moments, is saved as trainings save it; the figure is
the median of the runs. A training waits for a save, so that the share of its time is that of the save in an interval.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import torch
from tabulate import tabulate
from torch import nn
from tqdm import tqdm

from recbole_cllm4rec.checkpoint.journal import SHARE
from recbole_cllm4rec.checkpoint.resume import Run
from recbole_cllm4rec.checkpoint.state import random_states, take_apart
from recbole_cllm4rec.checkpoint.weights import save_weights, trained
from recbole_cllm4rec.config_layers import properties_dir, read_yaml
from recbole_cllm4rec.corpus.tokens import ExtendedVocabulary
from recbole_cllm4rec.model.view import View

SIZES = {
    "ml-100k, minilm": (943, 1682, 384),
    "amazon-beauty, minilm": (10553, 6086, 384),
    "amazon-beauty, gpt2": (10553, 6086, 768),
    "100,000 users and items, minilm": (50_000, 50_000, 384),
}
"""Users, items, and the width of a token."""


class Tables(nn.Module):
    """What CLLM4Rec trains over a frozen backbone: two views."""

    def __init__(self, users: int, items: int, width: int):
        super().__init__()
        vocabulary = ExtendedVocabulary(0, users + 1, items + 1)
        self.collaborative, self.content = (View(vocabulary, width, sparse=False) for _ in range(2))


def measure(name: str, folder: Path, runs: int, minutes: float) -> dict[str, Any]:
    """Seconds of a save and its share of the time, with checkpoints every so many ``minutes``."""
    model = Tables(*SIZES[name])
    optimisers = [torch.optim.Adam(view.parameters()) for view in (model.collaborative, model.content)]
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    for optimiser in optimisers:
        optimiser.step()
    run = Run(folder)
    save_weights(run.weights(".safetensors"), model)
    seconds = []
    for _ in range(runs + 1):
        start = perf_counter()
        state = {
            "model": trained(model),
            "optimisers": [optimiser.state_dict() for optimiser in optimisers],
            "random": random_states(torch.device("cpu")),
        }
        run.save(*take_apart(state), run.weights(".safetensors"))
        seconds.append(perf_counter() - start)
    last = sorted(run.checkpoints.iterdir())[-1]
    spent = median(seconds[1:])
    interval = max(60 * minutes, spent / SHARE)
    return {
        "training": name,
        "MiB": sum(path.stat().st_size for path in last.iterdir()) / 2**20,
        "seconds a save": spent,
        "minutes between saves": interval / 60,
        "% of the time": 100 * spent / (interval + spent),
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    default = read_yaml(properties_dir() / "overall.yaml")["checkpoint_minutes"]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.saving", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", help="sizes whose name contains this")
    parser.add_argument("--runs", type=int, default=5, help="saves that count (5), after a first one")
    parser.add_argument("--minutes", type=float, default=default, help=f"between saves ({default}, the default)")
    parser.add_argument("--folder", type=Path, default=Path(), help="where the disk is (the current one)")
    parser.add_argument("--out", type=Path, default=Path("results/benchmarks/saving.json"))
    args = parser.parse_args(argv)
    rows = []
    for name in tqdm([name for name in SIZES if not args.only or args.only in name], unit="size"):
        with TemporaryDirectory(dir=args.folder) as folder:
            rows.append(measure(name, Path(folder), args.runs, args.minutes))
    print(tabulate(rows, "keys", "pipe", floatfmt=("", ".0f", ".2f", ".1f", ".3f")))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
