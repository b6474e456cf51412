"""Which interactions stay: rating, one interaction a pair, and the iterated k-core, each with what it removed."""

from typing import NamedTuple

import duckdb

from dataset_prep.tables import Filters
from recbole_cllm4rec.errors import UserError

ORDER = {  # the least of these is kept
    "first": "(coalesce(time, 0), n)",
    "last": "(-coalesce(time, 0), -n)",
    "highest": "(-coalesce(rating, 0), coalesce(time, 0), n)",
}


class Step(NamedTuple):
    """What is left after one filter."""

    name: str
    interactions: int
    users: int
    items: int


def apply(db: duckdb.DuckDBPyConnection, filters: Filters) -> list[Step]:
    """Leave the rows of ``inter`` that pass in the table ``pairs`` (n, u, i), u and i counting users and items.

    ``users`` and ``items`` map raw ids to u and i. Raises UserError if nothing passes, with the filter that emptied it.
    """
    for kind, code in (("user", "u"), ("item", "i")):
        db.execute(
            f"CREATE TABLE {kind}s AS SELECT {kind}_id, row_number() OVER () AS {code} FROM "
            f"(SELECT DISTINCT {kind}_id FROM ids WHERE ending = 'inter')"
        )
    db.execute(
        "CREATE TABLE pairs AS SELECT n, u, i, rating, time FROM ids JOIN users USING (user_id) JOIN items USING "
        "(item_id) WHERE ending = 'inter'"
    )
    bound = _bounds(filters)
    steps = [_step(db, "as read", None, bound)]
    if filters.rating_above is not None:
        _keep(db, f"SELECT * FROM pairs WHERE rating > {float(filters.rating_above)!r}")
        steps.append(_step(db, f"rating above {filters.rating_above:g}", steps[-1], bound))
    if filters.min_weight is not None:
        _keep(db, f"SELECT * FROM pairs WHERE rating >= {float(filters.min_weight)!r}")
        steps.append(_step(db, f"weight of at least {filters.min_weight:g}", steps[-1], bound))
    _keep(db, f"SELECT u, i, arg_min(n, {ORDER[filters.keep]}) AS n FROM pairs GROUP BY u, i")
    steps.append(_step(db, f"one interaction a pair, the {filters.keep}", steps[-1], bound))
    if max(filters.min_user, filters.min_item) > 1:
        rounds = _core(db, filters)
        name = f"at least {filters.min_user} a user, {filters.min_item} an item, in {rounds} rounds"
        steps.append(_step(db, name, steps[-1], bound))
    return steps


def _bounds(filters: Filters) -> str:
    """The options that may be loosened."""
    own = {"--rating-above": filters.rating_above, "--min-weight": filters.min_weight}
    asked = [option for option, bound in own.items() if bound is not None]
    return f"{', '.join([*asked, '--min-user'])} or --min-item"


def _core(db: duckdb.DuckDBPyConnection, filters: Filters) -> int:
    """Take away users and items with too few interactions until none is left to go; the number of rounds."""
    rounds, before, after = 0, -1, _count(db)
    while after != before:
        for code, least in (("u", filters.min_user), ("i", filters.min_item)):
            few = f"SELECT {code} FROM pairs GROUP BY {code} HAVING count(*) >= {int(least)}"
            _keep(db, f"SELECT pairs.* FROM pairs SEMI JOIN ({few}) USING ({code})")
        before, after = after, _count(db)
        rounds += after != before
    return rounds


def _keep(db: duckdb.DuckDBPyConnection, query: str) -> None:
    db.execute(f"CREATE OR REPLACE TABLE pairs AS {query}")


def _count(db: duckdb.DuckDBPyConnection) -> int:
    return scalar(db, "SELECT count(*) FROM pairs")


def scalar(db: duckdb.DuckDBPyConnection, query: str) -> int:
    """The one number that a query gives."""
    found = db.execute(query).fetchone()
    assert found is not None
    return int(found[0])


def _step(db: duckdb.DuckDBPyConnection, name: str, before: Step | None, bound: str) -> Step:
    distinct = [scalar(db, f"SELECT count(*) FROM (SELECT DISTINCT {code} FROM pairs)") for code in "ui"]
    step = Step(name, _count(db), *distinct)
    if not step.interactions and before is None:
        raise UserError("there is not one interaction in the source: is it the right file?")
    if not step.interactions and before is not None:
        raise UserError(
            f"nothing is left: the filter '{name}' took the last {before.interactions:,} interactions (of "
            f"{before.users:,} users with {before.items:,} items); loosen {bound}"
        )
    return step
