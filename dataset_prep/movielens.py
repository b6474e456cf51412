"""MovieLens, from 100K to 32M: ratings, titles, genres, tags, and what the older releases tell of users."""

import argparse
import re
import zipfile
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from dataset_prep.lines import File, Reader
from dataset_prep.records import BadRecordError, number, raw_id
from dataset_prep.sheets import Sheet, Strings, bare_sheet, open_sheet
from dataset_prep.tables import ITEM, RATING, TIME, UNIX_TIME, USER, Dataset, Filters, Row, Table
from dataset_prep.times import unix_seconds
from recbole_cllm4rec.errors import UserError, suggestion

NAME = "movielens"
SUMMARY = "MovieLens, any release from 100K to 32M and latest"
DESCRIPTION = """\
Convert a release of MovieLens, its folder or the zip as it comes. Which one it is is seen from its files:

  release                RATINGS       MOVIES       optional
  100K                   u.data        u.item       u.user (age, gender, occupation)
  1M, 10M                ratings.dat   movies.dat   users.dat (the same, of 1M), tags.dat (of 10M)
  20M, 25M, 32M, latest  ratings.csv   movies.csv   tags.csv

A movie's text is its title, the year that stands behind it, its genres and its tags, the most frequent first. A tag is
what one user wrote on one movie: that a movie has it tells that he knows the movie, which may be a pair held out for
the test. A tag is therefore part of a movie's text only where several users gave it (--min-taggers); the card tells how
many were.

The defaults are the recipe of the other sources: ratings above 3, as no more than that is no recommendation (4 and 5
stars, and 3.5 where there are half ones), then users and movies with at least 5 interactions, again and again until all
have them.
"""
EXAMPLES = """\
examples:
  python -m dataset_prep movielens ml-1m.zip --out dataset/ml-1m
  python -m dataset_prep movielens ml-25m --rating-above 3.5 --min-item 10 --out dataset/ml-25m
  python -m dataset_prep movielens ml-100k.zip --rating-above none --out dataset/movielens-100k
"""
FILTERS = Filters(rating_above=3, min_user=5, min_item=5)
OF_USERS = """\
# How the columns of a user make one text; those of a movie follow one another.
text_template: {user: "A user of age {age} and gender {gender} whose occupation is {occupation}."}
"""


class Release(NamedTuple):
    """The names of a release's files."""

    ratings: str
    movies: str
    users: str
    tags: str


RELEASES = (
    Release("u.data", "u.item", "u.user", ""),
    Release("ratings.dat", "movies.dat", "users.dat", "tags.dat"),
    Release("ratings.csv", "movies.csv", "", "tags.csv"),
)
RATING_COLUMNS = ("userId", "movieId", "rating", "timestamp")
MOVIE_COLUMNS = ("movieId", "title", "genres")
TAG_COLUMNS = ("userId", "movieId", "tag", "timestamp")
# What 100K has instead of a list of genres: a flag for each, but for the first, which says that they are not known.
GENRES = (
    *("Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy"),
    *("Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
AGES = {
    **{"1": "under 18", "18": "18-24", "25": "25-34", "35": "35-44"},
    **{"45": "45-49", "50": "50-55", "56": "56 or more"},
}
OCCUPATIONS = (  # of 1M, by their numbers
    *("other", "academic or educator", "artist", "clerical or admin", "college or grad student", "customer service"),
    *("doctor or health care", "executive or managerial", "farmer", "homemaker", "K-12 student", "lawyer"),
    *("programmer", "retired", "sales or marketing", "scientist", "self-employed", "technician or engineer"),
    *("tradesman or craftsman", "unemployed", "writer"),
)
NO_GENRE = "(no genres listed)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the source's own arguments."""
    parser.add_argument("raw_data", metavar="FOLDER_OR_ZIP", type=Path, help="a release, unpacked or not")
    parser.add_argument(
        "--min-taggers",
        metavar="N",
        type=_several,
        default=3,
        help="tags of a movie that at least N users gave it are part of its text; 2 or more (default: %(default)s)",
    )


def _several(word: str) -> int:
    if not word.isdecimal() or int(word) < 2:
        raise argparse.ArgumentTypeError(f"{word!r} is not a whole number from 2: a tag of one user tells what he saw")
    return int(word)


def read(args: argparse.Namespace, reader: Reader) -> Dataset:
    """The dataset of ``args.raw_data``; raises UserError where that is no release, or lacks a file or a column."""
    home, release = _find(args.raw_data)
    ratings, movies, users, tags = _sheets(home, release)
    notes: list[str] = []
    headers = (ITEM, "title:token_seq", "year:token_seq", "genres:token_seq", *(["tags:token_seq"] if tags else []))
    tables = {
        "inter": Table((USER, ITEM, RATING, TIME), ratings.rows(reader, _rating)),
        "item": Table(headers, _movies(movies, tags, args.min_taggers, reader, notes)),
    }
    if users:
        headers = (USER, "age:token_seq", "gender:token_seq", "occupation:token_seq")
        tables["user"] = Table(headers, users.rows(reader, _user_of_100k if release.users == "u.user" else _user))
    found = (ratings, movies, users, tags)
    unpacked = tuple(sheet.path for sheet in found if sheet and isinstance(sheet.path, Path))
    facts = UNIX_TIME + (OF_USERS if users else "")
    return Dataset(tables, facts, unpacked or (args.raw_data,), left_out=reader.left_out, notes=notes)


def _find(raw_data: Path) -> tuple[File, Release]:
    """The folder that holds a release, or the one inside it that does, and its names of files."""
    if raw_data.is_dir():
        root: File = raw_data
    elif not raw_data.is_file():
        raise UserError(f"{raw_data} is neither a folder nor a file; give a release of MovieLens or its zip")
    else:
        try:
            root = zipfile.Path(raw_data)
        except zipfile.BadZipFile as error:
            raise UserError(
                f"{raw_data} is not a zip, or not a whole one ({error}): download it again, or unpack it and give the "
                "folder"
            ) from None
    homes = [root, *sorted((path for path in root.iterdir() if path.is_dir()), key=str)]
    found = [(home, release) for home in homes for release in RELEASES if (home / release.ratings).is_file()]
    if not found:
        listed = ", ".join(release.ratings for release in RELEASES)
        raise UserError(f"{raw_data} holds no release of MovieLens, which has one of {listed}")
    if len(found) > 1:
        both = " and ".join(str(home / release.ratings) for home, release in found[:2])
        raise UserError(f"{raw_data} holds several releases, {both}: give one of them")
    return found[0]


def _sheets(home: File, release: Release) -> tuple[Sheet, Sheet, Sheet | None, Sheet | None]:
    """Ratings, movies and, where they are, users and tags. Raises UserError without movies, or a column."""
    there = {name: name != "" and (home / name).is_file() for name in release}
    if not there[release.movies]:
        raise UserError(f"{home} lacks {release.movies}, which {release.ratings} needs beside it")
    ratings, movies, users, tags = (home / name for name in release)
    if release.movies == "movies.csv":
        return (
            _headed(ratings, RATING_COLUMNS),
            _headed(movies, MOVIE_COLUMNS),
            None,
            _headed(tags, TAG_COLUMNS) if there[release.tags] else None,
        )
    if release.movies == "u.item":
        columns = ("movieId", "title", "released", "video", "url", "unknown", *GENRES)
        person = ("userId", "age", "gender", "occupation", "zip")
        return (
            bare_sheet(ratings, RATING_COLUMNS, "\t"),
            bare_sheet(movies, columns, "|", latin=True),
            bare_sheet(users, person, "|", latin=True) if there[release.users] else None,
            None,
        )
    person = ("userId", "gender", "age", "occupation", "zip")  # 1M is in Latin-1, 10M in UTF-8
    return (
        bare_sheet(ratings, RATING_COLUMNS, "::"),
        bare_sheet(movies, MOVIE_COLUMNS, "::", latin=True),
        bare_sheet(users, person, "::", latin=True) if there[release.users] else None,
        bare_sheet(tags, TAG_COLUMNS, "::") if there[release.tags] else None,
    )


def _headed(path: File, needed: tuple[str, ...]) -> Sheet:
    """The CSV file with its header. Raises UserError where that lacks one of the columns ``needed``."""
    sheet = open_sheet(path)
    for column in needed:
        if column not in sheet.columns:
            near = suggestion(column, [other for other in sheet.columns if other not in needed])
            raise UserError(f"{path}: the header lacks {column!r}; it must name each of {', '.join(needed)}{near}")
    return sheet


def _rating(record: Strings) -> Row:
    user, movie = raw_id(record, "userId"), raw_id(record, "movieId")
    told = {name: _float(record, name) for name in ("rating", "timestamp")}
    return user, movie, number(told, "rating"), unix_seconds(told, "timestamp")


def _float(record: Strings, name: str) -> float:
    try:
        return float(record[name])
    except ValueError:
        raise BadRecordError(f"{name} is {record[name][:40]!r}, not a number") from None


def _movies(movies: Sheet, tags: Sheet | None, least: int, reader: Reader, notes: list[str]) -> Iterator[Row]:
    """Movies with their tags, if there are any, which are read first."""
    of_movie = read_tags(tags, least, reader, notes) if tags else None
    for row in movies.rows(reader, _movie):
        yield row if of_movie is None else (*row, of_movie.get(str(row[0]), ""))


def _movie(record: Strings) -> Row:
    listed = record.get("genres")
    genres = [name for name in GENRES if record[name] == "1"] if listed is None else listed.split("|")
    title, year = split_title(record["title"])
    return raw_id(record, "movieId"), title, year, ", ".join(name for name in genres if name and name != NO_GENRE)


def split_title(title: str) -> tuple[str, str]:
    """``Toy Story (1995)`` as title and year, ``Fargo (2014-)`` too; a title without a year has an empty one."""
    found = re.fullmatch(r"(.*\S)\s*\((\d{4}\s?(?:[-–]\s?(?:\d{4})?)?)\)\s*", title, re.DOTALL)
    return (found[1].strip(), found[2].strip()) if found else (title.strip(), "")


def _user_of_100k(record: Strings) -> Row:
    return raw_id(record, "userId"), record["age"], record["gender"], record["occupation"]


def _user(record: Strings) -> Row:
    age, occupation = record["age"], record["occupation"]
    if age not in AGES:
        raise BadRecordError(f"age is {age[:40]!r}, not among {', '.join(AGES)}")
    if not occupation.isdecimal() or int(occupation) >= len(OCCUPATIONS):
        raise BadRecordError(f"occupation is {occupation[:40]!r}, not a number from 0 to {len(OCCUPATIONS) - 1}")
    return raw_id(record, "userId"), AGES[age], record["gender"], OCCUPATIONS[int(occupation)]


def read_tags(sheet: Sheet, least: int, reader: Reader, notes: list[str]) -> dict[str, str]:
    """By movie, the tags that at least ``least`` users gave it, the most frequent first, of these by the alphabet.

    A tag counts once a user, in lower case. What was left out is added to ``notes``.
    """
    codes: tuple[dict[str, int], ...] = ({}, {}, {})  # of movies, tags and users: whole numbers, as there are millions
    columns = [array("q") for _ in codes]
    for row in filter(all, sheet.rows(reader, _tag)):  # a tag may be nothing but spaces
        for code, column, value in zip(codes, columns, row, strict=True):
            column.append(code.setdefault(str(value), len(code)))
    frame = pd.DataFrame(dict(zip(("movie", "tag", "user"), map(np.asarray, columns), strict=True)), dtype=np.int64)
    users = frame.drop_duplicates().groupby(["movie", "tag"]).size().rename("users").reset_index()
    kept = users[users["users"] >= least]
    names = [np.array(list(code), dtype=object) for code in codes[:2]]
    kept = kept.assign(movie=names[0][kept["movie"]], tag=names[1][kept["tag"]])
    kept = kept.sort_values(["users", "tag"], ascending=[False, True])
    notes.append(
        f"A tag is part of a movie's text where at least {least} users gave it, {len(kept):,} of {len(users):,} pairs "
        "of a movie and a tag: one of fewer would tell who knows the movie, which may be held out."
    )
    return {str(movie): ", ".join(tags) for movie, tags in kept.groupby("movie", sort=False)["tag"]}


def _tag(record: Strings) -> Row:
    return raw_id(record, "movieId"), " ".join(record["tag"].lower().split()), raw_id(record, "userId")
