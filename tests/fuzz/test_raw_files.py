"""Raw files for dataset_prep, and its own command line: packed, cut off, of other columns, of other things."""

import gzip
import io
import json
import zipfile
from pathlib import Path

import duckdb
import numpy as np
import pytest
import raw_files
import scipy.sparse as sp
from fuzzing import cases, ground, judged, prep
from hypothesis import example, given
from hypothesis import strategies as st
from mutations import changed_bytes, changed_table, changed_tree, changed_words

CLICKS = [
    ["member_id", "job_id", "time", "action"],
    *(
        [f"m{m}", f"j{(m + k) % 5}", f"2024-01-{10 + m + k}T08:00", ("apply", "click", "save")[k]]
        for m in range(5)
        for k in range(3)
    ),
]
MEMBERS = [
    ["member_id", "headline", "skills"],
    *([f"m{m}", f"a nurse of ward {m}", "care, night shifts"] for m in range(5)),
]
JOBS = [
    ["job_id", "title", "description"],
    *([f"j{j}", f"nurse {j}", "we look for a nurse, at once"] for j in range(5)),
]
SHEETS = {"clicks": CLICKS, "members": MEMBERS, "jobs": JOBS}
COMMAND = ["jobs", "clicks.csv", "--members", "members.csv", "--jobs", "jobs.csv", "--out", "dataset/work"]
COMMANDS = [
    COMMAND,
    [*COMMAND, "--dry-run"],
    [*COMMAND, "--columns", "member=member_id,job=job_id,time=none", "--content", "title", "--quotes", "csv"],
    [
        *COMMAND,
        "--actions",
        "apply=3,save=2,click=1",
        "--min-weight",
        "2",
        "--min-user",
        "1",
        "--min-item",
        "1",
        "--skip-bad",
    ],
    ["amazon", "reviews.json.gz", "meta.json.gz", "--rating-above", "none", "--out", "dataset/toys"],
    ["movielens", "ml.zip", "--min-user", "1", "--min-item", "1", "--min-taggers", "2", "--out", "dataset/ml"],
    ["yelp", "folder", "--out", "dataset/yelp"],
    ["paper-layout", "paper", "--out", "dataset/paper"],
]
PIECES = [
    *(
        "",
        "-",
        "--",
        "jobs",
        "amazon",
        "movielens",
        "yelp",
        "paper-layout",
        "clicks.csv",
        "members.csv",
        "reviews.json.gz",
    ),
    *(
        "ml.zip",
        "folder",
        "paper",
        "nowhere",
        "dataset",
        "dataset/shop",
        "dataset/a b",
        "--skip-bad",
        "--overwrite",
        "--dry-run",
    ),
    *(
        "--out",
        "--columns",
        "--actions",
        "--min-user",
        "none",
        "0",
        "1",
        "-1",
        "1e9",
        "nan",
        "inf",
        "9" * 30,
        "9" * 5000,
        "٣",
        "²",
    ),
    *(
        "member=x",
        "member=",
        "=",
        "time=none",
        "member=none",
        "members.member=headline",
        "apply=1e400",
        "apply=x",
        "a=1,a=2",
    ),
    *(
        "title",
        "title,title",
        "job_id",
        ",",
        "csv",
        "a" * 300,
        "é",
        "\udcff",
        "\x1b[31m",
        "*",
        "clicks.csv.gz",
        "clicks.parquet",
    ),
]
RATINGS = b"userId,movieId,rating,timestamp\n" + b"".join(
    b"%d,%d,4.5,%d\n" % (u, i, 10**9 + u) for u in range(1, 5) for i in range(1, 5)
)
MOVIES = b"movieId,title,genres\n" + b"".join(b'%d,"Movie, the %d (1999)",Drama|Comedy\n' % (i, i) for i in range(1, 5))
BUSINESS = {
    "business_id": "b",
    "name": "Cafe",
    "city": "X",
    "categories": "Food",
    "attributes": {"WiFi": "u'free'", "A": "{'b': True}"},
}
REVIEW = {"user_id": "u", "business_id": "b", "stars": 5.0, "date": "2020-01-01 10:00:00", "text": "good"}


def _csv(table: list[list[str]]) -> bytes:
    return "".join(",".join(f'"{cell}"' if "," in cell else cell for cell in row) + "\n" for row in table).encode(
        "utf-8", "surrogatepass"
    )


def _zip(**files: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(f"ml/{name}.csv", content)
    return packed.getvalue()


def _npz(part: int) -> bytes:
    packed = io.BytesIO()
    dense = np.array([[(user + item) % 3 == part for item in range(3)] for user in range(3)], dtype=np.float64)
    sp.save_npz(packed, sp.csr_matrix(dense))
    return packed.getvalue()


def _lines(*records: object) -> bytes:
    return "".join(json.dumps(record, default=str) + "\n" for record in records).encode()


def _all_files() -> dict[str, bytes]:
    """Raw files of every source, by path."""
    parquet = Path("clicks.parquet")
    duckdb.sql("COPY (SELECT 'm' AS member_id, 'j' AS job_id, 1.5e9 AS time) TO 'clicks.parquet'")
    pairs = [(user, item, ("train", "val", "test")[(user + item) % 3]) for user in range(3) for item in range(3)]
    inter = [["user_idx", "item_idx", "split", "user", "asin", "position"]]
    inter += [[f"{user}", f"{item}", part, f"u{user}", f"a{item}", f"{item}"] for user, item, part in pairs]
    tables = {
        "interactions": inter,
        "users": [["user_idx", "user"], *([f"{u}", f"u{u}"] for u in range(3))],
        "items": [
            ["item_idx", "asin", "title", "categories"],
            *([f"{i}", f"a{i}", "red lip", "Beauty"] for i in range(3)),
        ],
    }
    return {
        **{f"{name}.csv": _csv(table) for name, table in SHEETS.items()},
        "clicks.csv.gz": gzip.compress(_csv(CLICKS), mtime=0),
        "clicks.jsonl": _lines(*(dict(zip(CLICKS[0], row, strict=True)) for row in CLICKS[1:])),
        "clicks.parquet": parquet.read_bytes(),
        "reviews.json.gz": gzip.compress(_lines(*raw_files.everyone()), mtime=0),
        "meta.json.gz": gzip.compress(_lines(*({"asin": item, "title": item} for item in raw_files.ITEMS)), mtime=0),
        "ml.zip": _zip(ratings=RATINGS, movies=MOVIES),
        "folder/yelp_academic_dataset_review.json": _lines(*[REVIEW] * 3),
        "folder/yelp_academic_dataset_business.json": _lines(BUSINESS),
        **{
            f"paper/{name}.tsv": "".join("\t".join(row) + "\n" for row in table).encode()
            for name, table in tables.items()
        },
        **{f"paper/{part}_matrix.npz": _npz(number) for number, part in enumerate(("train", "val", "test"))},
    }


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Raw files of every source, by path."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("raw"))
        return _all_files()


def _written(files: dict[str, bytes]) -> None:
    for name, content in files.items():
        path = Path(name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)


OF = {  # the command that reads a file
    "clicks.csv": COMMAND,
    "members.csv": COMMAND,
    "jobs.csv": COMMAND,
    "clicks.csv.gz": ["jobs", "clicks.csv.gz", *COMMAND[2:]],
    "clicks.jsonl": ["jobs", "clicks.jsonl", *COMMAND[2:]],
    "clicks.parquet": ["jobs", "clicks.parquet", "--min-user", "0", "--min-item", "0", *COMMAND[6:]],
    "reviews.json.gz": [*COMMANDS[4], "--min-user", "1", "--min-item", "1"],
    "meta.json.gz": [*COMMANDS[4], "--min-user", "1", "--min-item", "1"],
    "ml.zip": COMMANDS[5],
    "folder/yelp_academic_dataset_review.json": [*COMMANDS[6], "--min-user", "1", "--min-item", "1"],
    "folder/yelp_academic_dataset_business.json": [*COMMANDS[6], "--min-user", "1", "--min-item", "1"],
    **dict.fromkeys(
        [
            f"paper/{name}"
            for name in ("interactions.tsv", "users.tsv", "items.tsv", "train_matrix.npz", "test_matrix.npz")
        ],
        COMMANDS[7],
    ),
}


@cases(0.6)
@given(words=changed_words(COMMANDS, PIECES))
@example(words=["jobs", "\udcff.csv", "--out", "dataset/work"])
def test_words_that_are_wrong(words: list[str], raw: dict[str, bytes]) -> None:
    with ground():
        _written(raw)
        judged(words, prep)


@cases()
@given(data=st.data(), name=st.sampled_from(list(OF)))
def test_bytes(data: st.DataObject, name: str, raw: dict[str, bytes]) -> None:
    packed = name.endswith(".gz") and data.draw(st.booleans())
    content = data.draw(changed_bytes(gzip.decompress(raw[name]) if packed else raw[name]))
    with ground():
        _written({**raw, name: gzip.compress(content) if packed else content})
        judged([*OF[name], *(["--skip-bad"] if data.draw(st.booleans()) and "paper" not in name else [])], prep)


@cases(0.6)
@given(data=st.data(), name=st.sampled_from(list(SHEETS)))
def test_tables(data: st.DataObject, name: str, raw: dict[str, bytes]) -> None:
    table = data.draw(changed_table(SHEETS[name], [*CLICKS[0], *MEMBERS[0], *JOBS[0], "id", "date", "", '"title"']))
    with ground():
        _written({**raw, f"{name}.csv": _csv(table)})
        judged(data.draw(st.sampled_from(COMMANDS[:4])), prep)


@cases(0.6)
@given(data=st.data(), make=st.sampled_from(["review", "business", "amazon"]))
def test_records(data: st.DataObject, make: str, raw: dict[str, bytes]) -> None:
    def changed(record: object) -> object:
        return data.draw(changed_tree(record))

    more: dict[str, tuple[str, bytes]] = {
        "review": ("folder/yelp_academic_dataset_review.json", _lines(REVIEW, changed(REVIEW))),
        "business": ("folder/yelp_academic_dataset_business.json", _lines(changed(BUSINESS))),
        "amazon": (
            "reviews.json.gz",
            gzip.compress(_lines(*raw_files.everyone(), changed(raw_files.review("ann", "x")))),
        ),
    }
    name, content = more[make]
    with ground():
        _written({**raw, name: content})
        judged(OF[name], prep)


DEEP = b"[" * 600 + b"]" * 600


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("clicks.jsonl", b'{"member_id": "m", "job_id": "j", "x": %s}\n' % DEEP),
        ("folder/yelp_academic_dataset_review.json", _lines(REVIEW).replace(b'"good"', DEEP)),
        ("folder/yelp_academic_dataset_review.json", _lines(REVIEW).replace(b"5.0", b"9" * 400)),
        ("folder/yelp_academic_dataset_business.json", _lines(BUSINESS).replace(b'"Cafe"', DEEP)),
        ("reviews.json.gz", gzip.compress(_lines(*raw_files.everyone()))[:-10]),
        (
            "ml.zip",
            _zip(ratings=RATINGS, movies=MOVIES).replace(
                b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00"
            ),
        ),
        ("clicks.parquet", b"PAR1 and no more"),
    ],
)
def test_files_that_were_wrong(name: str, content: bytes, raw: dict[str, bytes]) -> None:
    with ground():
        _written({**raw, name: content})
        assert judged(OF[name], prep).status == 2
