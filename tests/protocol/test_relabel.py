"""The same data under other internal ids: what belongs to a raw id stays with it, and so does its part."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from atomic_files import BY_TIME, PRESPLIT, TIMED, atomic, load, pairs, split_up

from recbole_cllm4rec.protocol.relabel import relabelled
from recbole_cllm4rec.protocol.split import split

ROWS = [f"u{user} i{(user * 3 + k * k) % 13} {k}" for user in range(8) for k in range(6)]
HEADER = "user_id:token item_id:token timestamp:float"
FILES = {
    "inter": atomic(HEADER, *ROWS),
    "item": atomic("item_id:token price:float", *(f"i{item} {item}" for item in range(13))),
    "train.inter": atomic(HEADER, *ROWS[:30]),
    "valid.inter": atomic(HEADER, *ROWS[30:40]),
    "test.inter": atomic(HEADER, *ROWS[40:]),
}


def twins(folder: Path, model: str, **options: Any) -> tuple[Any, Any]:
    data = load(folder, FILES, model, **options)
    return data, relabelled(data, np.random.default_rng(0))


def test_what_belongs_to_a_raw_id_stays_with_it(tmp_path: Path) -> None:
    both = {"inter": ["user_id", "item_id"], "item": ["item_id", "price"]}
    data, twin = twins(tmp_path, "EASE", load_col=both, normalize_all=False)
    assert not np.array_equal(twin.field2id_token["item_id"], data.field2id_token["item_id"])
    for one in (data, twin):
        for field in ("user_id", "item_id"):
            tokens = one.field2id_token[field]
            assert tokens[0] == "[PAD]"
            assert one.token2id(field, tokens).tolist() == list(range(len(tokens)))
        prices = one.item_feat.set_index("item_id")["price"]
        assert prices.index.tolist() == list(range(14))
        assert {one.id2token("item_id", k): prices[k] for k in range(1, 14)} == {f"i{i}": i for i in range(13)}


@pytest.mark.parametrize("model", ["EASE", "SASRec"])
@pytest.mark.parametrize(
    "protocol",
    [
        TIMED,
        {**TIMED, "eval_args.group_by": "none", "eval_args.split": {"RS": [2, 1, 1]}},
        {**BY_TIME, "eval_args.split": {"LS": "valid_and_test"}},
        {**BY_TIME, "eval_args.split": {"TS": [0.6, 0.2, 0.2]}},
        {**TIMED, **PRESPLIT},
    ],
)
def test_the_split_is_the_same(model: str, protocol: dict[str, Any], tmp_path: Path) -> None:
    data, twin = twins(tmp_path, model, **protocol)
    ours, theirs = split_up(data), split(twin.config, twin)
    assert ours.fingerprints == theirs.fingerprints
    for one, other in zip((ours.train, ours.valid, ours.test), (theirs.train, theirs.valid, theirs.test), strict=True):
        assert sorted(pairs(one._dataset)) == sorted(pairs(other._dataset))
