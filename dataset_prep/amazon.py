"""Amazon's reviews and product metadata, in the releases of 2014, 2018 and 2023."""

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path

from dataset_prep import registry
from dataset_prep.download import fetch
from dataset_prep.lines import Reader, first_record
from dataset_prep.records import Record, joined, number, raw_id
from dataset_prep.tables import ITEM, RATING, TIME, UNIX_TIME, USER, Dataset, Filters, Row, Table
from dataset_prep.times import unix_seconds
from recbole_cllm4rec.errors import UserError, suggestion

NAME = "amazon"
SUMMARY = "Amazon reviews and product metadata, releases of 2014, 2018 and 2023"
DESCRIPTION = """\
Convert one category of Amazon's reviews, with its product metadata if you have it. Which release a file is of is seen
from its fields; .gz files are read as they are.

  release   REVIEWS                    META
  2014      reviews_Beauty_5.json.gz   meta_Beauty.json.gz
  2018      All_Beauty_5.json.gz       meta_All_Beauty.json.gz
  2023      All_Beauty.jsonl.gz        meta_All_Beauty.jsonl.gz

The defaults are the CLLM4Rec paper's recipe: ratings above 3, then users and items with at least 5 interactions, again
and again until all have them. Of several reviews of one product by one user the first in time stays.
"""
EXAMPLES = """\
examples:
  python -m dataset_prep amazon reviews_Beauty_5.json.gz meta_Beauty.json.gz --out dataset/amazon-beauty
  python -m dataset_prep amazon All_Beauty_5.json.gz --rating-above none --out dataset/all-beauty
  python -m dataset_prep amazon --download amazon-beauty --out dataset/amazon-beauty

names for --download:
""" + "\n".join(f"  {name}" for name in registry.AMAZON)
FILTERS = Filters(rating_above=3, min_user=5, min_item=5)

# Fields of a record by what they are, those of 2014 and 2018 and those of 2023.
REVIEW = {
    "reviewerID": {
        "item": "asin",
        "rating": "overall",
        "time": "unixReviewTime",
        "summary": "summary",
        "review": "reviewText",
    },
    "user_id": {"item": "parent_asin", "rating": "rating", "time": "timestamp", "summary": "title", "review": "text"},
}
PRODUCT = ("parent_asin", "asin")  # the id of a product, of a review too
REVIEW_TEXT = ("summary", "review")
ITEM_TEXT = {  # the first of these fields that a product has; separators of its parts
    "title": (("title",), " "),
    "categories": (("categories", "category"), " > "),
    "brand": (("brand", "store"), " "),
    "description": (("description",), "\n"),
    "features": (("features", "feature"), "\n"),
}
ITEM_DEFAULT = ("title", "categories", "brand", "description")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the source's own arguments."""
    parser.add_argument("reviews", metavar="REVIEWS", type=Path, nargs="?", help="the file of reviews")
    parser.add_argument("meta", metavar="META", type=Path, nargs="?", help="the file of products (optional)")
    fetched = parser.add_argument_group("public files")
    fetched.add_argument(
        "--download",
        metavar="NAME",
        help="fetch REVIEWS and META first, going on where a fetch broke off; the names stand below",
    )
    fetched.add_argument(
        "--raw",
        metavar="FOLDER",
        type=Path,
        default=Path("dataset/raw"),
        help="where fetched files are kept, in FOLDER/NAME; what is there is not fetched again (default: %(default)s)",
    )
    text = parser.add_argument_group("text")
    text.add_argument(
        "--review-text",
        metavar="COLUMNS",
        type=_columns(REVIEW_TEXT),
        default=REVIEW_TEXT,
        help="columns of a review's text, or 'none' (default: summary,review)",
    )
    text.add_argument(
        "--item-text",
        metavar="COLUMNS",
        type=_columns(ITEM_TEXT),
        default=ITEM_DEFAULT,
        help=f"columns of a product's text, of {', '.join(ITEM_TEXT)}, or 'none' (default: {','.join(ITEM_DEFAULT)})",
    )


def read(args: argparse.Namespace, reader: Reader) -> Dataset:
    """The dataset of ``args``; raises UserError where a file is missing or not what it is given as."""
    reviews, meta = _files(args)
    user = _told_by(first_record(reviews), REVIEW)
    if user is None:
        product = _told_by(first_record(reviews), PRODUCT)
        what = "products, not reviews: REVIEWS comes first, META second" if product else "no reviews of Amazon's"
        raise UserError(f"{reviews} holds {what}; a review has the fields {' or '.join(map(_listed, REVIEW))}")
    tables = {
        "inter": Table(
            (USER, ITEM, RATING, TIME, *(f"{name}:token_seq" for name in args.review_text)),
            reader.rows(reviews, _review(user, args.review_text)),
        )
    }
    if meta:
        item = _product_key(meta, REVIEW[user]["item"])
        tables["item"] = Table(
            (ITEM, *(f"{name}:token_seq" for name in args.item_text)),
            reader.rows(meta, _product(item, args.item_text)),
        )
    return Dataset(tables, UNIX_TIME, (reviews, meta) if meta else (reviews,), left_out=reader.left_out)


def _files(args: argparse.Namespace) -> tuple[Path, Path | None]:
    if not args.download:
        if args.reviews is None:
            raise UserError("REVIEWS is missing: give the file, or --download NAME; see amazon --help")
        return args.reviews, args.meta
    if args.reviews is not None:
        raise UserError(f"--download {args.download} brings its own files: leave {args.reviews} out")
    if args.download not in registry.AMAZON:
        near = suggestion(args.download, registry.AMAZON)
        raise UserError(f"--download {args.download} is not known; legal are {', '.join(registry.AMAZON)}{near}")
    # Releases give their files the same names: each dataset has a folder of its own.
    reviews, meta = (fetch(remote, args.raw / args.download) for remote in registry.AMAZON[args.download])
    return reviews, meta


def _told_by(record: Record, formats: Iterable[str]) -> str | None:
    """The first of the fields that the record has."""
    return next((key for key in formats if key in record), None)


def _product_key(meta: Path, item: str) -> str:
    """The field that holds a product's id, which must be the one that reviews name."""
    record = first_record(meta)
    if _told_by(record, REVIEW):
        raise UserError(
            f"{meta} holds reviews, not products: give META, a file as meta_Beauty.json.gz, or leave it out"
        )
    if item in record:
        return item
    if _told_by(record, PRODUCT):
        raise UserError(f"{meta} is of another release than the reviews: its products have no {item}")
    raise UserError(f"{meta} holds no products of Amazon's: a product has the field {item}")


def _review(user: str, text: Iterable[str]) -> Callable[[Record], Row]:
    fields = REVIEW[user]
    item, rating, time = fields["item"], fields["rating"], fields["time"]
    texts = [fields[name] for name in text]

    def convert(record: Record) -> Row:
        told = [joined(record.get(name), " ") for name in texts]
        return raw_id(record, user), raw_id(record, item), number(record, rating), unix_seconds(record, time), *told

    return convert


def _product(item: str, text: Iterable[str]) -> Callable[[Record], Row]:
    columns = [ITEM_TEXT[name] for name in text]

    def convert(record: Record) -> Row:
        values = [(next((record[name] for name in names if record.get(name)), None), glue) for names, glue in columns]
        return raw_id(record, item), *(joined(value, glue) for value, glue in values)

    return convert


def _listed(user: str) -> str:
    return ", ".join([user, *REVIEW[user].values()])


def _columns(legal: Iterable[str]) -> Callable[[str], tuple[str, ...]]:
    """Reads a list of columns."""

    def columns(words: str) -> tuple[str, ...]:
        names = () if words == "none" else tuple(words.split(","))
        if wrong := [name for name in names if name not in legal]:
            raise argparse.ArgumentTypeError(f"{wrong[0]!r} is not among {', '.join(legal)}, and 'none'")
        if again := [name for place, name in enumerate(names) if name in names[:place]]:
            raise argparse.ArgumentTypeError(f"{again[0]!r} is named twice")
        return names

    return columns
