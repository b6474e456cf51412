"""Synthetic members, jobs and clicks as CSV files, which then go the way of anyone's: through ``jobs``."""

import argparse
import csv
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dataset_prep import jobs, simulation
from dataset_prep.lines import Reader
from dataset_prep.tables import Dataset

NAME = "jobs-demo"
SUMMARY = "synthetic members, jobs and clicks, made up to try the way of 'jobs'"
DESCRIPTION = """\
Make up members, jobs and clicks, write them as CSV files, and convert these as 'jobs' does. THE DATA ARE SYNTHETIC: no
person, posting or click in them is real, and figures on them say nothing of real data.

Members and jobs have a field of work, a seniority, skills and a city. A member clicks on jobs whose skills, level and
city fit, on well-made jobs more than on others, and one time in ten on any job at all; what fits is often applied for.
Profiles and postings tell most of the skills, each in one of two wordings. The formula: dataset_prep/simulation.py.
"""
EXAMPLES = """\
example:
  python -m dataset_prep jobs-demo --out dataset/jobs-demo
  python run_recbole.py --models=CLLM4Rec,TextEASE,EASE,Pop --dataset=jobs-demo
"""
FILTERS = jobs.FILTERS
SYNTHETIC = (
    "SYNTHETIC DATA: no person, posting or click is real, and figures on them say nothing of real data. Members click "
    "on jobs with probability proportional to exp(6 · share of the required skills − 1.2 · levels apart + 0.8 · same "
    "city or remote + quality of the job); one click in ten is on any job. Texts tell six of seven skills, each in one "
    "of two wordings; nothing tells quality and noise. The whole mechanism: dataset_prep/simulation.py."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the source's own arguments."""
    for option, default, what in (("--members", 400, "members"), ("--jobs", 200, "jobs")):
        parser.add_argument(
            option, metavar="N", type=_count, default=default, help=f"how many {what} to make up (default: %(default)s)"
        )
    parser.add_argument(
        "--seed", metavar="S", type=_count, default=1, help="of all that is drawn: the same gives the same files (1)"
    )
    parser.add_argument(
        "--raw",
        metavar="FOLDER",
        type=Path,
        default=Path("dataset/raw/jobs-demo"),
        help="where clicks.csv, members.csv and jobs.csv are written (default: %(default)s)",
    )


def read(args: argparse.Namespace, reader: Reader) -> Dataset:
    """The dataset of ``args``, from files that are written now."""
    files = write_raw(args.raw, args.members, args.jobs, args.seed)
    parser = argparse.ArgumentParser()
    jobs.add_arguments(parser)
    asked = parser.parse_args([str(files["clicks"]), "--members", str(files["members"]), "--jobs", str(files["jobs"])])
    dataset = jobs.read(asked, reader)
    return replace(dataset, facts=f"# SYNTHETIC DATA.\n{dataset.facts}", notes=(SYNTHETIC, *dataset.notes))


def write_raw(folder: Path, n_members: int, n_jobs: int, seed: int) -> dict[str, Path]:
    """Write ``clicks.csv``, ``members.csv`` and ``jobs.csv``; these by their names."""
    rng = np.random.default_rng(seed)
    members = simulation.draw(n_members, 4, 0.0, rng)
    postings = simulation.draw(n_jobs, 3, 0.2, rng)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "README.txt").write_text(f"{SYNTHETIC}\nMade by dataset_prep jobs-demo, seed {seed}.\n", encoding="utf-8")
    told = zip(_ids("M", n_members), simulation.profiles(members, rng), strict=True)
    offered = zip(_ids("J", n_jobs), simulation.postings(postings, rng), strict=True)
    member_ids, job_ids = _ids("M", n_members), _ids("J", n_jobs)
    clicks = (
        (member_ids[click.member], job_ids[click.job], click.time, click.action)
        for click in simulation.clicks(members, postings, rng)
    )
    return {
        "members": _csv(folder / "members.csv", "member_id,headline,about,city", ((i, *text) for i, text in told)),
        "jobs": _csv(folder / "jobs.csv", "job_id,title,description,location", ((i, *text) for i, text in offered)),
        "clicks": _csv(folder / "clicks.csv", "member_id,job_id,time,action", clicks),
    }


def _ids(letter: str, n: int) -> list[str]:
    """Numbers of one length: M0001, M0002, …"""
    return [f"{letter}{number:0{len(str(n))}}" for number in range(1, n + 1)]


def _csv(path: Path, header: str, rows: Iterable[tuple[str, ...]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header.split(","))
        writer.writerows(tqdm(rows, desc=f"writing {path.name}", unit="row", delay=5, leave=False))
    return path


def _count(word: str) -> int:
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"{word!r} is not a whole number from 1")
    return int(word)
