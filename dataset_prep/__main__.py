"""The command line: ``python -m dataset_prep SOURCE ... --out dataset/NAME``."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn, Protocol

from dataset_prep import atomic, paper_layout
from recbole_cllm4rec.errors import UserError


class Source(Protocol):
    """What a module offers to be a source."""

    NAME: str
    """The word to type."""
    SUMMARY: str
    """One line for the list of sources."""
    DESCRIPTION: str
    """What the source needs and makes, with an example, for ``--help``."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the source's own arguments."""

    def read(self, args: argparse.Namespace) -> atomic.Dataset:
        """Read and check the raw files; raises UserError where they are not as described."""


SOURCES: tuple[Source, ...] = (paper_layout,)

DESCRIPTION = """\
Turn raw files into a dataset that RecBole reads: atomic files, the dataset's yaml, and a card of its numbers.
Nothing is left behind under the dataset's name unless all of it was written.
"""
EXAMPLE = """\
example:
  python -m dataset_prep paper-layout ../shared/data/amazon-beauty --out dataset/amazon-beauty
"""


class Parser(argparse.ArgumentParser):
    """Prints a wrong command line's error as one line."""

    def error(self, message: str) -> NoReturn:
        """Exit with status 2."""
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def parser() -> Parser:
    """The command line of all sources."""
    raw = argparse.RawDescriptionHelpFormatter
    root = Parser(prog="python -m dataset_prep", description=DESCRIPTION, epilog=EXAMPLE, formatter_class=raw)
    sources = root.add_subparsers(
        title="sources", metavar="SOURCE", required=True, help="what the raw files are; 'SOURCE --help' tells the rest"
    )
    for source in SOURCES:
        sub = sources.add_parser(source.NAME, help=source.SUMMARY, description=source.DESCRIPTION, formatter_class=raw)
        source.add_arguments(sub)
        sub.add_argument(
            "--out",
            metavar="dataset/NAME",
            type=Path,
            required=True,
            help="the folder to write; its last part names the dataset, as in --dataset=NAME",
        )
        sub.add_argument("--overwrite", action="store_true", help="replace the dataset if it is already there")
        sub.set_defaults(read=source.read)
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Convert one source; the exit status is 2, after one line on stderr, if the user has something to mend."""
    args = parser().parse_args(argv)
    try:
        atomic.check_out(args.out, args.overwrite)  # again in write; here before reading, which can take minutes
        dataset = args.read(args)
        atomic.write(dataset, args.out, args.overwrite)
    except (UserError, OSError) as error:
        print(f"dataset_prep: {error}", file=sys.stderr)
        return 2
    size = ", ".join(f"{n:,} {what}" for what, n in atomic.counts(dataset).items())
    print(f"Wrote {args.out}: {size} (more in {args.out.name}.card.md).")
    print(f"Next: {next_command(args.out)}")
    return 0


def next_command(out: Path) -> str:
    """The command that trains on a dataset; RecBole looks for it in ``dataset/`` unless told otherwise."""
    command = ["python", "run_recbole.py", "--model=CLLM4Rec", f"--dataset={out.name}", "--backbone=minilm"]
    if out.resolve().parent != Path("dataset").resolve():
        command.append(f"--data_path={out.parent}")
    return shlex.join(command)


if __name__ == "__main__":
    sys.exit(main())
