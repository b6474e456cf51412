"""Yelp's files by hand, and what can be wrong with them."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from conversions import cells, refused
from hypothesis import given
from hypothesis import strategies as st
from raw_files import CORE

from dataset_prep.__main__ import main
from dataset_prep.yelp import attributes
from recbole_cllm4rec.corpus.escape import unescape

USERS, SHOPS = ("ann", "bob", "cat"), ("x", "y", "z")
BUSINESSES: list[dict[str, Any]] = [
    {
        "business_id": "x",
        "name": "Café “Ünal”",
        "city": "Tampa",
        "categories": "Coffee & Tea, Food",
        "attributes": {"OutdoorSeating": "True", "WiFi": "u'free'", "BikeParking": "False"},
        "stars": 4.5,
        "hours": {"Monday": "8:0-22:0"},
    },
    {"business_id": "y", "name": "Y", "city": "", "categories": None, "attributes": None, "hours": None},
    {"business_id": "closed", "name": "nobody went there", "city": "Reno", "categories": "Bars", "attributes": {}},
    {"business_id": "z", "name": "tab\there", "city": "Reno", "categories": ["Bars", "Pubs"], "attributes": {}},
]
PEOPLE = [
    {"user_id": "bob", "name": "Bob", "yelping_since": "2010-05-12 10:00:00", "friends": "ann, cat", "elite": ""},
    {"user_id": "ann", "name": "Ann", "yelping_since": "2012-11"},
    {"user_id": "else", "name": "Else", "yelping_since": "2012-11-01"},
]


def review(user: str, shop: str, **more: Any) -> dict[str, Any]:
    fields = {"review_id": f"{user}{shop}", "user_id": user, "business_id": shop, "stars": 5.0, "useful": 0}
    return fields | {"text": f"{user}\non {shop}", "date": "2018-07-07 22:09:11"} | more


def everyone(**more: Any) -> list[Any]:
    return [review(user, shop, **more) for user in USERS for shop in SHOPS]


def save(kind: str, records: list[Any]) -> None:
    lines = (record if isinstance(record, str) else json.dumps(record) for record in records)
    Path("raw", f"yelp_academic_dataset_{kind}.json").write_text("".join(line + "\n" for line in lines))


@pytest.fixture(autouse=True)
def _raw(tmp_path, monkeypatch):
    """A whole folder ``raw`` in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    Path("raw").mkdir()
    save("review", everyone())
    save("business", BUSINESSES)
    save("user", PEOPLE)


def convert(*words: str) -> int:
    return main(["yelp", "raw", *CORE, "--out", "dataset/tiny", *words])


def refusal(capsys) -> str:
    return refused(capsys, convert())


def test_files_by_hand(capsys):
    again = review("ann", "x", text="once more", date="2019-01-01")
    save("review", [again, *everyone(), review("dan", "x", stars=3.0)])
    assert convert() == 0
    assert len(cells("inter")) == 1 + 9
    assert cells("inter")[:2] == [
        ["user_id:token", "item_id:token", "rating:float", "timestamp:float", "review:token_seq"],
        ["ann", "x", "5", "1531001351", r"ann\non x"],  # date -u -d '2018-07-07 22:09:11' +%s
    ]
    assert cells("item") == [
        ["item_id:token", "name:token_seq", "city:token_seq", "categories:token_seq", "attributes:token_seq"],
        ["x", "Café “Ünal”", "Tampa", "Coffee & Tea, Food", "outdoor seating; wifi: free"],
        ["y", "Y", "", "", ""],
        ["z", r"tab\there", "Reno", "Bars, Pubs", ""],
    ]
    assert cells("user") == [
        ["user_id:token", "name:token_seq", "since:token_seq"],
        ["bob", "Bob", "2010"],
        ["ann", "Ann", "2012"],
        ["cat", "", ""],
    ]
    settings = yaml.safe_load(Path("dataset/tiny/tiny.yaml").read_text())
    assert settings["text_fields"] == {
        "inter": ["review"],
        "item": ["name", "city", "categories", "attributes"],
        "user": ["name", "since"],
    }
    assert settings["text_template"] == {"user": "{name}, on Yelp since {since}."}
    card = Path("dataset/tiny/tiny.card.md").read_text()
    assert "| rating above 3 | 1 | 10 | 3 | 3 |" in card
    assert "| one interaction a pair, the first | 1 | 9 | 3 | 3 |" in card
    assert all(f"| yelp_academic_dataset_{kind}.json | " in card for kind in ("review", "business", "user"))
    assert "    python -m dataset_prep yelp raw --min-user 3 --min-item 3 --out dataset/tiny\n" in card
    assert capsys.readouterr().out.startswith("Wrote dataset/tiny: 3 users, 3 items, 9 interactions (more in")


def test_users_are_optional():
    Path("raw/yelp_academic_dataset_user.json").unlink()
    assert convert() == 0
    assert not Path("dataset/tiny/tiny.user").exists()
    assert "text_template" not in yaml.safe_load(Path("dataset/tiny/tiny.yaml").read_text())


@pytest.mark.parametrize("kind", ["review", "business"])
def test_a_missing_file_is_named(kind, capsys):
    Path(f"raw/yelp_academic_dataset_{kind}.json").unlink()
    assert refusal(capsys) == (
        f"raw lacks yelp_academic_dataset_{kind}.json; expected are yelp_academic_dataset_review.json, "
        "yelp_academic_dataset_business.json and, if you have it, yelp_academic_dataset_user.json"
    )


def test_no_folder(capsys):
    assert main(["yelp", "yelp_dataset.tar", "--out", "dataset/tiny"]) == 2
    assert "yelp_dataset.tar is not a folder: unpack Yelp's archive" in capsys.readouterr().err


def test_a_file_of_something_else(capsys):
    save("review", BUSINESSES)
    assert refusal(capsys) == (
        "raw/yelp_academic_dataset_review.json holds no reviews of Yelp's: its first record lacks user_id; needed are "
        "user_id, business_id, stars, date"
    )


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"user_id": "ann",', "not JSON"),
        (json.dumps(review("", "x")), "no user_id"),
        (json.dumps(review("u", "x", stars=None)), "no stars"),
        (json.dumps(review("u", "x", stars="5")), "stars is '5', not a number"),
        (json.dumps(review("u", "x", date=None)), "no date"),
        (json.dumps(review("u", "x", date="7 July")), "date is '7 July', not a date"),
        (json.dumps(review("u", "x", date=1531001351)), "date is 1531001351, not a date"),
        (json.dumps(review("u", "x", date="1969-12-31")), "date is '1969-12-31', before 1970"),
        (json.dumps(review("u", "x", text={"a": 1})), "\"{'a': 1}\" is no text"),
    ],
)
def test_a_review_that_cannot_be_used(line, problem, capsys):
    save("review", [*everyone()[:5], line, *everyone()[5:]])
    told = refusal(capsys)
    assert told.startswith(f"raw/yelp_academic_dataset_review.json, line 6: {problem}")
    assert told.endswith(f": {line[:80]!r}; mend the line, or add --skip-bad to leave such out")
    assert convert("--skip-bad") == 0
    assert len(cells("inter")) == 1 + 9


def test_a_zone_is_heeded():
    save("review", everyone(date="2018-07-08T00:09:11+02:00"))
    assert convert() == 0
    assert cells("inter")[1][3] == "1531001351"


@pytest.mark.parametrize(
    ("told", "text"),
    [
        (None, ""),
        ({}, ""),
        ({"GoodForKids": "True", "HasTV": True, "DogsAllowed": "False", "Caters": None}, "good for kids; has tv"),
        ({"RestaurantsPriceRange2": "2", "Alcohol": "u'none'", "WiFi": "'no'"}, "restaurants price range: 2"),
        ({"Alcohol": "u'beer_and_wine'", "NoiseLevel": "average"}, "alcohol: beer and wine; noise level: average"),
        ({"Ambience": "{'romantic': False, 'casual': True, 'classy': True}"}, "ambience: casual, classy"),
        ({"Parking": {"garage": False}, "Music": "{}", "BestNights": "None"}, ""),
        ({"Music": {"dj": "late", "live": True}}, "music: dj late, live"),
        ({"Odd": "{not a literal", "Deep": "{" * 5000}, "odd: {not a literal; deep: " + "{" * 5000),
    ],
)
def test_attributes_by_hand(told, text):
    assert attributes(told) == text


words = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40)


@given(st.dictionaries(words, st.none() | st.booleans() | st.integers() | words | st.dictionaries(words, words)))
def test_any_attributes_are_one_text(told):
    text = attributes(told)
    assert isinstance(text, str)
    if not any(told.values()):
        assert text == ""


@given(st.dictionaries(st.text("abcxyz", min_size=1), st.booleans()))
def test_what_a_business_has_is_told_and_nothing_else(told):
    text = "; ".join(name for name, has in told.items() if has)
    assert attributes(told) == attributes({name: str(has) for name, has in told.items()}) == text


def test_text_comes_out_as_it_is():
    odd = '"quoted\t\r\n\\t NA שלום 🧴 ' + "long " * 6000
    save("review", everyone(text=odd))
    assert convert() == 0
    assert {unescape(row[4]) for row in cells("inter")[1:]} == {odd}
