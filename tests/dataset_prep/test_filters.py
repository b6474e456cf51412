"""Which interactions stay: by hand, and the k-core against a plain computation on random graphs."""

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_prep.filters import Step, apply
from dataset_prep.tables import Filters
from recbole_cllm4rec.errors import UserError

BY_HAND = [  # user, item, rating, time
    ("ann", "x", 5, 30),
    ("ann", "y", 4, 20),
    ("ann", "x", 4, 10),  # the first in time of the pair
    ("bob", "x", 5, 10),
    ("bob", "y", 5, 10),
    ("cat", "x", 5, 10),  # goes once z has gone
    ("cat", "z", 5, 10),  # the only one of z
    ("dan", "x", 3, 10),  # not above 3
]


def kept(rows: list[tuple], filters: Filters) -> tuple[list[Step], set[int]]:
    """The steps, and the numbers of the rows that stay."""
    with duckdb.connect() as db:
        db.execute(
            "CREATE TABLE ids (ending VARCHAR, n BIGINT, user_id VARCHAR, item_id VARCHAR, rating DOUBLE, time DOUBLE)"
        )
        for n, row in enumerate(rows):
            db.execute("INSERT INTO ids VALUES ('inter', ?, ?, ?, ?, ?)", [n, *row])
        steps = apply(db, filters)
        return steps, {n for (n,) in db.execute("SELECT n FROM pairs").fetchall()}


def test_steps_by_hand():
    steps, rows = kept(BY_HAND, Filters(rating_above=3, min_user=2, min_item=2))
    assert rows == {1, 2, 3, 4}
    assert steps == [
        Step("as read", 8, 4, 3),
        Step("rating above 3", 7, 3, 3),
        Step("one interaction a pair, the first", 6, 3, 3),
        Step("at least 2 a user, 2 an item, in 2 rounds", 4, 2, 2),
    ]


@pytest.mark.parametrize(("keep", "row"), [("first", 2), ("last", 0), ("highest", 0)])
def test_which_of_a_pair_stays(keep, row):
    _, rows = kept(BY_HAND[:3], Filters(keep=keep))
    assert rows == {1, row}


def test_a_tie_in_time_goes_by_the_order_of_the_file():
    rows = [("u", "i", 4, 1), ("u", "i", 5, 1), ("u", "i", 5, 1)]
    assert [kept(rows, Filters(keep=keep))[1] for keep in ("first", "last", "highest")] == [{0}, {2}, {1}]


def test_the_filter_that_emptied_it_is_named():
    with pytest.raises(UserError) as error:
        kept(BY_HAND, Filters(rating_above=3, min_user=3, min_item=2))
    assert str(error.value) == (
        "nothing is left: the filter 'at least 3 a user, 2 an item, in 1 rounds' took the last 6 interactions (of 3 "
        "users with 3 items); loosen --rating-above, --min-user or --min-item"
    )
    with pytest.raises(UserError, match="'rating above 5' took the last 8 interactions"):
        kept(BY_HAND, Filters(rating_above=5))
    with pytest.raises(UserError, match="not one interaction in the source"):
        kept([], Filters())


def plain_core(pairs: set[tuple[str, str]], least: tuple[int, int]) -> set[tuple[str, str]]:
    """The k-core by definition: take any user or item below its number away, one at a time."""
    while True:
        for place in (0, 1):
            ids = {pair[place] for pair in pairs}
            few = next((x for x in sorted(ids) if sum(p[place] == x for p in pairs) < least[place]), None)
            if few is not None:
                pairs = {pair for pair in pairs if pair[place] != few}
                break
        else:
            return pairs


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("stuvwxyz")), min_size=20, max_size=50),
    st.tuples(st.integers(0, 4), st.integers(0, 4)),
)
def test_the_core_of_random_graphs(pairs, least):
    expected = plain_core(set(pairs), least)
    rows = [(user, item, 5, n) for n, (user, item) in enumerate(pairs)]
    filters = Filters(min_user=least[0], min_item=least[1])
    if not expected:
        with pytest.raises(UserError, match="nothing is left"):
            kept(rows, filters)
        return
    found = [pairs[n] for n in kept(rows, filters)[1]]
    assert len(found) == len(set(found))
    assert set(found) == expected
