"""Raw Amazon files of a few records, in the shapes of the three releases."""

import gzip
import json
from pathlib import Path
from typing import Any

USERS, ITEMS = ("ann", "bob", "cat"), ("x", "y", "z")
CORE = ("--min-user", "3", "--min-item", "3")  # which every user of every item just has


def review(user: str, item: str, **more: Any) -> dict[str, Any]:
    """A review of 2014 or 2018, above 3."""
    fields = {"reviewerID": user, "asin": item, "overall": 5.0, "unixReviewTime": 1_400_000_000}
    return fields | {"summary": f"{user} on {item}", "reviewText": f"{item} is good"} | more


def review_2023(user: str, item: str, **more: Any) -> dict[str, Any]:
    """A review of 2023, its time in milliseconds."""
    fields = {"user_id": user, "asin": "variant", "parent_asin": item, "rating": 4.0, "timestamp": 1_588_687_728_923}
    return fields | {"title": f"{user} on {item}", "text": f"{item} is good", "images": []} | more


def everyone(make: Any = review, **more: Any) -> list[dict[str, Any]]:
    """Every user's review of every item."""
    return [make(user, item, **more) for user in USERS for item in ITEMS]


def save(path: Path, records: list[Any], write: Any = json.dumps) -> Path:
    """One record a line, gzipped; what is a string already is a line as it stands."""
    lines = [record if isinstance(record, str) else write(record) for record in records]
    path.write_bytes(gzip.compress("".join(line + "\n" for line in lines).encode()))
    return path
