"""The layout of the CLLM4Rec authors' data: one split as three matrices, beside tables of raw ids and text."""

import argparse
import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import scipy.sparse as sp

from dataset_prep.lines import Reader
from dataset_prep.tables import Dataset, Table
from recbole_cllm4rec.errors import UserError, suggestion

NAME = "paper-layout"
SUMMARY = "the CLLM4Rec paper's datasets, in the authors' own split"
DESCRIPTION = """\
Convert a folder in the layout of the CLLM4Rec authors' data, keeping their split. All tables are UTF-8,
tab-separated and unquoted, under a header that names at least these columns:

  train_matrix.npz val_matrix.npz test_matrix.npz   scipy CSR, users x items
  interactions.tsv   user_idx item_idx split user asin position (the chronological rank, from 0)
  users.tsv          user_idx user
  items.tsv          item_idx asin title categories
  item_brand_description.tsv   item_idx brand description                  (optional)
  reviews*.tsv                 user_idx item_idx summary review            (optional; train pairs only)
"""
EXAMPLES = """\
example:
  python -m dataset_prep paper-layout ../shared/data/amazon-beauty --out dataset/amazon-beauty
"""
FILTERS = None  # the split is the authors', and complete

PARTS = {"train": "train", "val": "valid", "test": "test"}  # the authors' names, RecBole's names
REQUIRED = (*(f"{part}_matrix.npz" for part in PARTS), "interactions.tsv", "users.tsv", "items.tsv")
PAIR = ["user_idx", "item_idx"]

INTER = {
    "user": "user_id:token",
    "asin": "item_id:token",
    "position": "position:float",
    "summary": "summary:token_seq",
    "review": "review:token_seq",
}
ITEM = {
    "asin": "item_id:token",
    "title": "title:token_seq",
    "categories": "categories:token_seq",
    "brand": "brand:token_seq",
    "description": "description:token_seq",
}
FACTS = """\
# The chronological rank of the interaction in the user's history.
TIME_FIELD: position
# At test the paper masks a user's training items only: validation items stay in the ranking.
history_mask: train
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the source's own arguments."""
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="the folder with the files above")


def read(args: argparse.Namespace, reader: Reader) -> Dataset:
    """The dataset of ``args.folder``; raises UserError where a file is missing, malformed or at odds with another."""
    folder = args.folder
    brands, reviews = find_files(folder)
    pairs, n_users, n_items = read_split(folder)
    # RecBole keeps floats in single precision, where whole numbers are exact up to 2**24.
    sizes = {"user_idx": n_users, "item_idx": n_items, "position": 2**24}
    users = read_ids(folder / "users.tsv", ["user_idx", "user"], sizes)
    items = read_ids(folder / "items.tsv", ["item_idx", "asin", "title", "categories"], sizes)
    inter = read_interactions(folder / "interactions.tsv", pairs, users, items, sizes)
    if brands:
        items = items.join(read_brands(brands, sizes)).fillna("")
    if reviews:
        inter = inter.merge(read_reviews(reviews, pairs, sizes), how="left", on=PAIR).fillna("")
    parts = {f"{ours}.inter": headed(inter[inter["split"] == theirs], INTER) for theirs, ours in PARTS.items()}
    return Dataset(
        tables={ending: Table.of(frame) for ending, frame in {**parts, "item": headed(items, ITEM)}.items()},
        facts=FACTS,
        sources=(*(folder / name for name in REQUIRED), *filter(None, (brands, reviews))),
    )


def headed(table: pd.DataFrame, headers: Mapping[str, str]) -> pd.DataFrame:
    """Those of the columns that the table has, under their atomic headers."""
    present = {column: header for column, header in headers.items() if column in table}
    return table[list(present)].rename(columns=present)


def find_files(folder: Path) -> tuple[Path | None, Path | None]:
    """The optional files of brands and of reviews; raises UserError if a required one is missing."""
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; give one that holds {', '.join(REQUIRED)}")
    missing = [name for name in REQUIRED if not (folder / name).is_file()]
    if missing:
        raise UserError(f"{folder} lacks {', '.join(missing)}; expected are {', '.join(REQUIRED)}")
    brands = folder / "item_brand_description.tsv"
    reviews = sorted(folder.glob("reviews*.tsv"))
    if len(reviews) > 1:
        raise UserError(f"{folder} holds {', '.join(path.name for path in reviews)}; keep one file of reviews")
    return brands if brands.is_file() else None, next(iter(reviews), None)


def read_split(folder: Path) -> tuple[pd.DataFrame, int, int]:
    """The pairs of all matrices (user_idx, item_idx, split), the number of users and that of items."""
    matrices = {part: read_matrix(folder / f"{part}_matrix.npz") for part in PARTS}
    shapes = {part: matrix.shape for part, matrix in matrices.items()}
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"{part}_matrix.npz is {users} x {items}" for part, (users, items) in shapes.items())
        raise UserError(f"{folder}: {listed}; all three must be of one shape, users x items")
    found = [
        pd.DataFrame(dict(zip(PAIR, matrix.nonzero(), strict=True)), dtype=int).assign(split=part)
        for part, matrix in matrices.items()
    ]
    pairs = pd.concat(found, ignore_index=True)
    again = pairs.duplicated(PAIR, keep=False)
    if again.any():
        first, second = pairs[again].sort_values(PAIR, kind="stable").head(2).itertuples()
        raise UserError(
            f"{folder}: user_idx {first.user_idx}, item_idx {first.item_idx} is in {first.split}_matrix.npz "
            f"and in {second.split}_matrix.npz; a pair may be in one part only"
        )
    return pairs, *shapes["train"]


def read_matrix(path: Path) -> sp.csr_matrix:
    """One part of the split; raises UserError if the file is damaged or empty of pairs."""
    try:
        matrix = sp.load_npz(path).tocsr()
        matrix.check_format()  # loading does not look whether the indices are within the shape
    except Exception as error:  # zipfile, zlib, numpy and scipy each have errors of their own for a damaged file
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is not an intact file of scipy.sparse.save_npz ({reason}); copy it anew") from error
    if not matrix.count_nonzero():
        raise UserError(f"{path} holds no pair; each part of the split needs some")
    return matrix


def read_ids(path: Path, columns: list[str], sizes: Mapping[str, int]) -> pd.DataFrame:
    """A table of raw ids by index; its first column is the index, its second the id: each distinct, none missing."""
    index, raw_id = columns[:2]
    table = read_tsv(path, columns, sizes)
    require_distinct(path, table, [index])
    require_distinct(path, table, [raw_id])
    if len(table) < sizes[index]:
        absent = min(set(range(sizes[index])) - set(table[index]))
        raise UserError(f"{path} lacks a row of {index} {absent}; the matrices have indices 0 to {sizes[index] - 1}")
    return table.set_index(index)


def read_interactions(
    path: Path, pairs: pd.DataFrame, users: pd.DataFrame, items: pd.DataFrame, sizes: Mapping[str, int]
) -> pd.DataFrame:
    """The interactions; raises UserError where they disagree with the matrices' pairs or with the tables of raw ids."""
    table = read_tsv(path, [*PAIR, "split", "user", "asin", "position"], sizes)
    require_distinct(path, table, PAIR)
    checks = (
        ("split", part_of(table, pairs), "the matrices"),
        ("user", table["user_idx"].map(users["user"]), "users.tsv"),
        ("asin", table["item_idx"].map(items["asin"]), "items.tsv"),
    )
    for column, expected, other in checks:
        wrong = table[column] != expected  # true of a pair in no matrix, whose part is NaN
        if wrong.any():
            row = int(wrong.argmax())
            raise UserError(
                f"{place(path, table, row, PAIR)}: {column} is {table.at[row, column]!r}, but "
                f"{expected.fillna('in no part')[row]!r} according to {other}; mend the one that is wrong"
            )
    absent = part_of(pairs, table).isna()
    if absent.any():
        user, item, part = pairs[absent].iloc[0]
        raise UserError(f"{path} lacks user_idx {user}, item_idx {item}, which {part}_matrix.npz holds; add its line")
    return table


def read_brands(path: Path, sizes: Mapping[str, int]) -> pd.DataFrame:
    """Brand and description by item_idx, for some of the items."""
    table = read_tsv(path, ["item_idx", "brand", "description"], sizes)
    require_distinct(path, table, ["item_idx"])
    return table.set_index("item_idx")


def read_reviews(path: Path, pairs: pd.DataFrame, sizes: Mapping[str, int]) -> pd.DataFrame:
    """The reviews; raises UserError if one is not of a train pair: text of held-out pairs would give them away."""
    table = read_tsv(path, [*PAIR, "summary", "review"], sizes)
    require_distinct(path, table, PAIR)
    part = part_of(table, pairs)
    leaks = part != "train"
    if leaks.any():
        row = int(leaks.argmax())
        raise UserError(
            f"{place(path, table, row, PAIR)}: the pair is of {part.fillna('no part')[row]}, not of train; "
            "only train pairs may have a review: remove the line"
        )
    return table


def part_of(table: pd.DataFrame, pairs: pd.DataFrame) -> pd.Series:
    """The split that ``pairs`` gives to each row's pair, NaN where it lacks the pair."""
    return table[PAIR].merge(pairs[[*PAIR, "split"]], how="left", on=PAIR)["split"]


def read_tsv(path: Path, columns: list[str], sizes: Mapping[str, int]) -> pd.DataFrame:
    """The named columns: as whole numbers from 0 to below the size of those in ``sizes``, as strings of the others.

    Quote characters are characters, nothing is taken for a missing value, and only a newline ends a line.
    Raises UserError with the line where the file is not so.
    """
    header, *rows = [line.split("\t") for line in read_text(path).removesuffix("\n").split("\n")]
    for column in columns:
        if header.count(column) != 1:
            fault = "repeats" if column in header else "lacks"
            near = suggestion(column, [other for other in header if other not in columns])
            raise UserError(
                f"{path}, line 1: the header {fault} {column!r}; it must name each of {', '.join(columns)} once{near}"
            )
    for line, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise UserError(
                f"{path}, line {line}: {len(row)} fields, but the header has {len(header)}; "
                "one tab separates two fields, and none holds a tab or a line break"
            )
    table = pd.DataFrame(rows, columns=header, dtype=str)[columns]
    for column in [name for name in columns if name in sizes]:
        for line, number in enumerate(table[column], start=2):
            if not re.fullmatch("[0-9]{1,9}", number) or int(number) >= sizes[column]:
                legal = f"legal are whole numbers from 0 to {sizes[column] - 1}"
                raise UserError(f"{path}, line {line}: {column} is {number!r}; {legal}")
        table[column] = table[column].astype(int)
    return table


def read_text(path: Path) -> str:
    """The file's text; raises UserError, with the line, if it is not UTF-8."""
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UserError(f"{path}, line {line}: not UTF-8; save the file in that encoding") from error


def require_distinct(path: Path, table: pd.DataFrame, columns: list[str]) -> None:
    """Raise UserError if two rows are equal in these columns."""
    again = table.duplicated(columns)
    if again.any():
        raise UserError(f"{place(path, table, int(again.argmax()), columns)} stands on an earlier line too; keep one")


def place(path: Path, table: pd.DataFrame, row: int, columns: list[str]) -> str:
    """Where a row stands in its file, and what identifies it."""
    values = (f"{column} {value}" for column, value in table.loc[row, columns].items())
    return ", ".join([str(path), f"line {row + 2}", *values])
