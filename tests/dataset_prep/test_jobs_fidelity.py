"""What stands in CSV, TSV or JSON lines reaches the documents: ids and texts, compared string by string."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from atomic_files import pairs as pairs_of
from atomic_files import split_up
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from odd import IDS, ODD, distinct, words

from dataset_prep.__main__ import main
from recbole_cllm4rec.config import Config
from recbole_cllm4rec.dataset import TextDataset
from recbole_cllm4rec.registry import resolve

Rows = list[tuple[str, ...]]
OPTIONS = {
    "topk": [2],
    "metrics": ["NDCG"],
    "valid_metric": "NDCG@2",
    "gpu_id": "",
    "text_template": {"user": "<{headline}|{about_me}>", "item": "<{title}|{description}>"},
}


def write_csv(path: Path, header: tuple[str, ...], rows: Rows) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def write_jsonl(path: Path, header: tuple[str, ...], rows: Rows) -> None:
    path.write_text("".join(json.dumps(dict(zip(header, row, strict=True))) + "\n" for row in rows))


WRITERS: dict[str, Callable[[Path, tuple[str, ...], Rows], None]] = {"csv": write_csv, "jsonl": write_jsonl}


def through_everything(folder: Path, suffix: str, members: list[str], jobs: list[str], texts: list[str]) -> None:
    """Convert clicks of a graph that lacks one job a member, and some that go; load, remap, split and compare."""
    write = WRITERS[suffix]
    pairs = [(member, job) for m, member in enumerate(members) for j, job in enumerate(jobs) if m != j]
    clicks = [(*pair, str(n), "click") for n, pair in enumerate(pairs)]
    clicks += [("sparse", jobs[0], "1", "apply"), (members[0], "rare", "2", "save"), (*pairs[3], "3", "dismiss")]
    profiles = [(member, texts[n % len(texts)], texts[-n % len(texts)]) for n, member in enumerate(members)]
    postings = [(job, texts[(n + 5) % len(texts)], texts[(n * 3) % len(texts)]) for n, job in enumerate(jobs)]
    raw = {name: folder / f"{name}.{suffix}" for name in ("clicks", "members", "jobs")}
    write(raw["clicks"], ("member_id", "job_id", "time", "action"), clicks)
    write(raw["members"], ("member_id", "headline", "About me"), profiles)
    write(raw["jobs"], ("job_id", "title", "description"), postings)
    files = [str(raw["clicks"]), "--members", str(raw["members"]), "--jobs", str(raw["jobs"])]
    text = ["--biography", "headline,About me", "--content", "title,description"]
    core = ["--min-user", "4", "--min-item", "4", "--out", str(folder / "toy")]
    assert main(["jobs", *files, *text, *core]) == 0

    entry = resolve("EASE")
    dataset = entry.dataset(Config(entry.model, "toy", (), OPTIONS | {"data_path": str(folder)}, entry.options))
    assert isinstance(dataset, TextDataset)
    assert set(dataset.field2token_id["user_id"]) == {"[PAD]", *members}
    assert set(dataset.field2token_id["item_id"]) == {"[PAD]", *jobs}
    parts = split_up(dataset).parts
    assert sorted(pair for part in parts for pair in pairs_of(part)) == sorted(pairs)
    corpus = parts[0].corpus()
    for field, rows, found in (("user_id", profiles, corpus.user_texts), ("item_id", postings, corpus.item_texts)):
        for raw_id, *cells in rows:
            expected = f"<{'|'.join(cells)}>" if any(map(str.strip, cells)) else ""
            assert found[dataset.field2token_id[field][raw_id]] == expected


@pytest.mark.parametrize("suffix", list(WRITERS))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(members=distinct, jobs=distinct, texts=st.lists(words, min_size=8, max_size=40))
@example(members=IDS[:5], jobs=IDS[5:10], texts=ODD)
@example(members=IDS[10:15], jobs=IDS[13:18], texts=ODD[::-1])
@example(members=IDS[17:22], jobs=IDS[:5], texts=["", " ", "\t", "NA"] * 2)
def test_texts_and_ids_survive(suffix, members, jobs, texts):
    with TemporaryDirectory() as folder:
        through_everything(Path(folder), suffix, members, jobs, texts)
