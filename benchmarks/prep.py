"""Time and memory of ``python -m dataset_prep amazon`` on generated reviews: ``python -m benchmarks.prep``."""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from tqdm import tqdm

ROOT = Path(__file__).parents[1]
BLOCK = 100_000
WORDS = 20_000
TEXTS = 5_000


def reviews(n: int, seed: int) -> Iterator[str]:
    """JSON lines of ``n`` reviews as Amazon's of 2018, about 400 bytes each; users' and items' counts are long-tailed.

    Ratings, times and texts are drawn independently of users and items: there is nothing to learn from them.
    """
    rng = np.random.default_rng(seed)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyzé"))
    words = ["".join(rng.choice(letters, size)) for size in rng.integers(2, 10, WORDS)]
    lengths = rng.lognormal(3.2, 0.8, TEXTS).astype(int) + 1
    texts = [json.dumps(" ".join(rng.choice(words, size))) for size in lengths]
    users, items = max(n // 8, 10), max(n // 30, 10)
    for start in range(0, n, BLOCK):
        size = min(BLOCK, n - start)
        user = (users * rng.random(size) ** 2).astype(int)
        item = (items * rng.random(size) ** 3).astype(int)
        rating = rng.choice([1, 2, 3, 4, 5], size, p=[0.08, 0.05, 0.08, 0.17, 0.62])
        when = rng.integers(1_000_000_000, 1_500_000_000, size)
        text = rng.integers(0, TEXTS, size)
        for u, i, r, t, x in zip(*(column.tolist() for column in (user, item, rating, when, text)), strict=True):
            yield (
                f'{{"overall": {r}.0, "verified": true, "reviewerID": "A{u:013d}", "asin": "B{i:09d}", '
                f'"reviewerName": "Reader {u}", "reviewText": {texts[x]}, "summary": "{words[x]} {words[x // 2]}", '
                f'"unixReviewTime": {t}}}\n'
            )


def write(path: Path, n: int, seed: int) -> None:
    """Write ``n`` reviews, one a line."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(tqdm(reviews(n, seed), total=n, unit="reviews", desc="generating"))


def measure(raw: Path, out: Path, cores: int) -> str:
    """Convert in a process of its own, and tell its seconds and its highest memory."""
    command = [sys.executable, "-m", "dataset_prep", "amazon", str(raw), "--out", str(out)]
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    start = time.perf_counter()
    subprocess.run(command, cwd=ROOT, check=True)
    seconds = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (
        f"{raw.stat().st_size / 1e9:.2f} GB: {seconds:.0f} s on {cores} cores "
        f"({used.ru_utime + used.ru_stime:.0f} s of CPU), at most {used.ru_maxrss / 2**20:.2f} GiB of memory"
    )


def main() -> None:
    """Generate, convert, and print the card and what it took."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prep", description=__doc__)
    parser.add_argument("--reviews", type=int, default=5_000_000)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=None, help="where the files go, some 6 GB (default: temporary)")
    parser.add_argument("--seed", type=int, default=2020)
    args = parser.parse_args()
    with TemporaryDirectory(dir=args.folder) as folder:
        raw, out = Path(folder, "reviews.json"), Path(folder, "generated")
        write(raw, args.reviews, args.seed)
        took = measure(raw, out, args.cores)
        print((out / "generated.card.md").read_text())
        print(f"{args.reviews:,} reviews, {took}")


if __name__ == "__main__":
    main()
