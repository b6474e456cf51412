"""Yelp's academic dataset: reviews, businesses and users, as JSON lines."""

import argparse
import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dataset_prep.lines import Reader, first_record
from dataset_prep.records import BadRecordError, Record, joined, number, raw_id
from dataset_prep.tables import ITEM, RATING, TIME, UNIX_TIME, USER, Dataset, Filters, Row, Table
from dataset_prep.times import iso_seconds
from recbole_cllm4rec.errors import UserError

NAME = "yelp"
SUMMARY = "the Yelp academic dataset: reviews, businesses, users"
DESCRIPTION = """\
Convert the folder that Yelp's academic dataset unpacks to. Users are Yelp's users, items are businesses.

  yelp_academic_dataset_review.json     an interaction, its stars, date and text
  yelp_academic_dataset_business.json   name, city, categories, attributes
  yelp_academic_dataset_user.json       first name, the year of joining                (optional)

An attribute is told if it says something: "outdoor seating; noise level: quiet; ambience: casual, classy", and not what
a business lacks. Counts and means that Yelp computes over all reviews (stars, review_count, fans) are left out, as they
are made of held-out reviews too. Tips, check-ins and photos are not read.

The defaults are the recipe of the other sources: ratings above 3, then users and businesses with at least 5
interactions, again and again until all have them. Of several reviews of one business by one user the first in time
stays.
"""
EXAMPLES = """\
examples:
  python -m dataset_prep yelp yelp_dataset --out dataset/yelp
  python -m dataset_prep yelp yelp_dataset --min-user 20 --min-item 20 --out dataset/yelp-20
"""
FILTERS = Filters(rating_above=3, min_user=5, min_item=5)
TEMPLATE = """\
# How the columns of a user make one text; those of a business follow one another.
text_template: {user: "{name}, on Yelp since {since}."}
"""

REVIEW, BUSINESS, PERSON = (f"yelp_academic_dataset_{kind}.json" for kind in ("review", "business", "user"))
REVIEW_FIELDS = ("user_id", "business_id", "stars", "date")
NOTHING = (None, False, "", "no", "none", "None")  # what an attribute is that a business does not have


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the source's own arguments."""
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="the folder with the files above")


def read(args: argparse.Namespace, reader: Reader) -> Dataset:
    """The dataset of ``args.folder``; raises UserError where a file is missing or not what its name says."""
    reviews, businesses, people = _files(args.folder)
    tables = {
        "inter": Table((USER, ITEM, RATING, TIME, "review:token_seq"), reader.rows(reviews, _review)),
        "item": Table(
            (ITEM, "name:token_seq", "city:token_seq", "categories:token_seq", "attributes:token_seq"),
            reader.rows(businesses, _business),
        ),
    }
    if people is None:
        return Dataset(tables, UNIX_TIME, (reviews, businesses), left_out=reader.left_out)
    tables["user"] = Table((USER, "name:token_seq", "since:token_seq"), reader.rows(people, _person))
    return Dataset(tables, UNIX_TIME + TEMPLATE, (reviews, businesses, people), left_out=reader.left_out)


def _files(folder: Path) -> tuple[Path, Path, Path | None]:
    """The files of reviews, of businesses and, if it is there, of users, each with a look at what it holds."""
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: unpack Yelp's archive, and give the folder that holds {REVIEW}")
    for name in (REVIEW, BUSINESS):
        if not (folder / name).is_file():
            raise UserError(f"{folder} lacks {name}; expected are {REVIEW}, {BUSINESS} and, if you have it, {PERSON}")
    _check(folder / REVIEW, "reviews", REVIEW_FIELDS)
    _check(folder / BUSINESS, "businesses", ("business_id", "name"))
    if not (folder / PERSON).is_file():
        return folder / REVIEW, folder / BUSINESS, None
    _check(folder / PERSON, "users", ("user_id", "name"))
    return folder / REVIEW, folder / BUSINESS, folder / PERSON


def _check(path: Path, what: str, fields: tuple[str, ...]) -> None:
    record = first_record(path)
    if lacking := [name for name in fields if name not in record]:
        raise UserError(
            f"{path} holds no {what} of Yelp's: its first record lacks {lacking[0]}; needed are {', '.join(fields)}"
        )


def _review(record: Record) -> Row:
    user, business = raw_id(record, "user_id"), raw_id(record, "business_id")
    return user, business, number(record, "stars"), iso_seconds(record, "date"), joined(record.get("text"), " ")


def _business(record: Record) -> Row:
    name, city, categories = (joined(record.get(key), ", ") for key in ("name", "city", "categories"))
    return raw_id(record, "business_id"), name, city, categories, attributes(record.get("attributes"))


def _person(record: Record) -> Row:
    since = joined(record.get("yelping_since"), " ")
    return raw_id(record, "user_id"), joined(record.get("name"), " "), since[:4]


def attributes(told: Any) -> str:
    """What a business has, in words: ``outdoor seating; wifi: free; ambience: casual, classy``.

    Values are JSON or, in releases since 2017, texts of Python literals: ``"True"``, ``"u'free'"``.
    """
    if told is None:
        return ""
    if not isinstance(told, dict):
        raise BadRecordError(f"attributes are {str(told)[:40]!r}, not names with values")
    return "; ".join(_present(told, _said))


def _said(name: str, value: Any) -> str:
    """One attribute, itself of several parts if its value is a dictionary; empty where it has none."""
    if isinstance(value, dict):
        parts = ", ".join(_present(value, lambda part, of: part if of is True else f"{part} {_spelt(of)}"))
        return parts and f"{name}: {parts}"
    return name if value is True else f"{name}: {_spelt(value)}"


def _present(told: dict[str, Any], say: Callable[[str, Any], str]) -> Iterator[str]:
    for name, raw in told.items():
        value = _value(raw)
        if value not in NOTHING and (said := say(_spelt(name.rstrip("0123456789") or name), value)):
            yield said


def _value(raw: Any) -> Any:
    """A value out of the text of its literal; any other text is a value itself."""
    if not isinstance(raw, str) or not re.match(r"u?['\"]|\{|True$|False$|None$", raw):
        return raw
    try:
        return ast.literal_eval(raw)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return raw


def _spelt(word: Any) -> str:
    """``RestaurantsGoodForGroups`` and ``beer_and_wine`` as words; WiFi is one."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])(?!Fi\b)|[_-]", " ", str(word)).lower()
