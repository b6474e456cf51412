"""Sequential models see what the split allows: prefixes of the training part, and no held-out item anywhere."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from atomic_files import BY_TIME, PRESPLIT, START, TIMED, atomic, load, pairs, split_up
from hypothesis import given, settings
from hypothesis import strategies as st
from recbole.data.dataset import SequentialDataset

from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.protocol.sequences import HoldoutSequences, UserSequences
from recbole_cllm4rec.protocol.split import Split

HEADER = "user_id:token item_id:token timestamp:float"
LEAVE_ONE_OUT = {**BY_TIME, "eval_args.split": {"LS": "valid_and_test"}}


def histories(*names: str, seconds: int = 1) -> str:
    """Interactions of users u1, u2 ... with the items that each name spells, ``seconds`` apart, the latest first."""
    rows = [
        f"u{user} {item} {START + k * seconds}"
        for user, items in enumerate(names, start=1)
        for k, item in enumerate(items)
    ]
    return atomic(HEADER, *reversed(rows))


def sequence(part: HoldoutSequences, row: Any) -> str:
    """The items of a row's sequence, which is padded at the right; where there are none, it is one padding long."""
    padded = row["item_id_list"].tolist()
    items = [item for item in padded if item]
    assert padded[: len(items)] == items
    assert row["item_length"] == max(len(items), 1)
    return "".join(part.id2token("item_id", items))


def prefixes(parts: Split) -> list[tuple[str, str, str]]:
    """User, sequence and target of all training rows."""
    rows = parts.train._dataset
    feat = rows.inter_feat
    return [(user, sequence(rows, feat[k]), item) for k, (user, item) in enumerate(pairs(rows))]


def whole(rows: HoldoutSequences) -> list[tuple[str, str]]:
    """User and sequence of rows that are a user each."""
    feat = rows[torch.arange(len(rows))]
    users = rows.id2token("user_id", feat["user_id"].numpy()).tolist()
    return [(user, sequence(rows, feat[k])) for k, user in enumerate(users)]


def known(loader: Any) -> dict[str, str]:
    """The sequence that an evaluation has of each user."""
    part = loader._dataset
    users = part.id2token("user_id", loader.uid_list.tolist())
    return {user: sequence(part, loader.user_df[k]) for k, user in enumerate(users)}


def test_leave_one_out_by_hand(tmp_path: Path) -> None:
    parts = split_up(load(tmp_path, {"inter": histories("abcde", "dcba", "f", "gh")}, "SASRec", **LEAVE_ONE_OUT))
    assert sorted(prefixes(parts)) == [("u1", "a", "b"), ("u1", "ab", "c"), ("u2", "d", "c")]
    assert known(parts.valid) == {"u1": "abc", "u2": "dc"}
    assert known(parts.test) == {"u1": "abc", "u2": "dc", "u4": "g"}
    assert [sorted(pairs(loader._dataset)) for loader in (parts.valid, parts.test)] == [
        [("u1", "d"), ("u2", "b")],
        [("u1", "e"), ("u2", "a"), ("u4", "h")],
    ]


def test_validated_items_are_read_at_test_where_asked(tmp_path: Path) -> None:
    files = {"inter": histories("abcde", "dcba", "f", "gh")}
    options = {**LEAVE_ONE_OUT, "history_read": "train+valid"}
    parts = split_up(load(tmp_path, files, "SASRec", **options))
    assert sorted(prefixes(parts)) == [("u1", "a", "b"), ("u1", "ab", "c"), ("u2", "d", "c")]
    assert known(parts.valid) == {"u1": "abc", "u2": "dc"}
    assert known(parts.test) == {"u1": "abcd", "u2": "dcb", "u4": "g"}


def test_the_latest_items_are_kept(tmp_path: Path) -> None:
    files = {"inter": histories("abcdef", "fedcb", "gh")}
    parts = split_up(load(tmp_path, files, "SASRec", **LEAVE_ONE_OUT, MAX_ITEM_LIST_LENGTH=2))
    assert sorted(prefixes(parts)) == [
        ("u1", "a", "b"),
        ("u1", "ab", "c"),
        ("u1", "bc", "d"),
        ("u2", "f", "e"),
        ("u2", "fe", "d"),
    ]
    assert known(parts.test) == {"u1": "cd", "u2": "ed", "u3": "g"}


@pytest.mark.parametrize("model", ["SASRec", "DIEN"])
def test_files_split_beforehand(model: str, tmp_path: Path) -> None:
    files = {
        "train.inter": atomic(HEADER, "u1 c 3", "u2 d 1", "u1 a 1", "u1 b 2", "u2 a 5"),
        "valid.inter": atomic(HEADER, "u1 d 2"),
        "test.inter": atomic(HEADER, "u1 e 0", "u3 f 9", "u2 b 3"),
    }
    parts = split_up(load(tmp_path, files, model, **TIMED, **PRESPLIT))
    assert sorted(prefixes(parts)) == [("u1", "a", "b"), ("u1", "ab", "c"), ("u2", "d", "a")]
    assert known(parts.valid) == {"u1": "abc"}
    assert {user: known(parts.test)[user] for user in ("u1", "u2")} == {"u1": "abc", "u2": "da"}


def test_a_user_without_history_is_one_padding(tmp_path: Path) -> None:
    files = {
        "train.inter": atomic(HEADER, "u1 a 1", "u1 b 2", "u3 d 1"),
        "valid.inter": atomic(HEADER),
        "test.inter": atomic(HEADER, "u2 a 1", "u1 c 3"),
    }
    parts = split_up(load(tmp_path, files, "SASRec", **TIMED, **PRESPLIT))
    assert known(parts.test) == {"u1": "ab", "u2": ""}
    assert sorted(parts.test.user_df["item_length"].tolist()) == [1, 2]


def test_a_row_a_user_by_hand(tmp_path: Path) -> None:
    files = {"inter": histories("abcde", "dcba", "f", "gh")}
    dataset = UserSequences(load(tmp_path, files, "SASRec", **LEAVE_ONE_OUT, MAX_ITEM_LIST_LENGTH=2).config)
    parts = split_up(dataset)
    assert sorted(whole(parts.train._dataset)) == [("u1", "bc"), ("u2", "dc"), ("u3", "f"), ("u4", "g")]
    assert known(parts.test) == {"u1": "bc", "u2": "dc", "u4": "g"}


@pytest.mark.parametrize("kind", [HoldoutSequences, UserSequences])
def test_rows_count_as_the_part_they_are_made_of(kind: type[HoldoutSequences], tmp_path: Path) -> None:
    files = {"inter": histories("abcde", "acdb", "cfg")}
    rows = split_up(kind(load(tmp_path, files, "SASRec", **LEAVE_ONE_OUT).config)).train._dataset
    items = rows.token2id("item_id", ["a", "b", "c"]).tolist()
    assert rows.item_counter == dict(zip(items, [2, 1, 3], strict=True))


PROTOCOLS: list[dict[str, Any]] = [
    TIMED,
    {**TIMED, "eval_args.group_by": "none", "eval_args.split": {"RS": [2, 1, 1]}},
    {**BY_TIME, "eval_args.split": {"RS": [2, 1, 1]}},
    LEAVE_ONE_OUT,
    {**BY_TIME, "eval_args.split": {"TS": [0.6, 0.2, 0.2]}},
]


item_names = st.lists(st.sampled_from("abcdefghij"), min_size=1, unique=True).map("".join)


@settings(max_examples=30)
@given(st.lists(item_names, max_size=5), st.sampled_from(PROTOCOLS))
def test_no_held_out_item_is_seen(names: list[str], protocol: Mapping[str, Any]) -> None:
    names = ["abcdefgh", "hijk", *names]
    with TemporaryDirectory() as folder:
        parts = split_up(load(Path(folder), {"inter": histories(*names)}, "SASRec", **protocol))
    evaluations = [loader for loader in (parts.valid, parts.test) if loader]
    held_out = {pair for loader in evaluations for pair in pairs(loader._dataset)}
    allowed = {
        user: "".join(item for item in name if (user, item) not in held_out)
        for user, name in ((f"u{number}", name) for number, name in enumerate(names, start=1))
    }
    rows = [(user, items[:n], items[n]) for user, items in allowed.items() for n in range(1, len(items))]
    assert sorted(prefixes(parts)) == sorted(rows)
    part = parts.train._dataset.part
    assert sorted(whole(part.user_rows())) == sorted((user, items) for user, items in allowed.items() if items)
    for loader in evaluations:
        assert known(loader) == {user: allowed[user] for user in known(loader)}


def test_without_times_there_is_no_sequence(tmp_path: Path) -> None:
    dataset = load(tmp_path, {"inter": histories("abc", "bcd")}, "SASRec")
    with pytest.raises(UserError) as caught:
        dataset.build()
    assert str(caught.value) == (
        "dataset 'toy': 'timestamp' (TIME_FIELD) is not among the columns that load_col loads, but this model or "
        "eval_args needs it"
    )


def test_a_single_item_is_no_sequence(tmp_path: Path) -> None:
    dataset = load(tmp_path, {"inter": histories("abc", "bcd")}, "SASRec", **LEAVE_ONE_OUT)
    with pytest.raises(UserError) as caught:
        split_up(dataset)
    assert str(caught.value) == (
        "dataset 'toy': no user has two training interactions, so there is no sequence to learn; loosen filters or "
        "eval_args"
    )


def test_recboles_own_sequences_hold_other_test_items(tmp_path: Path) -> None:
    """Why its datasets are not taken as they are."""
    share = {"eval_args.split": {"RS": [2, 1, 2]}}
    ours = load(tmp_path, {"inter": histories("abcdef", "gh", seconds=1000)}, "SASRec", **BY_TIME, **share)
    test = SequentialDataset(ours.config).build()[2]
    u1 = [(sequence(test, test.inter_feat[k]), item) for k, (user, item) in enumerate(pairs(test)) if user == "u1"]
    assert u1 == [("abcd", "e"), ("abcde", "f")]
    assert known(split_up(ours).test)["u1"] == "abc"
