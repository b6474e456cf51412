"""A comparison as files: all of it, of one split, or refused in one line."""

import csv
import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from runs import SPLIT, failed, result, row, write

from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.report import comparison
from recbole_cllm4rec.report.comparison import compare, write_comparison
from recbole_cllm4rec.report.rows import Row, read_rows

COMMAND = "python run_recbole.py --models=EASE,Pop --dataset=toy"
NAMES = [f"comparison.{suffix}" for suffix in ("csv", "md", "tex", "png", "svg", "json")]
EASE = row("EASE", {"x@1": [0.5, 0.25, 1.0]}, {"x@1": [0.5, 0.5, 1.0]})
POP = row("Pop", {"x@1": [0.0, 0.25, 0.0]})


@pytest.fixture
def _blank_charts(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests in which charts would only take time."""
    monkeypatch.setattr(comparison, "comparison_chart", lambda table: {".png": b"", ".svg": b""})


def written(folder: Path, *rows: Row, dataset: str = "toy") -> list[Path]:
    return write_comparison(folder, compare(rows or (EASE, POP), "EASE", ["x@1"], dataset, COMMAND))


def head_of(*rows: Row, dataset: str = "toy") -> dict[str, Any]:
    return compare(rows, "EASE", ["x@1"], dataset, COMMAND).head


# Files


def test_what_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "results" / "toy"
    paths = written(folder)
    assert paths == [folder / name for name in NAMES]
    assert sorted(folder.iterdir()) == sorted(paths)
    found = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))
    assert [line["name"] for line in found["rows"]] == ["EASE", "Pop"]
    assert len(list(csv.DictReader((folder / "comparison.csv").open(encoding="utf-8")))) == 2
    for name in ("comparison.md", "comparison.tex"):
        text = (folder / name).read_text(encoding="utf-8")
        assert all(part in text for part in (COMMAND, "EASE", "Pop", *SPLIT.values()))


def test_equal_comparisons_are_equal_bytes(tmp_path: Path) -> None:
    first, second = (written(tmp_path / name) for name in ("a", "b"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


@pytest.mark.usefixtures("_blank_charts")
def test_from_the_files_of_runs(tmp_path: Path) -> None:
    ease = write(tmp_path, result("EASE"), ["a", "b", "c"], {"x@1": [0.5, 0.25, 1.0]})
    pop = write(tmp_path, result("Pop"), ["c", "a", "b"], {"x@1": [0.0, 0.5, 0.0]})  # the differences are 0, -¼, -1
    written(tmp_path, *read_rows({"EASE": [ease], "Pop": [pop]}))
    found = json.loads((tmp_path / "comparison.json").read_text(encoding="utf-8"))
    effect = found["rows"][1]["cells"]["x@1"]["effect"]
    assert effect["mean"] == pytest.approx(-1.25 / 3)
    assert effect["d_z"] == pytest.approx((-1.25 / 3) / (0.8125 / 3) ** 0.5)  # Σ(d - mean)² is 1.0625 - 1.5625/3


@pytest.mark.usefixtures("_blank_charts")
def test_a_constant_difference_is_legal_json(tmp_path: Path) -> None:
    written(tmp_path, EASE, row("Pop", {"x@1": [0.25, 0.125, 0.75]}))
    found = json.loads((tmp_path / "comparison.json").read_text(encoding="utf-8"))
    assert found["rows"][1]["cells"]["x@1"]["effect"]["d_z"] is None


@pytest.mark.usefixtures("_blank_charts")
def test_a_later_comparison_on_the_split_takes_the_place(tmp_path: Path) -> None:
    written(tmp_path)
    written(tmp_path, EASE, row("BPR", {"x@1": [0.0, 0.25, 0.0]}), failed("Pop"))
    assert "BPR" in (tmp_path / "comparison.md").read_text(encoding="utf-8")
    assert {path.name for path in tmp_path.iterdir()} == set(NAMES)


@pytest.mark.usefixtures("_blank_charts")
@pytest.mark.parametrize(
    ("more", "key"),
    [
        ({"split": {**SPLIT, "valid": "2:zz"}}, "valid part is '2:bb', not '2:zz'"),
        ({"history_mask": "train+valid"}, r"history_mask is 'train', not 'train\+valid'"),
        (
            {"config": {**result()["config"], "history_read": "train+valid"}},
            r"history_read is 'train', not 'train\+valid'",
        ),
    ],
)
def test_a_comparison_on_another_split_is_kept(tmp_path: Path, more: dict[str, Any], key: str) -> None:
    before = {path: path.read_bytes() for path in written(tmp_path)}
    message = rf"comparison\.json is of another test, its {key}: move it, or choose another result_dir$"
    with pytest.raises(UserError, match=message):
        written(tmp_path, row("EASE", {"x@1": [0.5, 0.25, 1.0]}, **more))
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"head": {"split": "8:aa"}}', '{"head": {"split": {}}}'])
@pytest.mark.usefixtures("_blank_charts")
def test_what_cannot_be_told_is_kept(tmp_path: Path, content: str) -> None:
    (tmp_path / "comparison.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=r"comparison\.json is no comparison that can be read: move it, or choose"):
        written(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["comparison.json"]


@pytest.mark.usefixtures("_blank_charts")
def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path: path.read_bytes() for path in written(tmp_path)}

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"comparison: No space left on device; set result_dir to a folder with room$"):
        written(tmp_path, EASE)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


# The head


def test_what_models_read_stands_in_the_head_where_it_is_more_than_training() -> None:
    asked = {"config": {**result()["config"], "history_read": "train+valid"}}
    reads, pop = row("EASE", {"x@1": [0, 1]}, history_read="train+valid", **asked), row("Pop", {"x@1": [0, 1]}, **asked)
    head = head_of(reads, pop)
    assert (head["history_read"], head["read_training_alone"]) == ("train+valid", ["Pop"])
    assert "read_training_alone" not in head_of(reads)


def test_the_head() -> None:
    assert head_of(EASE, POP, failed("BPR")) == {
        "dataset": "toy",
        "split": SPLIT,
        "history_mask": "train",
        "ranked_at_test": "full",
        "users": 3,
        "reference": "EASE",
        "seeds": [1, 2],
        "commit": ["abc"],
        "versions": {"recbole": ["1.2.1"], "torch": ["2.13.0"], "numpy": ["2.4.6"]},
        "device": ["cpu"],
        "command": COMMAND,
    }


def test_the_head_names_every_commit_version_and_device() -> None:
    other = row(
        "Pop",
        {"x@1": [0.5, 0.25]},
        commit={"hash": "def", "dirty": True},
        versions={"recbole": "1.2.1", "torch": "2.6", "numpy": "2.4.6"},
        device="cuda",
    )
    head = head_of(row("EASE", {"x@1": [0.5, 0.25]}), other, row("BPR", {"x@1": [0, 1]}, commit=None))
    assert head["commit"] == ["abc", "def with uncommitted changes", "an installed copy"]
    assert head["versions"]["torch"] == ["2.13.0", "2.6"]
    assert head["device"] == ["cpu", "cuda"]


# Published rows


def test_published_rows() -> None:
    rows = [row("EASE", {"ndcg@100": [0.5, 0.25]}), row("Pop", {"ndcg@100": [0.5, 0]})]
    table = compare(rows, "EASE", ["ndcg@100"], "amazon-beauty", COMMAND)
    labels = [line.label for line in table.lines]
    assert labels[:3] == ["EASE", "EASE (paper)", "Pop"]
    assert "CLLM4Rec (paper)" in labels
    assert table.notes[-1].endswith("these are other runs")
    assert table.lines[1].cells["ndcg@100"].mean == 0.0904


def test_no_paper_has_the_dataset() -> None:
    assert not any(line.published for line in compare([EASE, POP], "EASE", ["x@1"], "toy", COMMAND).lines)


# What is refused


@pytest.mark.parametrize(
    ("rows", "reference", "metrics", "message"),
    [
        ([EASE, POP], "Ease", ["x@1"], r"^no row is called 'Ease'; did you mean 'EASE'\?; the rows: EASE, Pop$"),
        ([EASE, POP, EASE], "Pop", ["x@1"], "^two rows are called 'EASE': give one of the runs another run_name$"),
        ([EASE, POP], "EASE", [], "^table_metrics is empty: "),
        ([EASE, POP], "EASE", ["x@2"], r"^EASE \(seed 1\) has no x@2; did you mean 'x@1'\?; it has x@1: set table_met"),
        ([failed("EASE"), failed("Pop")], "EASE", [], "^no row has figures; EASE: out of memory$"),
        ([EASE, row("Pop", {"x@1": [0, 1]}, history_mask="t")], "EASE", ["x@1"], "cannot stand in one table: history"),
        ([row("EASE", {"x@1": [0.5]})], "EASE", ["x@1"], r"^the test part has 1 user\(s\)"),
    ],
)
def test_refusals(rows: list[Row], reference: str, metrics: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message) as refusal:
        compare(rows, reference, metrics, "toy", COMMAND)
    assert "\n" not in str(refusal.value)
