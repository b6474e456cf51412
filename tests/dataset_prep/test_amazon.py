"""Amazon's files of three releases by hand, and every mistake that can be in them."""

import gzip
import json
import random
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
import yaml
from conversions import body, refused
from raw_files import CORE, ITEMS, everyone, review, review_2023, save

from dataset_prep.__main__ import main

REAL = Path(__file__).parents[3] / "shared" / "data" / "amazon-all-beauty-2018" / "All_Beauty_5.json.gz"
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def convert(*words: str | Path) -> int:
    return main(["amazon", *map(str, words), *CORE, "--out", "dataset/tiny"])


def refusal(capsys, *words: str | Path) -> str:
    return refused(capsys, convert(*words))


def test_2014_with_metadata_in_python(capsys):
    low = review("dan", "x", overall=3.0)
    reviews = save(
        Path("reviews_T_5.json.gz"), [*everyone(), low, review("ann", "x", summary="later", unixReviewTime=1.5e9)]
    )
    products = [
        {"asin": "x", "title": 'It\'s "x"', "categories": [["Beauty", "Hair"], ["Gifts"]], "brand": "B", "price": 1.5},
        {"asin": "q", "title": "never bought"},
        {"asin": "y", "description": "tab\there", "related": {"also_bought": ["x"]}},
        {"asin": "x", "title": "x again"},
    ]
    meta = save(Path("meta_T.json.gz"), products, repr)
    assert convert(reviews, meta) == 0
    assert (
        Path("dataset/tiny/tiny.item")
        .read_text()
        .startswith("item_id:token\ttitle:token_seq\tcategories:token_seq\tbrand:token_seq\tdescription:token_seq\n")
    )
    assert body("item") == [
        ["x", 'It\'s "x"', "Beauty > Hair; Gifts", "B", ""],
        ["y", "", "", "", r"tab\there"],
        ["z", "", "", "", ""],
    ]
    assert len(body("inter")) == 9
    assert body("inter")[0] == ["ann", "x", "5", "1400000000", "ann on x", "x is good"]
    card = Path("dataset/tiny/tiny.card.md").read_text()
    assert "| rating above 3 | 1 | 10 | 3 | 3 |" in card
    assert "| one interaction a pair, the first | 1 | 9 | 3 | 3 |" in card
    assert "| item: title | 3 | 1 | 33.3% | 2 | 2 | 2 | 2 | 2 |" in card
    command = (
        "python -m dataset_prep amazon reviews_T_5.json.gz meta_T.json.gz --min-user 3 --min-item 3 --out dataset/tiny"
    )
    assert f"    {command}\n" in card
    assert yaml.safe_load(Path("dataset/tiny/tiny.yaml").read_text()) == {
        "USER_ID_FIELD": "user_id",
        "ITEM_ID_FIELD": "item_id",
        "TIME_FIELD": "timestamp",
        "load_col": {"inter": ["user_id", "item_id", "rating", "timestamp"], "item": ["item_id"]},
        "text_fields": {"inter": ["summary", "review"], "item": ["title", "categories", "brand", "description"]},
        "text_escaped": True,
        "topk": [1],
        "metrics": ["Recall", "NDCG", "CappedRecall"],
        "valid_metric": "NDCG@1",
        "table_metrics": ["recall@1", "ndcg@1"],
    }
    assert capsys.readouterr().out.startswith("Wrote dataset/tiny: 3 users, 3 items, 9 interactions (more in")


def test_2018_with_lists():
    reviews = save(Path("T_5.json.gz"), everyone())
    product = {
        "asin": "y",
        "title": "Y",
        "category": ["Beauty", "Hair"],
        "description": ["one", "", "two"],
        "feature": ["f"],
    }
    meta = save(Path("meta_T.json.gz"), [product])
    assert convert(reviews, meta, "--item-text", "features,categories,description", "--review-text", "none") == 0
    assert body("item")[0] == ["y", "f", "Beauty > Hair", r"one\ntwo"]
    assert {len(row) for row in body("inter")} == {4}


def test_2023_in_milliseconds_of_parents():
    reviews = save(Path("T.jsonl.gz"), everyone(review_2023))
    product = {"parent_asin": "z", "title": "Z", "store": "S", "categories": [], "description": []}
    meta = save(Path("meta_T.jsonl.gz"), [product])
    assert convert(reviews, meta) == 0
    assert body("inter")[0] == ["ann", "x", "4", "1588687728.923", "ann on x", "x is good"]
    assert body("item") == [["z", "Z", "", "S", ""], *([item, "", "", "", ""] for item in "xy")]
    assert "(UTC)" in Path("dataset/tiny/tiny.card.md").read_text()


def test_plain_files_and_no_metadata():
    Path("reviews.json").write_text("\n".join(map(json.dumps, everyone())) + "\n\n")
    assert convert("reviews.json") == 0
    assert not Path("dataset/tiny/tiny.item").exists()


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"reviewerID": "ann",', "not JSON (Expecting property name enclosed in double quotes)"),
        ("[1, 2]", "not a record, which stands in braces"),
        (json.dumps(review("", "x")), "no reviewerID"),
        (json.dumps({"reviewerID": "u", "overall": 5.0}), "no asin"),
        (json.dumps(review("u", "x", overall="five")), "overall is 'five', not a number"),
        (json.dumps(review("u", "x", overall=float("nan"))), "overall is nan, not a number"),
        (
            json.dumps(review("u", "x", unixReviewTime=-5)),
            "unixReviewTime is -5, not a unix time in seconds or milliseconds",
        ),
        (json.dumps(review("u", "x", reviewText={"a": 1})), "\"{'a': 1}\" is no text"),
        (json.dumps(review("u", "x", reviewText="\ud800")), "half of a surrogate pair, which is no character"),
        ("{'a': __import__('os')}", "neither JSON nor a Python literal"),
        ("[" * 100_000, "nested too deeply"),
        (json.dumps(review("a\tb", "x")), "reviewerID is 'a\\tb', which holds a tab or a line break"),
    ],
)
def test_a_line_that_cannot_be_used(line, problem, capsys):
    records = everyone()
    reviews = save(Path("reviews.json.gz"), [*records[:5], line, *records[5:]])
    assert refusal(capsys, reviews) == (
        f"reviews.json.gz, line 6: {problem}: {line[:80]!r}; mend the line, or add --skip-bad to leave such out"
    )
    assert convert(reviews, "--skip-bad") == 0
    assert len(body("inter")) == 9
    assert "Left out: 1 lines of reviews.json.gz that could not be used." in capsys.readouterr().out
    card = Path("dataset/tiny/tiny.card.md").read_text()
    assert "\n1 lines of reviews.json.gz could not be used and are left out.\n" in card


def test_another_encoding(capsys):
    lines = [json.dumps(record).encode() for record in everyone()]
    Path("reviews.json").write_bytes(
        b"\n".join([*lines[:3], '{"reviewText": "caf\xe9"}'.encode("latin-1"), *lines[3:]])
    )
    assert refusal(capsys, "reviews.json").startswith(
        "reviews.json, line 4: not UTF-8 (invalid continuation byte at byte 19)"
    )


def test_a_file_that_is_cut_off(capsys):
    whole = save(Path("whole.gz"), everyone(reviewText=str(random.Random(1).random()) * 9000)).read_bytes()
    Path("cut.gz").write_bytes(whole[: len(whole) // 2])
    assert refusal(capsys, "cut.gz").startswith("cut.gz is cut off or damaged after line ")
    Path("broken.gz").write_bytes(whole[:-8] + bytes(8))  # the checksum
    assert "broken.gz is cut off or damaged after line" in refusal(capsys, "broken.gz")


def test_the_wrong_file(capsys):
    reviews = save(Path("reviews.gz"), everyone())
    meta = save(Path("meta.gz"), [{"asin": item, "title": item} for item in ITEMS])
    assert refusal(capsys, meta, reviews).startswith(
        "meta.gz holds products, not reviews: REVIEWS comes first, META second"
    )
    assert refusal(capsys, reviews, reviews).startswith("reviews.gz holds reviews, not products: give META")
    parents = save(Path("2023.gz"), [{"parent_asin": "x"}])
    assert "2023.gz is of another release than the reviews" in refusal(capsys, reviews, parents)
    others = save(Path("others.gz"), [{"asin": "other", "title": "of another category"}])
    assert refusal(capsys, reviews, others) == (
        "none of the 3 items that are left is among the 1 that the source describes; "
        "do reviews.gz, others.gz belong together?"
    )
    Path("empty").write_text("")
    assert refusal(capsys, "empty") == "empty holds no record: it is empty, or not a file of JSON lines"
    assert refusal(capsys, "nowhere") == "nowhere is not a file; give the path of one"
    assert refusal(capsys) == "REVIEWS is missing: give the file, or --download NAME; see amazon --help"


def test_nothing_is_left(capsys):
    reviews = save(Path("reviews.gz"), everyone(overall=2.0))
    assert refusal(capsys, reviews).startswith(
        "nothing is left: the filter 'rating above 3' took the last 9 interactions"
    )


def test_a_full_disk_leaves_nothing(tmp_path):
    reviews = save(Path("reviews.json.gz"), everyone(reviewText="no room for this " * 200_000))
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, 4_000_000)); "
        "from dataset_prep.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [
        sys.executable,
        "-c",
        code,
        "amazon",
        str(tmp_path / reviews),
        *CORE,
        "--out",
        str(tmp_path / "dataset/tiny"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(
        f"dataset_prep: the disk of {tmp_path}/dataset/tiny is full ([Errno 27] File too large"
    )
    assert done.stderr.count("\n") == 1
    assert list(Path("dataset").iterdir()) == []


def test_a_folder_that_exists(capsys):
    one, two = save(Path("one.gz"), everyone()), save(Path("two.gz"), everyone(summary="two"))
    assert convert(one) == 0
    capsys.readouterr()
    assert convert(one) == 0
    assert "holds this very dataset already; --overwrite makes it anew" in capsys.readouterr().out
    assert convert(two) == 2
    assert capsys.readouterr().err == (
        "dataset_prep: --out dataset/tiny exists (Made by: python -m dataset_prep amazon one.gz --min-user 3 "
        "--min-item 3 --out dataset/tiny): choose another folder, or add --overwrite to replace it\n"
    )
    assert body("inter")[0][4] == "ann on x"
    assert convert(two, "--overwrite") == 0
    assert body("inter")[0][4] == "two"


def test_a_stop_leaves_nothing(monkeypatch, capsys):
    reviews = save(Path("reviews.gz"), everyone())

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("dataset_prep.filters.apply", stop)
    assert convert(reviews) == 2
    assert capsys.readouterr().err == "dataset_prep: stopped; nothing was written\n"
    assert list(Path("dataset").iterdir()) == []


def test_a_disk_without_room_for_the_database_is_one_line(monkeypatch, capsys):
    reviews = save(Path("reviews.gz"), everyone())

    def full(*_):
        raise duckdb.IOException('Could not write file "ids.duckdb":\nNo space left on device')

    monkeypatch.setattr("dataset_prep.filters.apply", full)
    assert convert(reviews) == 2
    err = capsys.readouterr().err
    assert err.startswith("dataset_prep: the disk of dataset/tiny is full (Could not write file")
    assert err.count("\n") == 1
    assert list(Path("dataset").iterdir()) == []


def test_columns_that_are_missing(capsys):
    whole = everyone()
    for name in ("asin", "overall", "unixReviewTime"):
        lacking = [{key: value for key, value in record.items() if key != name} for record in whole]
        reviews = save(Path(f"without-{name}.gz"), lacking)
        assert refusal(capsys, reviews).startswith(f"without-{name}.gz, line 1: no {name}: ")


def test_nothing_is_left_by_the_core(capsys):
    reviews = save(Path("reviews.gz"), everyone())
    assert main(["amazon", str(reviews), "--out", "dataset/tiny"]) == 2
    assert capsys.readouterr().err == (
        "dataset_prep: nothing is left: the filter 'at least 5 a user, 5 an item, in 1 rounds' took the last 9 "
        "interactions (of 3 users with 3 items); loosen --rating-above, --min-user or --min-item\n"
    )


def test_a_refused_overwrite_keeps_what_is_there(capsys):
    good, bad = save(Path("good.gz"), everyone()), save(Path("bad.gz"), [*everyone(), "no"])
    assert convert(good) == 0
    before = body("inter")
    assert convert(bad, "--overwrite") == 2
    assert body("inter") == before
    assert [path.name for path in Path("dataset").iterdir()] == ["tiny"]


@pytest.mark.parametrize(
    "option",
    [
        "--min-user=-1",
        "--min-item=x",
        "--rating-above=high",
        "--item-text=titel",
        "--item-text=title,title",
        "--min-user=1.5",
    ],
)
def test_a_wrong_option_is_one_line(option, capsys):
    with pytest.raises(SystemExit):
        main(["amazon", "reviews", "--out", "dataset/tiny", option])
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.skipif(not REAL.is_file(), reason="../shared/data/amazon-all-beauty-2018 is not here")
def test_the_real_file():
    assert main(["amazon", str(REAL), "--out", "dataset/tiny"]) == 0
    with gzip.open(REAL) as file:
        raw = [json.loads(line) for line in file]
    first: dict[tuple[str, str], dict] = {}
    for record in raw:
        pair = (record["reviewerID"], record["asin"])
        if record["overall"] > 3 and (pair not in first or record["unixReviewTime"] < first[pair]["unixReviewTime"]):
            first[pair] = record
    left = set(first)
    while True:
        users, items = ([pair[place] for pair in left] for place in (0, 1))
        core = {pair for pair in left if users.count(pair[0]) >= 5 and items.count(pair[1]) >= 5}
        if core == left:
            break
        left = core
    cells = {(row[0], row[1]): row for row in body("inter")}
    assert set(cells) == left
    assert len(left) == 671
    for pair, row in cells.items():
        assert row[4] == first[pair].get("summary", "")
