"""Columns as RecBole has them, but for ids and times that it would lose; and data that is wrong or not there."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from atomic_files import BY_TIME, INTER, PRESPLIT, START, TIMED, atomic, load, pairs, refusal
from recbole.data.dataset import Dataset

from recbole_cllm4rec.config import Config
from recbole_cllm4rec.dataset import TextDataset
from recbole_cllm4rec.errors import UserError


def tensors(dataset: Dataset) -> dict[str, dict[str, list[Any]]]:
    """All that RecBole computes with, by file and column."""
    dataset._change_feat_format()
    names = (name for name in ("inter_feat", "user_feat", "item_feat") if getattr(dataset, name) is not None)
    return {name: {k: v.tolist() for k, v in getattr(dataset, name).interaction.items()} for name in names}


def test_columns_of_every_type_are_as_in_recbole(tmp_path: Path) -> None:
    inter = atomic("user_id:token item_id:token rating:float", "u1 007 4.5", "u2 i2 1e-1", "u1 i2 -3", "u2 7 0")
    rows = [["007", "red lip", "", "0.5 1", "x"], ["i2", "", "2.5", "", "y"], ["7", "lip  red stick", "nan", "3", ""]]
    item = atomic("item_id:token title:token_seq price:float vector:float_seq shop:token", *rows)
    columns = ["item_id", "title", "price", "vector", "shop"]
    load_col = {"inter": ["user_id", "item_id", "rating"], "item": columns}
    for options in ({}, {"seq_len": {"title": 2, "vector": 1}}, {"normalize_all": True}):
        ours = load(tmp_path, {"inter": inter, "item": item}, load_col=load_col, **options)
        stock = Dataset(ours.config)
        assert ours.field2type == stock.field2type
        assert ours.field2seqlen == stock.field2seqlen
        assert ours.field2bucketnum == stock.field2bucketnum
        assert tensors(ours) == tensors(stock)
    items = tensors(load(tmp_path, {}, load_col=load_col))["item_feat"]
    assert items["title"] == [[0, 0, 0], [1, 2, 0], [0, 0, 0], [2, 1, 3]]
    assert items["price"] == [2.5] * 4  # missing values are the mean


def test_movielens_is_as_in_recbole() -> None:
    columns = {
        "inter": ["user_id", "item_id", "rating", "timestamp"],
        "user": ["user_id", "age", "gender", "occupation", "zip_code"],
        "item": ["item_id", "movie_title", "release_year", "class"],
    }
    config = Config("BPR", "ml-100k", (), {"gpu_id": "", "load_col": columns, "threshold": {"rating": 4}})
    ours, stock = TextDataset(config), Dataset(config)
    pd.testing.assert_frame_equal(ours.inter_feat, stock.inter_feat)
    ranks = stock.inter_feat["timestamp"].rank(method="dense")
    ours_read, stock_read = tensors(ours), tensors(stock)
    assert ours_read["inter_feat"].pop("timestamp") == ranks.tolist()
    assert stock_read["inter_feat"].pop("timestamp")
    assert ours_read == stock_read


@pytest.mark.parametrize(
    ("suffix", "row", "problem"),
    [
        ("inter", ["", "i1", "1"], "line 4: the user_id is empty; every row needs one"),
        ("inter", ["u1", "", "1"], "line 4: the item_id is empty; every row needs one"),
        ("inter", ["u1", "i1", "four"], "line 4: rating is 'four', not a number"),
        ("inter", ["u1", "i1", "NA"], "line 4: rating is 'NA', not a number"),
        ("inter", ["u1", "i1", "1_0"], "line 4: rating is '1_0', not a number"),
        ("item", ["", "1 2"], "line 4: the item_id is empty; every row needs one"),
        ("item", ["i9", "1 2,5"], "line 4: vector is '2,5', not a number"),
    ],
)
def test_wrong_cells_are_named_with_their_line(suffix: str, row: list[str], problem: str, tmp_path: Path) -> None:
    rows = {
        "inter": [["user_id:token", "item_id:token", "rating:float"], ["u1", "i1", "1e3"], ["u2", "i2", ""]],
        "item": [["item_id:token", "vector:float_seq"], ["i1", "1 2"], ["i2", ""]],
    }
    rows[suffix].append(row)
    files = {name: "".join("\t".join(cells) + "\n" for cells in table) for name, table in rows.items()}
    columns = {"inter": ["user_id", "item_id", "rating"], "item": ["item_id", "vector"]}
    assert refusal(load, tmp_path, files, load_col=columns) == f"{tmp_path}/toy/toy.{suffix}, {problem}"


def test_na_is_an_id(tmp_path: Path) -> None:
    rows = ["NA i1", "NA null", "u1 null", "u1 i2", "u2 i2"]
    files = {
        "inter": atomic("user_id:token item_id:token", *rows),
        "item": atomic("item_id:token title:token", "null nothing", "i1 one", "i2 two"),
        "user": atomic("user_id:token bio:token", "NA Namibia", "u1 first", "u2 second"),
    }
    dataset = load(tmp_path, files, text_fields={"item": ["title"], "user": ["bio"]})
    stock = Dataset(dataset.config)
    assert sorted(dataset.field2token_id["user_id"]) == ["NA", "[PAD]", "u1", "u2"]
    assert sorted(dataset.field2token_id["item_id"]) == ["[PAD]", "i1", "i2", "null"]
    assert (dataset.inter_num, stock.inter_num) == (5, 2)  # RecBole's own reader drops three of the five
    parts = dataset.build()
    assert sorted(" ".join(pair) for part in parts for pair in pairs(part)) == sorted(rows)
    corpus = parts[0].corpus()
    assert corpus.item_texts[dataset.token2id("item_id", "null")] == "nothing."
    assert corpus.user_texts[dataset.token2id("user_id", "NA")] == "Namibia."


def test_interactions_that_go_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = {
        "inter": atomic("user_id:token item_id:token", "u1 a", "u1 b", "u2 c"),
        "item": atomic("item_id:token", "a"),
    }
    columns = {"load_col": {"inter": ["user_id", "item_id"], "item": ["item_id"]}}
    load(tmp_path, files, **columns)
    assert "2 of 3 interactions go, as their user or item has no row of its own" in caplog.text
    caplog.clear()
    load(tmp_path, {}, **columns, filter_inter_by_user_or_item=False)
    assert "interactions go" not in caplog.text


def test_ids_that_look_like_numbers_stay_apart(tmp_path: Path) -> None:
    rows = ["007 1", "7 01", "7.0 1.0", "2024-01-31 1", "1e3 01", "1000 1.0"]
    dataset = load(tmp_path, {"inter": atomic("user_id:token item_id:token", *rows)})
    assert list(dataset.field2id_token["user_id"]) == ["[PAD]", "007", "7", "7.0", "2024-01-31", "1e3", "1000"]
    assert list(dataset.field2id_token["item_id"]) == ["[PAD]", "1", "01", "1.0"]


def test_times_a_second_apart_keep_their_order(tmp_path: Path) -> None:
    order = [4, 2, 0, 3, 1]
    rows = [f"u1 i{k} {START + k}" for k in order] + [f"u2 {item} {START}" for item in ("i0", "i5")]
    files = {"inter": atomic("user_id:token item_id:token timestamp:float", *rows)}
    ours = load(tmp_path, files, **BY_TIME, **{"eval_args.split": {"LS": "valid_and_test"}})
    stock = Dataset(ours.config)
    parts, stock_parts = (
        [[item for user, item in pairs(part) if user == "u1"] for part in dataset.build()] for dataset in (ours, stock)
    )
    assert parts == [["i0", "i1", "i2"], ["i3"], ["i4"]]
    assert stock_parts == [["i4", "i2", "i0"], ["i3"], ["i1"]]  # as in the file: in float32 all times are one
    assert ours.inter_feat["timestamp"].unique().tolist() == [1, 2, 3, 4, 5]
    assert len(stock.inter_feat["timestamp"].unique()) == 1


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        (
            {"item": atomic("item_id:token", "i1")},
            {},
            "{folder} has no file toy.inter: files have the name of their folder; it has toy.item",
        ),
        (
            {"train.inter": INTER},
            PRESPLIT,
            "{folder} has no file toy.valid.inter: files have the name of their folder; it has toy.train.inter; did "
            "you mean 'toy.train.inter'?",
        ),
        (
            {"inter": INTER},
            {"benchmark_filename": ["train", "test"]},
            "benchmark_filename takes three names, of training, validation and test, not ['train', 'test']",
        ),
        (
            {"inter": atomic("user:token item_id:token", "u1 i1")},
            {},
            "{toy}.inter: 'user_id' (USER_ID_FIELD) has to be a column, and among those of load_col; the file has "
            "user:token, item_id:token",
        ),
        (
            {"inter": INTER},
            {"load_col": {"inter": ["user_id"]}},
            "{toy}.inter: 'item_id' (ITEM_ID_FIELD) has to be a column, and among those of load_col; the file has "
            "user_id:token, item_id:token",
        ),
        (
            {"inter": INTER},
            {"user_inter_num_interval": "[2,inf)"},
            "dataset 'toy': filters leave no row of inter: loosen user_inter_num_interval, item_inter_num_interval or "
            "val_interval; interactions whose user or item has no row of its own go too, unless "
            "filter_inter_by_user_or_item is False",
        ),
        (
            {"inter": INTER},
            {"val_interval": {"rating": "[2,3]"}},
            "val_interval names the column 'rating', which is not loaded: add it to load_col; loaded are user_id, "
            "item_id",
        ),
        (
            {"inter": INTER},
            {"val_interval": {"item_id": [False, "i1"]}},
            "val_interval.item_id has False, which is no text: write it in quotes, as YAML reads NO as false and 1 as "
            "a number",
        ),
    ],
)
def test_data_that_is_not_there(files: dict[str, str], options: dict[str, Any], message: str, tmp_path: Path) -> None:
    folder = tmp_path / "toy"
    assert refusal(load, tmp_path, files, **options) == message.format(folder=folder, toy=folder / "toy")


def test_an_order_needs_times(tmp_path: Path) -> None:
    assert refusal(load(tmp_path, {"inter": INTER}, **{"eval_args.order": "TO"}).build) == (
        "dataset 'toy': 'timestamp' (TIME_FIELD) is not among the columns that load_col loads, but this model or "
        "eval_args needs it"
    )


class TestPairsInTwoParts:
    """What is held out of them would be trained on."""

    ROWS = tuple(f"u{u} i{(u + k) % 7} {10 * k + time}" for u in range(5) for k in range(4) for time in (0, 1))

    @pytest.mark.parametrize("model", ["EASE", "SASRec"])
    @pytest.mark.parametrize("order", [{}, {"eval_args.order": "TO", "eval_args.split": {"LS": "valid_and_test"}}])
    def test_they_are_refused(self, model: str, order: dict[str, Any], tmp_path: Path) -> None:
        files = {"inter": atomic("user_id:token item_id:token timestamp:float", *self.ROWS)}
        dataset = load(tmp_path, files, model, **TIMED, **order)
        with pytest.raises(UserError, match=r"'toy': \d+ pairs are in two parts of the split, .* --rm_dup_inter=first"):
            dataset.build()
        for remedy in ({"rm_dup_inter": "first"}, {"repeatable": True}):
            assert load(tmp_path, files, model, **TIMED, **order, **remedy).build()

    def test_those_of_files_split_beforehand_are_told(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        header = "user_id:token item_id:token"
        files = {"train.inter": atomic(header, "u1 a", "u2 b"), "valid.inter": atomic(header, "u1 b")}
        files |= {"test.inter": atomic(header, "u1 c", "u2 b")}
        assert load(tmp_path, files, **PRESPLIT).build()
        assert "1 pairs are in two parts of the split, for instance user u2 with item b: what is held" in caplog.text


@pytest.mark.parametrize("time", ["", "nan"])
def test_a_time_that_is_missing(time: str, tmp_path: Path) -> None:
    files = {"inter": atomic("user_id:token item_id:token timestamp:float", ["u1", "i1", "5"], ["u2", "i2", time])}
    message = refusal(lambda: load(tmp_path, files, **TIMED))
    assert message.endswith("line 3: the timestamp is empty; every row needs one, or leave it out of load_col")
