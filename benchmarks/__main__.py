"""The command line: ``python -m benchmarks``."""

import argparse
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import transformers

from benchmarks.cases import DOCUMENTS
from benchmarks.lengths import BACKBONES
from benchmarks.measure import in_own_process, processor
from benchmarks.report import Row, chart, records, table
from benchmarks.run import LONG, LONG_BATCH, Settings, long_memory, measure
from benchmarks.workload import backbone_folder

DESCRIPTION = """\
Time and memory of the package's steps against a plain reference in the manner of the released code, on documents as
long as amazon-beauty's. Both sides alternate in one process; a figure is the median of the runs. Peak memory is that of
a process which holds one side alone. The table is printed, and written as JSON beside a chart.
"""
EXAMPLE = """\
examples:
  python -m benchmarks --backbone=minilm --only=recommendation,scoring
  python -m benchmarks --runs=7 --threads=2 --out=results/benchmarks
"""


def parser() -> argparse.ArgumentParser:
    """All options have a default."""
    root = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=DESCRIPTION,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    root.add_argument(
        "--only", type=_some_of(list(DOCUMENTS)), default=list(DOCUMENTS), help=f"of {', '.join(DOCUMENTS)}"
    )
    root.add_argument(
        "--backbone", type=_some_of(BACKBONES), default=list(BACKBONES), help=f"of {', '.join(BACKBONES)}"
    )
    root.add_argument("--runs", type=_positive, default=5, help="counted runs of each side (5)")
    root.add_argument(
        "--documents", type=_positive, help=f"of a run ({', '.join(f'{name} {n}' for name, n in DOCUMENTS.items())})"
    )
    root.add_argument("--precision", choices=["auto", "float32", "bfloat16"], default="auto", help="of our side (auto)")
    root.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cuda if there is one")
    root.add_argument("--threads", type=_positive, default=torch.get_num_threads(), help="of a CPU (all of its cores)")
    root.add_argument("--no-memory", action="store_true", help="leave out peak memory, which takes a process a side")
    root.add_argument(
        "--long", action="store_true", help=f"memory of our content step at {LONG_BATCH} documents of {LONG} tokens too"
    )
    root.add_argument("--out", type=Path, default=Path("results/benchmarks"), help="a folder (results/benchmarks)")
    return root


def _some_of(legal: Sequence[str]) -> Callable[[str], list[str]]:
    def chosen(text: str) -> list[str]:
        names = text.split(",")
        unknown = [name for name in names if name not in legal]
        if unknown:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(legal)}")
        return names

    return chosen


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print and write."""
    args = parser().parse_args(argv)
    settings = Settings(
        args.only, args.runs, args.documents, args.precision, args.device, args.threads, not args.no_memory
    )
    rows: list[Row] = []
    long: dict[str, float] = {}
    for name in args.backbone:
        with backbone_folder(name) as location:
            rows += measure(name, location, settings)
            if args.long:
                long |= {name: in_own_process(long_memory, name, location, settings)["content"]}
    print(table(rows))
    for name, memory in long.items():
        print(f"{name}: content step of {LONG_BATCH} documents of {LONG} tokens, peak {memory:.2f} GiB")
    write(rows, long, settings, args.out)


def write(rows: Sequence[Row], long: dict[str, float], settings: Settings, out: Path) -> None:
    """``benchmarks.json``, ``.md``, ``.png`` and ``.svg`` in the folder asked for."""
    out.mkdir(parents=True, exist_ok=True)
    machine = {
        "processor": processor(),
        "cores": os.cpu_count(),
        "device": settings.device,
    }
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    content = {
        "machine": {**machine, "threads": settings.threads, **versions},
        "rows": records(rows),
        "peak_gib_of_64_documents_of_512_tokens": long,
    }
    (out / "benchmarks.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    (out / "benchmarks.md").write_text(table(rows) + "\n", encoding="utf-8")
    for suffix, image in chart(rows).items():
        (out / f"benchmarks{suffix}").write_bytes(image)


if __name__ == "__main__":
    main()
