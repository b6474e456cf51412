"""Columns as RecBole has them, and the text of users, items and pairs: found by id, and never a held-out pair's."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from atomic_files import BY_TIME, PRESPLIT, TIMED, atomic, load, pairs, refusal, split_up
from recbole.data.dataset import Dataset
from recbole.utils import FeatureType

from recbole_cllm4rec.config import Config
from recbole_cllm4rec.corpus.text import Review
from recbole_cllm4rec.dataset import TextDataset, compose

# Columns


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


INTER = atomic("user_id:token item_id:token", "u1 i1", "u2 i2", "u3 i3")


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


def test_ids_that_look_like_numbers_stay_apart(tmp_path: Path) -> None:
    rows = ["007 1", "7 01", "7.0 1.0", "2024-01-31 1", "1e3 01", "1000 1.0"]
    dataset = load(tmp_path, {"inter": atomic("user_id:token item_id:token", *rows)})
    assert list(dataset.field2id_token["user_id"]) == ["[PAD]", "007", "7", "7.0", "2024-01-31", "1e3", "1000"]
    assert list(dataset.field2id_token["item_id"]) == ["[PAD]", "1", "01", "1.0"]


SECONDS = 881250949  # a time of MovieLens


def test_times_a_second_apart_keep_their_order(tmp_path: Path) -> None:
    order = [4, 2, 0, 3, 1]
    rows = [f"u1 i{k} {SECONDS + k}" for k in order] + [f"u2 {item} {SECONDS}" for item in ("i0", "i5")]
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


# Text


def test_compose() -> None:
    assert compose({"title": "Lip stick.", "brand": " Acme ", "year": ""}, None) == "Lip stick. Acme."
    assert compose({"title": "Lip stick?"}, None) == "Lip stick?."
    assert compose({"title": "", "brand": " "}, None) == ""
    assert compose({"title": "", "brand": " "}, "{title} by {brand}") == ""
    assert compose({"title": "Lip {0} stick", "brand": ""}, "{title} by {brand} {{x}}") == "Lip {0} stick by  {x}"


def texts(folder: Path, item: str, **options: Any) -> dict[str, str]:
    """The texts of three items by raw id."""
    dataset = load(folder, {"inter": INTER, "item": item}, **options)
    corpus = split_up(dataset).train._dataset.corpus()
    assert corpus.item_texts[0] == ""
    assert list(corpus.user_texts) == [""] * 4
    return dict(zip(dataset.field2id_token["item_id"][1:], corpus.item_texts[1:], strict=True))


ITEM = atomic(
    "item_id:token title:token_seq year:token",
    ["i3", "NA", "1999"],
    ["i9", "Nobody's", "2000"],
    ["i1", '"Red\\tlip" stick', ""],
    ["i2", "", ""],
)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"i1": '"Red\\tlip" stick.', "i2": "", "i3": "NA. 1999."}),
        ({"text_escaped": True}, {"i1": '"Red\tlip" stick.', "i2": "", "i3": "NA. 1999."}),
        ({"text_fields.item": ["year", "title"]}, {"i1": '"Red\\tlip" stick.', "i2": "", "i3": "1999. NA."}),
        ({"text_fields.item": ["year"]}, {"i1": "", "i2": "", "i3": "1999."}),
        ({"text_template.item": "{title} ({year})"}, {"i1": '"Red\\tlip" stick ()', "i2": "", "i3": "NA (1999)"}),
        ({"text_template.user": "{name}"}, {"i1": '"Red\\tlip" stick.', "i2": "", "i3": "NA. 1999."}),
        ({"text_fields": {}}, {"i1": "", "i2": "", "i3": ""}),
    ],
)
def test_item_texts(options: dict[str, Any], expected: dict[str, str], tmp_path: Path) -> None:
    assert texts(tmp_path, ITEM, **({"text_fields.item": ["title", "year"]} | options)) == expected


def test_no_item_has_a_text(tmp_path: Path) -> None:
    item = atomic("item_id:token title:token", ["i1", ""], ["i2", " "])
    assert texts(tmp_path, item, text_fields={"item": ["title"]}) == {"i1": "", "i2": "", "i3": ""}
    assert texts(tmp_path, "item_id:token\ttitle:token\n", text_fields={"item": ["title"]}) == dict.fromkeys(
        ["i1", "i2", "i3"], ""
    )


def test_an_item_that_stands_twice_has_its_first_text(tmp_path: Path) -> None:
    item = atomic("item_id:token title:token", ["i1", ""], ["i2", "a"], ["i1", "b"], ["i2", "c"], ["i1", "d"])
    assert texts(tmp_path, item, text_fields={"item": ["title"]}) == {"i1": "b.", "i2": "a.", "i3": ""}


def shop(seed: int) -> tuple[dict[str, str], list[tuple[str, str, str]]]:
    """Files of 12 users and 15 items, in random order; every text names whose it is. Also the reviews of all rows.

    A third of the pairs stand there twice.
    """
    rng = np.random.default_rng(seed)
    users, items = [f"u{k}" for k in range(12)], [f"i{k}" for k in range(15)]
    chosen = [(user, item) for user in users for item in rng.permutation(items)[: rng.integers(1, 10)]]
    chosen += [pair for pair in chosen if rng.random() < 1 / 3]
    rows = [
        (*chosen[k], f"{rng.integers(1, 6)}", f"{SECONDS + k}", f"{'/'.join(chosen[k])}: word {k}")
        for k in rng.permutation(len(chosen))
    ]
    header = "user_id:token item_id:token rating:float timestamp:float review:token_seq"
    files = {
        "inter": atomic(header, *rows),
        "user": atomic("user_id:token bio:token", *((user, f"bio of {user}") for user in rng.permutation(users))),
        "item": atomic("item_id:token title:token", *((item, f"title of {item}") for item in rng.permutation(items))),
    }
    return files, [(user, item, f"{text}.") for user, item, _, _, text in rows]


SHOP = {
    "text_fields": {"user": ["bio"], "item": ["title"], "inter": ["review"]},
    "load_col.inter": ["user_id", "item_id", "rating", "timestamp"],
}


@pytest.mark.parametrize(
    ("options", "filters"),
    [
        ({}, False),
        ({"eval_args.order": "TO", "eval_args.split": {"LS": "valid_and_test"}}, False),
        ({"load_col.user": ["user_id"], "load_col.item": ["item_id", "title"]}, False),
        ({"user_inter_num_interval": "[5,inf)", "item_inter_num_interval": "[4,inf)"}, True),
        ({"load_col.item": ["item_id"], "item_inter_num_interval": "[6,inf)"}, True),
        ({"val_interval": {"rating": "[4,inf)"}}, True),
        ({"rm_dup_inter": "first"}, True),
    ],
)
def test_texts_stay_with_their_ids(options: dict[str, Any], filters: bool, tmp_path: Path) -> None:
    files, reviews = shop(1)
    dataset = load(tmp_path, files, **SHOP, **options)
    assert (dataset.inter_num < len(reviews)) == filters
    parts = split_up(dataset)
    for part in (parts.train._dataset, parts.valid._dataset, parts.test._dataset):
        corpus, users, items = part.corpus(), part.field2id_token["user_id"], part.field2id_token["item_id"]
        assert list(corpus.user_texts) == ["", *(f"bio of {user}." for user in users[1:])]
        assert list(corpus.item_texts) == ["", *(f"title of {item}." for item in items[1:])]
        assert (len(users), len(items)) == (corpus.n_users, corpus.n_items)
        assert corpus.reviews
        for user, item, text in corpus.reviews:
            assert (users[user], items[item], text) in reviews


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"eval_args.group_by": "none", "eval_args.split": {"RS": [2, 1, 1]}},
        {"eval_args.split": {"LS": "valid_and_test"}},
        {"eval_args.order": "TO", "eval_args.split": {"LS": "test_only"}},
        {"eval_args.order": "TO", "eval_args.split": {"TS": [0.6, 0.2, 0.2]}},
    ],
)
@pytest.mark.parametrize("model", ["EASE", "SASRec"])
def test_no_review_of_a_held_out_pair(options: dict[str, Any], model: str, tmp_path: Path) -> None:
    files, reviews = shop(2)
    train, *held_out = load(tmp_path, files, model, **SHOP, **options).build()
    held = {pair for part in held_out for pair in pairs(part)}
    assert held & set(pairs(train))  # a pair that stands on both sides
    found = [review.text for review in train.corpus().reviews]
    assert sorted(found) == sorted(text for *pair, text in reviews if tuple(pair) in set(pairs(train)) - held)
    assert len(set(pairs(train)) | held) == len({tuple(pair) for *pair, _ in reviews})


def test_reviews_and_histories_of_files_split_beforehand(tmp_path: Path) -> None:
    header = "user_id:token item_id:token review:token_seq"
    train = [["u1", "c", "u1 c"], ["u2", "a", ""], ["u1", "a", "u1 a"], ["u1", "b", "u1 b"], ["u3", "d", "u3 d"]]
    files = {
        "train.inter": atomic(header, *train, ["u1", "a", "u1 a again"]),
        "valid.inter": atomic(header, ["u1", "b", "u1 b later"], ["u2", "c", "u2 c"]),
        "test.inter": atomic(header, ["u2", "d", "u2 d"], ["u3", "e", "u3 e"]),
        "item": atomic("item_id:token title:token", "e only_in_test"),
    }
    fields = {"inter": ["review"], "item": ["title"]}
    dataset = load(tmp_path, files, **PRESPLIT, text_fields=fields, **{"load_col.inter": ["user_id", "item_id"]})
    corpus = dataset.build()[0].corpus()
    u1, u2, u3 = (dataset.token2id("user_id", user) for user in ("u1", "u2", "u3"))
    a, b, c, d, e = (dataset.token2id("item_id", item) for item in "abcde")
    expected = [(u1, c, "u1 c."), (u1, a, "u1 a."), (u3, d, "u3 d."), (u1, a, "u1 a again.")]
    assert corpus.reviews == [Review(*review) for review in expected]
    assert [corpus.histories[user].tolist() for user in (0, u1, u2, u3)] == [[], [c, a, b, a], [a], [d]]
    assert corpus.item_texts[e] == "only_in_test."  # known of the item, not of anybody's liking it


def test_histories_are_the_training_pairs_in_their_order(tmp_path: Path) -> None:
    dataset = load(tmp_path, shop(3)[0], **SHOP, **{"eval_args.order": "TO"})
    train = split_up(dataset).train._dataset
    histories = train.corpus().histories
    for user in range(train.user_num):
        raw = dataset.id2token("user_id", user)
        assert [dataset.id2token("item_id", item) for item in histories[user]] == [
            item for name, item in pairs(train) if name == raw
        ]
    assert sum(histories.lengths) == len(train)


def test_a_user_with_one_interaction_is_trained_on(tmp_path: Path) -> None:
    rows = ["lone i1", *(f"u2 i{k}" for k in range(5)), *(f"u3 i{k}" for k in range(2, 8))]
    user = atomic("user_id:token bio:token", "lone wolf")
    files = {"inter": atomic("user_id:token item_id:token", *rows), "user": user}
    for share in ({"RS": [0.8, 0.1, 0.1]}, {"LS": "valid_and_test"}):
        options = {"eval_args.split": share, "text_fields": {"user": ["bio"]}}
        train, *held_out = load(tmp_path, files, **options).build()
        lone = train.token2id("user_id", "lone")
        corpus = train.corpus()
        assert corpus.user_texts[lone] == "wolf."
        assert corpus.histories[lone].tolist() == [train.token2id("item_id", "i1")]
        assert not [user for part in held_out for user, _ in pairs(part) if user == "lone"]


def test_text_is_no_field_of_recbole(tmp_path: Path) -> None:
    files = {"inter": INTER, "item": ITEM}
    fields = {"text_fields": {"item": ["title", "year"]}}
    assert load(tmp_path, files, **fields).item_feat is None
    dataset = load(tmp_path, files, **fields, **{"load_col.item": ["item_id", "year"]})
    assert sorted(dataset.field2type) == ["item_id", "user_id", "year"]
    assert list(dataset.item_feat) == ["item_id", "year"]


def test_a_text_column_may_be_a_feature_too(tmp_path: Path) -> None:
    genres = [["i2", "drama war"], ["i1", "war"], ["i3", ""], ["i4", "war"], ["i0", "drama"]]
    item = atomic("item_id:token genre:token_seq", *genres)
    rows = [f"u{u} i{(u + k) % 5} {k}" for u in range(5) for k in range(3)]
    files = {"inter": atomic("user_id:token item_id:token timestamp:float", *rows), "item": item}
    options = {"item_attribute": "genre", "text_fields": {"item": ["genre"]}, "eval_args.split": {"LS": "test_only"}}
    dataset = load(tmp_path, files, "S3Rec", **TIMED, **{"load_col.item": ["item_id", "genre"]}, **options)
    train = split_up(dataset).train._dataset
    i1, i2 = (train.token2id("item_id", name) for name in ("i1", "i2"))
    war, drama = (train.token2id("genre", name) for name in ("war", "drama"))
    assert train.field2type["genre"] is FeatureType.TOKEN_SEQ
    assert train.item_feat["genre"][i1].tolist() == [war, 0]
    assert train.item_feat["genre"][i2].tolist() == [drama, war]
    assert train.corpus().item_texts[i2] == "drama war."


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        (
            {"item": ITEM},
            {"text_fields": {"item": ["titel"]}},
            "{toy}.item has no column 'titel', which text_fields[item] needs; it has item_id, title, year; "
            "did you mean 'title'?",
        ),
        (
            {},
            {"text_fields": {"inter": ["review"]}},
            "{toy}.inter has no column 'review', which text_fields[inter] needs; it has user_id, item_id",
        ),
        (
            {"user": atomic("id:token bio:token", "u1 x")},
            {"text_fields": {"user": ["bio"]}},
            "{toy}.user has no column 'user_id', which text_fields[user] needs; it has id, bio",
        ),
        (
            {},
            {"text_fields": {"user": ["bio"]}},
            "text_fields names columns of 'user', but {folder} has no toy.user file: add the file or take the entry "
            "out of text_fields",
        ),
        (
            {"item": ITEM},
            {"text_fields": {"item": ["title", "year"]}, "text_template": {"item": "{title} ({yeer})"}},
            "text_template[item] uses 'yeer', which is not among text_fields[item]: title, year",
        ),
        (
            {"item": ITEM},
            {"text_fields": {"item": ["title"]}, "text_template": {"item": "{title"}},
            "text_template[item] is '{{title': expected '}}' before end of string; write {{COLUMN}} for a cell, "
            "{{{{ for a brace",
        ),
    ],
)
def test_text_that_is_not_there(files: dict[str, str], options: dict[str, Any], message: str, tmp_path: Path) -> None:
    folder = tmp_path / "toy"
    expected = message.format(folder=folder, toy=folder / "toy")
    assert refusal(load, tmp_path, {"inter": INTER} | files, **options) == expected


# Other mistakes


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        (
            {"item": ITEM},
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
    ],
)
def test_data_that_is_not_there(files: dict[str, str], options: dict[str, Any], message: str, tmp_path: Path) -> None:
    folder = tmp_path / "toy"
    assert refusal(load, tmp_path, files, **options) == message.format(folder=folder, toy=folder / "toy")


@pytest.mark.parametrize("args", [{"eval_args.order": "TO"}, {"eval_args.split": {"TS": [0.8, 0.1, 0.1]}}])
def test_an_order_needs_times(args: dict[str, Any], tmp_path: Path) -> None:
    assert refusal(load(tmp_path, {"inter": INTER}, **args).build) == (
        "dataset 'toy': 'timestamp' (TIME_FIELD) is not among the columns that load_col loads, but this model or "
        "eval_args needs it"
    )
