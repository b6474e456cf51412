"""Rows from files: in one order of users, on one split, or refused in one line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import failed, result, row, write

from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.report.rows import common_split, higher_is_better, kept, read_result, read_rows, read_users

USERS = ["b", "ü", "a"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path, result(), USERS, {"ndcg@2": [1, 0.5, 0], "recall@2": [1, 1, 0]})


def edit(path: Path, key: str, value: Any) -> None:
    """Give a result file another value at a dotted key, or take the key out if the value is None."""
    content = json.loads(path.read_text(encoding="utf-8"))
    *parents, last = key.split(".")
    at = content
    for parent in parents:
        at = at[parent]
    at[last] = value
    if value is None:
        del at[last]
    path.write_text(json.dumps(content), encoding="utf-8")


# Rows


def test_seeds_become_one_row_whatever_the_order_of_their_users(tmp_path: Path) -> None:
    first = write(tmp_path, result(seed=1), ["b", "ü", "a"], {"ndcg@2": [1, 0.5, 0]})
    second = write(tmp_path, result(seed=2), ["a", "b", "ü"], {"ndcg@2": [0.5, 1, 0]})
    (found,) = read_rows({"EASE": [first, second]})
    assert found.name == "EASE"
    assert [run["seed"] for run in found.results] == [1, 2]
    assert found.error is None
    assert found.per_user["ndcg@2"].tolist() == [0.25, 1.0, 0.25]  # of a, b, ü


def test_rows_keep_the_order_asked_for_and_share_that_of_users(tmp_path: Path) -> None:
    pop = write(tmp_path, result("Pop"), ["ü", "b", "a"], {"ndcg@2": [0.25, 0, 0.5]})
    ease = write(tmp_path, result("EASE"), USERS, {"ndcg@2": [1, 0.5, 0]})
    rows = read_rows({"Pop": [pop], "EASE": [ease]})
    assert [found.name for found in rows] == ["Pop", "EASE"]
    assert rows[0].per_user["ndcg@2"].tolist() == [0.5, 0.0, 0.25]
    assert rows[1].per_user["ndcg@2"].tolist() == [0.0, 1.0, 0.5]


def test_a_metric_that_one_seed_lacks_is_none_of_the_row(tmp_path: Path) -> None:
    first = write(tmp_path, result(seed=1), USERS, {"ndcg@2": [1, 0.5, 0], "recall@2": [1, 1, 0]})
    second = write(tmp_path, result(seed=2), USERS, {"ndcg@2": [1, 0.5, 0]})
    assert list(read_rows({"EASE": [first, second]})[0].per_user) == ["ndcg@2"]


def test_no_runs_are_no_rows() -> None:
    assert read_rows({}) == []


@given(order=st.permutations(range(5)))
def test_the_order_in_a_file_is_of_no_consequence(order: list[int], tmp_path_factory: pytest.TempPathFactory) -> None:
    users, figures = [f"u{k}" for k in order], [k / 8 for k in order]
    path = write(tmp_path_factory.mktemp("run"), result(), users, {"ndcg@2": figures})
    assert read_rows({"EASE": [path]})[0].per_user["ndcg@2"].tolist() == [0, 0.125, 0.25, 0.375, 0.5]


@pytest.mark.parametrize("users", [["b", "ü", "c"], ["b", "ü"]])
def test_other_users(path: Path, users: list[str], tmp_path: Path) -> None:
    other = write(tmp_path, result("Pop"), users, {"ndcg@2": [0.5] * len(users)})
    with pytest.raises(UserError, match=rf"EASE-1.json and .*Pop-1.json .* different users, 3 and {len(users)}, .*'a'"):
        read_rows({"EASE": [path], "Pop": [other]})


# Result files


def test_a_result(path: Path) -> None:
    assert read_result(path) == {**result(), "test": {"ndcg@2": 0.5, "recall@2": 0.666667}}


def test_a_result_of_an_installed_copy(path: Path) -> None:
    content = {**json.loads(path.read_text(encoding="utf-8")), "commit": None}
    path.write_text(json.dumps(content), encoding="utf-8")
    assert read_result(path)["commit"] is None


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"EASE-1.json cannot be read: No such file or directory$"):
        read_result(tmp_path / "EASE-1.json")


@pytest.mark.parametrize("content", [b"", b'{"run": "EA', b"\xff\xfe"])
def test_a_corrupt_file(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"EASE-1.json is no JSON: [^\n]*; delete it and repeat the run$"):
        read_result(path)


@pytest.mark.parametrize("content", ["[]", "null", "3", "{}"])
def test_json_of_another_kind(path: Path, content: str) -> None:
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=r"EASE-1.json has no run; delete it"):
        read_result(path)


@pytest.mark.parametrize(
    "key", ["seed", "split.train", "parameters.trained", "seconds.scoring", "config.eval_args.mode.test", "commit"]
)
def test_a_missing_key(path: Path, key: str) -> None:
    edit(path, key, None)
    with pytest.raises(UserError, match=f"EASE-1.json has no {key}; delete it and repeat the run$"):
        read_result(path)


@pytest.mark.parametrize(("key", "value"), [("seed", "1"), ("test", 0.5), ("seconds.training", "long")])
def test_a_value_of_another_kind(path: Path, key: str, value: Any) -> None:
    edit(path, key, value)
    with pytest.raises(UserError, match=f"EASE-1.json: {key} cannot be {value!r}"):
        read_result(path)


# Figures of users


def test_users(path: Path) -> None:
    users = read_users(path, read_result(path))
    assert users.ids.tolist() == ["a", "b", "ü"]
    assert {name: values.tolist() for name, values in users.figures.items()} == {
        "ndcg@2": [0.0, 1.0, 0.5],
        "recall@2": [0.0, 1.0, 1.0],
    }
    assert users.figures["ndcg@2"].dtype == np.float64


def test_no_figures_of_users(path: Path) -> None:
    path.with_suffix(".users.npz").unlink()
    with pytest.raises(UserError, match=r"EASE-1.users.npz is missing: repeat the run"):
        read_users(path, read_result(path))


@pytest.mark.parametrize(
    "arrays",
    [
        {"ndcg@2": np.array([1.0])},
        {"users": np.array(["a", "b"]), "ndcg@2": np.array([0.5])},
        {"users": np.array([{"a": 1}], dtype=object), "ndcg@2": np.array([0.5])},
        {"users": np.array(["a"]), "ndcg@2": np.array(["high"])},
    ],
)
def test_arrays_that_are_no_figures(path: Path, arrays: dict[str, Any]) -> None:
    np.savez(path.with_suffix(".users.npz"), **arrays)
    with pytest.raises(UserError, match=r"EASE-1.users.npz cannot be read: [^\n]+; repeat the run$"):
        read_users(path, read_result(path))


def test_corrupt_figures_of_users(path: Path) -> None:
    file = path.with_suffix(".users.npz")
    content = file.read_bytes()
    array = b"\x93NUMPY\x01\x00"
    middle = len(content) // 3
    scrambled = content[:middle] + bytes(255 - byte for byte in content[middle : middle + 40]) + content[middle + 40 :]
    for damaged in (b"", b"PK", content[: len(content) // 2], scrambled, array):
        file.write_bytes(damaged)
        with pytest.raises(UserError, match=r"EASE-1.users.npz cannot be read: [^\n]+; repeat the run$"):
            read_users(path, read_result(path))
    with file.open("wb") as one:
        np.save(one, np.zeros(3))
    with pytest.raises(UserError, match="cannot be read"):
        read_users(path, read_result(path))


@pytest.mark.parametrize("ndcg", [[1, 0.5, 0.01], [1, 0.5, np.nan]])
def test_figures_of_another_run(path: Path, ndcg: list[float]) -> None:
    np.savez(path.with_suffix(".users.npz"), users=np.array(USERS), **{"ndcg@2": np.array(ndcg)})
    with pytest.raises(UserError, match=r"EASE-1.users.npz: ndcg@2 is (0.503333|nan) on average, but 0.5 in EASE-1"):
        read_users(path, read_result(path))


def test_figures_of_a_metric_that_was_not_tested(path: Path) -> None:
    edit(path, "test.recall@2", None)
    with pytest.raises(UserError, match=r"recall@2 is 0.666667 on average, but nan in EASE-1.json"):
        read_users(path, read_result(path))


# Splits

MODE = {**result()["config"], "eval_args": {"mode": {"test": "uni100"}}}
READING = {**result()["config"], "history_read": "train+valid"}


def test_a_split_that_is_shared() -> None:
    figures = {"ndcg@2": [0.5, 1.0]}
    assert common_split([row("EASE", figures, figures), failed("BPR"), row("Pop", figures)]) == {
        "split.train": "8:aa",
        "split.valid": "2:bb",
        "split.test": "2:cc",
        "history_mask": "train",
        "config.history_read": "train",
        "config.eval_args.mode.test": "full",
    }


def test_other_numbers_of_items() -> None:
    """Runs of before do not say how many they ranked."""
    rows = [row("Pop", {"ndcg@2": [0.5, 1]}), row("EASE", {"ndcg@2": [0.5, 1]}, items=5)]
    assert common_split(rows)["items"] == 5
    with pytest.raises(UserError, match=r"^EASE \(seed 1\) and BPR \(seed 1\) cannot stand .* items is 5 .* 6 in the"):
        common_split([*rows, row("BPR", {"ndcg@2": [0.5, 1]}, items=6)])


def test_nothing_shares_no_split() -> None:
    assert common_split([]) == common_split([failed("BPR")]) == {}


@pytest.mark.parametrize(
    ("key", "more", "value"),
    [
        ("split.train", {"split": {"train": "8:ab", "valid": "2:bb", "test": "2:cc"}}, "8:ab"),
        ("split.valid", {"split": {"train": "8:aa", "valid": "3:bb", "test": "2:cc"}}, "3:bb"),
        ("split.test", {"split": {"train": "8:aa", "valid": "2:bb", "test": "2:cd"}}, "2:cd"),
        ("history_mask", {"history_mask": "train+valid"}, r"train\+valid"),
        ("config.history_read", {"config": READING}, r"train\+valid"),
        ("config.eval_args.mode.test", {"config": MODE}, "uni100"),
    ],
)
def test_splits_that_differ(key: str, more: dict[str, Any], value: str) -> None:
    rows = [row("EASE", {"ndcg@2": [0.5, 1]}), row("Pop", {"ndcg@2": [0.5, 1]}, **more)]
    message = (
        rf"^EASE \(seed 1\) and Pop \(seed 1\) cannot stand in one table: {key} is '[^']+' .* '{value}' in the sec"
    )
    with pytest.raises(UserError, match=message):
        common_split(rows)


def test_rows_of_files_on_different_splits(path: Path, tmp_path: Path) -> None:
    other = write(tmp_path, result("Pop", history_mask="train+valid"), ["x", "y"], {"ndcg@2": [0, 1]})
    with pytest.raises(UserError, match="history_mask is 'train' in the first"):
        read_rows({"EASE": [path], "Pop": [other]})


# Metrics


@pytest.mark.parametrize(
    ("metric", "higher"),
    [("ndcg@100", True), ("cappedrecall@20", True), ("paperscore", True), ("giniindex@20", False), ("rmse", False)],
)
def test_which_way_is_better(metric: str, higher: bool) -> None:
    assert higher_is_better(metric) is higher


def curve(*scores: float | None) -> list[dict[str, Any]]:
    return [
        {"stage": "training", "epoch": epoch} | ({} if score is None else {"valid score": score})
        for epoch, score in enumerate(scores)
    ]


@pytest.mark.parametrize(
    ("metric", "scores", "epoch"),
    [
        ("NDCG@2", (0.1, 0.3, 0.2), 1),
        ("NDCG@2", (0.3, None, 0.3, 0.2), 2),
        ("RMSE", (0.9, 0.7, 0.7, 0.8), 2),
    ],
)
def test_the_epoch_that_validation_chose(metric: str, scores: tuple[float | None, ...], epoch: int) -> None:
    record = kept({"history": curve(*scores), "config": {"valid_metric": metric}})
    assert record is not None
    assert record["epoch"] == epoch


def test_no_validation_chose_no_epoch() -> None:
    assert kept({"history": curve(None, None), "config": {"valid_metric": "NDCG@2"}}) is None
