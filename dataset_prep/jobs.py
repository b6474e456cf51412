"""Members, jobs and what members did with jobs, as LinkedIn has them: interactions, profiles, job descriptions."""

import argparse
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from dataset_prep import times
from dataset_prep.columns import NONE, ROLES, fields, find, texts
from dataset_prep.lines import Reader
from dataset_prep.records import BadRecordError, raw_id
from dataset_prep.sheets import Quotes, Sheet, Strings, open_sheet
from dataset_prep.tables import ITEM, RATING, TIME, UNIX_TIME, USER, Dataset, Filters, Row, Table
from recbole_cllm4rec.errors import UserError, suggestion

NAME = "jobs"
SUMMARY = "members, jobs and clicks, as LinkedIn has them: CSV, TSV, JSON lines, Parquet"
DESCRIPTION = """\
Convert what members did with jobs, with their profiles and the job descriptions if you have them. Profiles become the
biographies that the language model reads, descriptions the contents of jobs. Files are .csv, .tsv, .jsonl or .parquet,
all but the last also with .gz; cells are taken as they stand, so that 007 and NA stay 007 and NA.

  CLICKS      a record each time: member, job, and if you have them, time and action
  --members   a record a member: the member's id, and columns of text
  --jobs      a record a job: the job's id, and columns of text

Columns are found by their usual names. --dry-run shows which, and what would be made, and writes nothing.
An action has a weight; a member and a job have interacted if an action between them weighs enough. Of several actions
the heaviest stays, of these the first. Times are dates of ISO 8601, or unix times in seconds or milliseconds.
"""
EXAMPLES = """\
examples:
  python -m dataset_prep jobs clicks.csv --members members.csv --jobs jobs.csv --out dataset/jobs --dry-run
  python -m dataset_prep jobs applications.tsv.gz --jobs postings.parquet --min-user 2 --out dataset/applied \\
      --columns member=applicant,jobs.job=posting --content title,description
  python -m dataset_prep jobs events.jsonl --actions apply=3,save=2,click=1,dismiss=0 --min-weight 2 --out dataset/saved

There is no data at hand? jobs-demo makes some.
"""
ACTIONS = {"apply": 3.0, "save": 2.0, "click": 1.0, "view": 1.0, "dismiss": 0.0}
FILTERS = Filters(min_weight=1, keep="highest", min_user=3, min_item=3)


@dataclass(frozen=True)
class Plan:
    """What is read from where. ``biography`` and ``content`` are columns, ``kind`` is one of ``times.KINDS``."""

    clicks: Sheet
    member: str
    job: str
    time: str | None
    kind: str | None
    action: str | None
    members: tuple[Sheet, str] | None
    biography: tuple[str, ...]
    jobs: tuple[Sheet, str] | None
    content: tuple[str, ...]
    weights: Mapping[str, float]

    def notes(self) -> tuple[str, ...]:
        """What stands for what, in sentences."""
        named = f"{self.clicks.path.name} ({self.clicks.layout})"
        notes = [f"Interactions: {named}; the member is {self.member!r}, the job {self.job!r}."]
        if self.kind:
            notes.append(f"Times: {self.time!r}, {times.KINDS[self.kind]}.")
        elif unread := [name for name in self.clicks.columns if name not in (self.member, self.job, self.action)]:
            notes.append(
                f"Times: none, so that nothing can be split by time; unread are {', '.join(map(repr, unread))}: if one "
                "holds times, say --columns time=COLUMN."
            )
        if self.action:
            weights = ", ".join(f"{action} {weight:g}" for action, weight in self.weights.items())
            notes.append(f"Weights of actions, in {self.action!r}: {weights}. The column rating holds them.")
        else:
            notes.append("No column says what the action was: all weigh 1. The column rating holds this.")
        for what, given, columns in (
            ("Biographies", self.members, self.biography),
            ("Contents", self.jobs, self.content),
        ):
            if given:
                sheet, key = given
                others = [repr(name) for name in sheet.columns if name not in ("", key, *columns)]
                rest = f"; unread are {', '.join(others)}" if others else ""
                source = f"{sheet.path.name} ({sheet.layout})"
                notes.append(f"{what}: {', '.join(columns)} of {source}, found by {key!r}{rest}.")
        return tuple(notes)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the source's own arguments."""
    parser.add_argument("clicks", metavar="CLICKS", type=Path, help="the file of interactions")
    parser.add_argument("--members", metavar="FILE", type=Path, help="the file of member profiles")
    parser.add_argument("--jobs", metavar="FILE", type=Path, help="the file of job descriptions")
    parser.add_argument("--dry-run", action="store_true", help="show what would be made, and write nothing")
    group = parser.add_argument_group("columns")
    group.add_argument(
        "--columns",
        metavar="ROLE=COLUMN,…",
        type=_roles,
        default=(),
        help=f"which column is what, where the names do not tell; roles are {', '.join(ROLES)}; time=none and "
        "action=none leave these out",
    )
    for option, what in (("--biography", "a member's text"), ("--content", "a job's text")):
        group.add_argument(
            option,
            metavar="COLUMNS",
            type=_listed,
            help=f"columns of {what} (default: all that hold words, but ids, links and times)",
        )
    group.add_argument(
        "--quotes",
        choices=get_args(Quotes),
        help="csv: cells may stand in double quotes; none: quotes are characters (default: none for .tsv, else csv)",
    )
    defaults = ",".join(f"{action}={weight:g}" for action, weight in ACTIONS.items())
    parser.add_argument(
        "--actions",
        metavar="ACTION=WEIGHT,…",
        type=_weights,
        default=tuple(defaults.split(",")),
        help=f"what each action weighs (default: {defaults})",
    )


def read(args: argparse.Namespace, reader: Reader) -> Dataset:
    """The dataset of ``args``; raises UserError where a file or a column is missing."""
    plan = plan_of(args)
    headers = (USER, ITEM, RATING, TIME) if plan.kind else (USER, ITEM, RATING)
    tables = {"inter": Table(headers, plan.clicks.rows(reader, _click(plan)))}
    for ending, header, option, given, columns in (
        ("item", ITEM, "--content", plan.jobs, plan.content),
        ("user", USER, "--biography", plan.members, plan.biography),
    ):
        if given:
            sheet, key = given
            names = (header, *(f"{name}:token_seq" for name in fields(option, columns)))
            tables[ending] = Table(names, sheet.rows(reader, _profile(key, columns)))
    sources = filter(None, (args.clicks, args.members, args.jobs))
    facts = UNIX_TIME if plan.kind else ""
    return Dataset(tables, facts, tuple(sources), left_out=reader.left_out, notes=plan.notes())


def plan_of(args: argparse.Namespace) -> Plan:
    """The files that ``args`` name, and what their columns are; raises UserError where one is missing."""
    told = dict(pair.split("=", 1) for pair in args.columns)
    for role in told:
        file, dot, _ = role.partition(".")
        if dot and getattr(args, file) is None:
            raise UserError(f"--columns {role}={told[role]} speaks of a file that is not given: add --{file} FILE")
    for option, file, columns in (("--biography", "members", args.biography), ("--content", "jobs", args.content)):
        if columns is not None and getattr(args, file) is None:
            raise UserError(f"{option} names columns of a file that is not given: add --{file} FILE")
    clicks = open_sheet(args.clicks, args.quotes)
    member, job = find("member", clicks, told), find("job", clicks, told)
    assert member is not None
    assert job is not None
    time, action = find("time", clicks, told, needed=False), find("action", clicks, told, needed=False)
    members = _given(args.members, "members.member", told, args.quotes)
    jobs = _given(args.jobs, "jobs.job", told, args.quotes)
    return Plan(
        clicks,
        member,
        job,
        time,
        _kind(clicks, time) if time else None,
        action,
        members,
        texts("--biography", *members, args.biography) if members else (),
        jobs,
        texts("--content", *jobs, args.content) if jobs else (),
        {action: float(weight) for action, weight in (pair.rsplit("=", 1) for pair in args.actions)},
    )


def _given(path: Path | None, role: str, told: Mapping[str, str], quotes: Quotes | None) -> tuple[Sheet, str] | None:
    if path is None:
        return None
    sheet = open_sheet(path, quotes)
    key = find(role, sheet, told)
    assert key is not None
    return sheet, key


def _kind(clicks: Sheet, time: str) -> str:
    cells = clicks.sample()[time]
    kind = times.detect(cells)
    if kind is None:
        shown = f", such as {cells[0][:40]!r}," if cells else ""
        raise UserError(
            f"{clicks.path}: what {time!r} holds{shown} is no time; legal are {', '.join(times.KINDS.values())} from "
            "1970 on: change it, or say --columns time=none"
        )
    return kind


def _click(plan: Plan) -> Callable[[Strings], Row]:
    weights = {action.casefold(): weight for action, weight in plan.weights.items()}

    def convert(record: Strings) -> Row:
        row: list[str | float] = [raw_id(record, plan.member), raw_id(record, plan.job), 1.0]
        if plan.action:
            action = record.get(plan.action, "").strip()
            weight = weights.get(action.casefold())
            if weight is None:
                known = f"known are {', '.join(plan.weights)}{suggestion(action, plan.weights)}"
                raise BadRecordError(f"the action {action[:40]!r} has no weight in --actions; {known}")
            row[2] = weight
        if plan.time and plan.kind:
            row.append(times.seconds(record.get(plan.time, ""), plan.kind))
        return row

    return convert


def _profile(key: str, columns: tuple[str, ...]) -> Callable[[Strings], Row]:
    return lambda record: (raw_id(record, key), *(record.get(column, "") for column in columns))


def _listed(words: str) -> tuple[str, ...]:
    """Reads a list of columns."""
    return tuple(word.strip() for word in words.split(",") if word.strip())


def _roles(words: str) -> tuple[str, ...]:
    """Reads what columns are."""
    for pair in (pairs := _listed(words)):
        role, _, column = pair.partition("=")
        if role not in ROLES or not column:
            raise argparse.ArgumentTypeError(
                f"{pair!r} is not ROLE=COLUMN with ROLE one of {', '.join(ROLES)}{suggestion(role, ROLES)}"
            )
        if column == NONE and role not in ("time", "action"):
            raise argparse.ArgumentTypeError(f"{pair!r}: the {role} is needed")
    return pairs


def _weights(words: str) -> tuple[str, ...]:
    """Reads what actions weigh."""
    for pair in (pairs := _listed(words)):
        action, equals, number = pair.rpartition("=")
        try:
            fine = bool(action and equals) and math.isfinite(float(number))
        except ValueError:
            fine = False
        if not fine:
            raise argparse.ArgumentTypeError(f"{pair!r} is not ACTION=WEIGHT, as apply=3")
    return pairs
