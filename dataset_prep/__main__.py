"""The command line: ``python -m dataset_prep SOURCE ... --out dataset/NAME``."""

import argparse
import errno
import math
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn, Protocol

import duckdb

from dataset_prep import amazon, atomic, jobs, jobs_demo, movielens, paper_layout, preview, yelp
from dataset_prep.lines import Reader
from dataset_prep.tables import Dataset, Filters
from recbole_cllm4rec.errors import UserError, line


class Source(Protocol):
    """What a module offers to be a source."""

    NAME: str
    """The word to type."""
    SUMMARY: str
    """One line for the list of sources."""
    DESCRIPTION: str
    """What the source needs and makes, for ``--help``."""
    EXAMPLES: str
    """Commands, for the end of ``--help``."""

    @property
    def FILTERS(self) -> Filters | None:  # noqa: N802 - read-only, so that a module may know which of the two it has
        """The defaults of the options that filter, which the source has unless this is None."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the source's own arguments; those that are paths are of type Path."""

    def read(self, args: argparse.Namespace, reader: Reader) -> Dataset:
        """What the raw files hold, their rows unread where there may be many; raises UserError for wrong files."""


SOURCES: tuple[Source, ...] = (amazon, yelp, movielens, jobs, jobs_demo, paper_layout)

DESCRIPTION = """\
Turn raw files into a dataset that RecBole reads: atomic files, the dataset's yaml, and a card of its numbers.
Nothing is left behind under the dataset's name unless all of it was written. Files may be larger than memory.
"""
EXAMPLES = """\
examples:
  python -m dataset_prep amazon reviews_Beauty_5.json.gz meta_Beauty.json.gz --out dataset/amazon-beauty
  python -m dataset_prep yelp yelp_dataset --out dataset/yelp
  python -m dataset_prep movielens ml-1m.zip --out dataset/ml-1m
  python -m dataset_prep jobs clicks.csv --members members.csv --jobs jobs.csv --out dataset/jobs --dry-run
  python -m dataset_prep jobs-demo --out dataset/jobs-demo
  python -m dataset_prep paper-layout ../shared/data/amazon-beauty --out dataset/amazon-beauty
"""
BOUNDS = ("rating_above", "min_weight", "min_user", "min_item")  # options of these names
NOT_TOLD = {"help", "out", "overwrite", "raw"}  # where things are on this machine, and not what is made of them


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of descriptions, and fills those of options to the width of descriptions."""

    def __init__(self, prog: str):
        super().__init__(prog, max_help_position=28, width=120)


class Parser(argparse.ArgumentParser):
    """Prints a wrong command line's error as one line."""

    def error(self, message: str) -> NoReturn:
        """Exit with status 2."""
        self.exit(2, f"{line(f'{self.prog}: {message}; see {self.prog} --help')}\n")


def parser() -> Parser:
    """The command line of all sources."""
    root = Parser(prog="python -m dataset_prep", description=DESCRIPTION, epilog=EXAMPLES, formatter_class=Formatter)
    sources = root.add_subparsers(
        title="sources", metavar="SOURCE", required=True, help="what the raw files are; 'SOURCE --help' tells the rest"
    )
    for source in SOURCES:
        sub = sources.add_parser(
            source.NAME,
            help=source.SUMMARY,
            description=source.DESCRIPTION,
            epilog=source.EXAMPLES,
            formatter_class=Formatter,
        )
        source.add_arguments(sub)
        sub.add_argument(
            "--out",
            metavar="dataset/NAME",
            type=Path,
            required=True,
            help="the folder to write; its last part names the dataset, as in --dataset=NAME",
        )
        sub.add_argument("--overwrite", action="store_true", help="replace the dataset if another is already there")
        if source.FILTERS:
            add_filters(sub, source.FILTERS)
        sub.set_defaults(source=source, parser=sub)
    return root


def add_filters(sub: argparse.ArgumentParser, defaults: Filters) -> None:
    """The options of what stays, with a source's defaults."""
    group = sub.add_argument_group("filters, in this order; the card tells what each removed")
    group.add_argument(
        "--skip-bad", action="store_true", help="leave lines out that cannot be used, and count them in the card"
    )
    if defaults.min_weight is None:
        above = "none" if defaults.rating_above is None else f"{defaults.rating_above:g}"
        group.add_argument(
            "--rating-above",
            metavar="R",
            type=rating,
            default=defaults.rating_above,
            help=f"keep ratings above R, or 'none' to keep all (default: {above})",
        )
    else:
        group.add_argument(
            "--min-weight",
            metavar="W",
            type=rating,
            default=defaults.min_weight,
            help="keep interactions that weigh at least W, or 'none' to keep all (default: %(default)g)",
        )
    for who in ("user", "item"):
        group.add_argument(
            f"--min-{who}",
            metavar="N",
            type=natural,
            default=getattr(defaults, f"min_{who}"),
            help=f"keep {who}s with at least N interactions, until all have them (default: %(default)s)",
        )


def rating(word: str) -> float | None:
    """The bound of a rating or a weight."""
    if word == "none":
        return None
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{word!r} is neither a number nor 'none'")
    return value


def natural(word: str) -> int:
    """A number of interactions."""
    if not word.isdecimal():
        raise argparse.ArgumentTypeError(f"{word!r} is not a whole number from 0")
    return int(word)


def recipe(args: argparse.Namespace) -> list[str]:
    """The source and its arguments, files by their names, options where they are not the default."""
    words = [args.source.NAME]
    for action in args.parser._actions:
        if action.dest in NOT_TOLD or (value := getattr(args, action.dest)) == action.default:
            continue
        told = value.resolve().name if isinstance(value, Path) else value
        told = (",".join(told) or "none") if isinstance(told, tuple) else "none" if told is None else str(told)
        if not action.option_strings:
            words.append(told)
        else:
            words += [action.option_strings[0]] if value is True else [action.option_strings[0], told]
    return words


def main(argv: Sequence[str] | None = None) -> int:
    """Convert one source; the exit status is 2, after one line on stderr, if the user has something to mend."""
    args = parser().parse_args(argv)
    try:
        _check_names(sys.argv[1:] if argv is None else argv)
        return convert(args)
    except UserError as error:
        reason = str(error)
    except (OSError, duckdb.Error) as error:
        reason = explain(error, args.out)
    except KeyboardInterrupt:
        reason = "stopped; nothing was written"
    print(f"dataset_prep: {line(reason)}", file=sys.stderr)
    return 2


def _check_names(words: Sequence[str]) -> None:
    """The names of files are told in the dataset's yaml, which is UTF-8."""
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise UserError(
                f"{word}: a name that is not UTF-8 cannot be told in the dataset's yaml; rename the file"
            ) from None


def convert(args: argparse.Namespace) -> int:
    """Read, write, and tell what is there now."""
    words = recipe(args)
    looks = getattr(args, "dry_run", False)
    if not looks:  # before anything is fetched or read
        atomic.check_out(args.out, args.overwrite, atomic.made_by(words, args.out))
    dataset = args.source.read(args, Reader(getattr(args, "skip_bad", False)))
    if args.source.FILTERS:
        chosen = {name: getattr(args, name) for name in BOUNDS if hasattr(args, name)}
        dataset = replace(dataset, filters=replace(args.source.FILTERS, **chosen))
    if looks:
        print(preview.of(dataset))
        return 0
    summary = atomic.write(dataset, args.out, words, args.overwrite)
    if summary is None:
        print(f"{args.out} holds this very dataset already; --overwrite makes it anew.")
    else:
        size = ", ".join(f"{n:,} {what}" for what, n in summary.counts.items())
        for file, n in dataset.left_out.items():
            print(f"Left out: {n:,} lines of {dataset.name_of(file)} that could not be used.")
        print(f"Wrote {args.out}: {size} (more in {args.out.name}.card.md).")
        for what, n in summary.undescribed.items():
            print(f"Without a row of their own, and without text: {n:,} of {summary.counts[what]:,} {what}.")
    print(f"Next: {next_command(args.out)}")
    return 0


def explain(error: OSError | duckdb.Error, out: Path) -> str:
    """One line for what the machine refused."""
    text = " ".join(str(error).split())
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    if full or "No space left" in text or "failed to offload" in text:
        return (
            f"the disk of {out} is full ({text}); nothing was written: free about twice the size of the unpacked raw "
            "files, or give --out on another disk"
        )
    if isinstance(error, PermissionError) or (isinstance(error, OSError) and error.errno == errno.EROFS):
        return f"{text}: choose a folder that you may read and write"
    return text


def next_command(out: Path) -> str:
    """The command that trains on a dataset; RecBole looks for it in ``dataset/`` unless told otherwise."""
    command = ["python", "run_recbole.py", "--model=CLLM4Rec", f"--dataset={out.name}", "--backbone=minilm"]
    if out.resolve().parent != Path("dataset").resolve():
        command.append(f"--data_path={out.parent}")
    return shlex.join(command)


if __name__ == "__main__":
    sys.exit(main())
