"""The text of users, items and pairs: found by id, no field of RecBole's, and never a held-out pair's."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from atomic_files import INTER, PRESPLIT, START, TIMED, atomic, load, pairs, refusal, split_up
from recbole.utils import FeatureType

from recbole_cllm4rec.corpus.text import Review


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
        (*chosen[k], f"{rng.integers(1, 6)}", f"{START + k}", f"{'/'.join(chosen[k])}: word {k}")
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
    "repeatable": True,  # a third of the pairs stand there twice, and may be in two parts
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
    options = {"load_col.inter": ["user_id", "item_id"], "repeatable": True}
    dataset = load(tmp_path, files, **PRESPLIT, text_fields=fields, **options)
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
