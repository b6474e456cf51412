"""The split: one for all models, RecBole's own, proved by fingerprints; and what is masked at test time."""

import hashlib
import sys
from collections import defaultdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import recbole.config
import torch
from atomic_files import PRESPLIT, atomic, load, pairs, split_up
from recbole.data import create_dataset, data_preparation
from recbole.data.dataloader import FullSortEvalDataLoader, KnowledgeBasedDataLoader, TrainDataLoader, UserDataLoader
from recbole.utils import init_seed

from recbole_cllm4rec.config import Config
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.protocol.split import Split, fingerprint, history_masked, split
from recbole_cllm4rec.registry import resolve

PAIRS = "user_id:token item_id:token"


def movielens(model: str, **options: Any) -> Split:
    entry = resolve(model)
    config = Config(entry.model, "ml-100k", (), {"gpu_id": "", **options}, entry.options)
    return split(config, entry.dataset(config))


@pytest.fixture(scope="module")
def ease() -> Split:
    return movielens("EASE")


def refusal(*args: Any) -> str:
    with pytest.raises(UserError) as caught:
        split_up(*args)
    return str(caught.value)


# One split for all


@pytest.mark.parametrize("model", ["Pop", "BPR", "CLLM4Rec", "SASRec"])
def test_every_model_gets_the_same_split(model: str, ease: Split) -> None:
    columns = {"load_col.inter": ["user_id", "item_id", "timestamp"]} if model == "SASRec" else {}
    assert movielens(model, **columns).fingerprints == ease.fingerprints


def test_the_seed_of_training_leaves_the_split(ease: Split) -> None:
    assert movielens("EASE", seed=2021).fingerprints == ease.fingerprints


def test_another_split_seed_is_another_split(ease: Split) -> None:
    other = movielens("EASE", split_seed=2021).fingerprints
    for part in ("train", "valid", "test"):
        assert other[part] != ease.fingerprints[part]
        assert other[part].split(":")[0] == ease.fingerprints[part].split(":")[0]


def test_the_split_is_recboles(ease: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["run"])
    config = recbole.config.Config(model="EASE", dataset="ml-100k")
    init_seed(config["seed"], config["reproducibility"])
    stock = data_preparation(config, create_dataset(config))
    for ours, theirs in zip((ease.train, ease.valid, ease.test), stock, strict=True):
        assert sorted(pairs(ours._dataset)) == sorted(pairs(theirs._dataset))
    assert [len(loader._dataset) for loader in stock] == [80808, 9596, 9596]


# Fingerprints


def test_fingerprint_by_hand(tmp_path: Path) -> None:
    rows = ["u1 i2", "10 9"]
    files = {"train.inter": atomic(PAIRS, *rows), "valid.inter": atomic(PAIRS), "test.inter": atomic(PAIRS, "u1 9")}
    train, valid, test = map(fingerprint, load(tmp_path, files, **PRESPLIT).build())
    assert train == "2:" + hashlib.sha256(b"10\t9\nu1\ti2").hexdigest()[:16]
    assert test == "1:" + hashlib.sha256(b"u1\t9").hexdigest()[:16]
    assert valid == "0:e3b0c44298fc1c14"  # sha256 of nothing


def test_fingerprint_knows_raw_pairs_alone(tmp_path: Path) -> None:
    def of(*rows: str) -> str:
        files = {"train.inter": atomic(PAIRS, *rows), "valid.inter": atomic(PAIRS), "test.inter": atomic(PAIRS)}
        return fingerprint(load(tmp_path, files, **PRESPLIT).build()[0])

    assert of("a x", "b y", "a y") == of("b y", "a y", "a x")  # other rows are first, so internal ids differ
    assert of("a x", "b y", "a y") != of("a x", "b y", "b x")


# Masks

TRAIN = ["u1 a", "u1 b", "u2 b", "u2 c", "u3 e"]
VALID = ["u1 c", "u2 d", "u2 b"]
TEST = ["u1 d", "u2 a", "u2 c", "u3 a"]
FILES = {"train.inter": atomic(PAIRS, *TRAIN), "valid.inter": atomic(PAIRS, *VALID), "test.inter": atomic(PAIRS, *TEST)}


def masked(loader: FullSortEvalDataLoader) -> dict[str, str]:
    """Items that an evaluation hides from each user's ranking."""
    dataset = loader._dataset
    return {
        dataset.id2token("user_id", user): "".join(sorted(dataset.id2token("item_id", loader.uid2history_item[user])))
        for user in loader.uid_list.tolist()
    }


@pytest.mark.parametrize(
    ("mask", "at_test"),
    [
        ("train", {"u1": "ab", "u2": "b", "u3": "e"}),
        ("train+valid", {"u1": "abc", "u2": "bd", "u3": "e"}),
    ],
)
@pytest.mark.parametrize("model", ["EASE", "BPR"])
def test_masks(mask: str, at_test: dict[str, str], model: str, tmp_path: Path) -> None:
    parts = split_up(load(tmp_path, FILES, model, **PRESPLIT, history_mask=mask))
    assert masked(parts.valid) == {"u1": "ab", "u2": "c"}  # what is to be found is never masked
    assert masked(parts.test) == at_test


@pytest.mark.parametrize("mask", ["train", "train+valid"])
def test_what_may_be_had_again_is_not_masked(mask: str, tmp_path: Path) -> None:
    data = load(tmp_path, FILES, "EASE", **PRESPLIT, history_mask=mask, repeatable=True)
    parts = split_up(data)
    for part in ("valid", "test"):
        assert not any(masked(getattr(parts, part)).values())
        assert history_masked(data.config, part) == "nothing"
    once = load(tmp_path, {}, "EASE", **PRESPLIT, history_mask=mask).config
    assert [history_masked(once, part) for part in ("valid", "test")] == ["train", mask]


def test_what_happened_before_does_not_change_the_split(tmp_path: Path) -> None:
    rows = [f"u{u} i{i}" for u in range(3) for i in range(u, u + 10)]
    dataset = load(tmp_path, {"inter": atomic(PAIRS, *rows)})
    first = split_up(dataset).fingerprints
    again = load(tmp_path, {})
    torch.rand(7)  # as a model that was built before would draw
    assert split_up(again).fingerprints == first


# Parts


def test_files_split_beforehand_keep_their_rows(tmp_path: Path) -> None:
    for model in ("EASE", "CLLM4Rec", "MultiVAE"):
        parts = load(tmp_path, FILES, model, **PRESPLIT).build()
        assert [[" ".join(pair) for pair in pairs(part)] for part in parts] == [TRAIN, VALID, TEST]


@pytest.mark.parametrize(
    ("share", "valid", "test"),
    [("test_only", False, True), ("valid_only", True, False), ("valid_and_test", True, True)],
)
def test_an_empty_part_is_none(share: str, valid: bool, test: bool, tmp_path: Path) -> None:
    rows = [f"u{u} i{u + k}" for u in range(3) for k in range(3)]
    parts = split_up(load(tmp_path, {"inter": atomic(PAIRS, *rows)}, **{"eval_args.split": {"LS": share}}))
    assert (parts.valid is not None, parts.test is not None) == (valid, test)
    assert [parts.fingerprints[name].split(":")[0] for name in ("valid", "test")] == [str(3 * valid), str(3 * test)]


def test_an_empty_file_is_an_empty_part(tmp_path: Path) -> None:
    parts = split_up(load(tmp_path, FILES | {"valid.inter": atomic(PAIRS)}, **PRESPLIT))
    assert parts.valid is None
    assert masked(parts.test) == {"u1": "ab", "u2": "b", "u3": "e"}


def test_no_training_interaction(tmp_path: Path) -> None:
    assert refusal(load(tmp_path, FILES | {"train.inter": atomic(PAIRS)}, **PRESPLIT)) == (
        "dataset 'toy': no interaction is left to train on; loosen filters or eval_args"
    )


def test_fewer_items_than_ranks(tmp_path: Path) -> None:
    ranking = {"topk": [5, 6], "valid_metric": "NDCG@6"}
    assert refusal(load(tmp_path, FILES, **PRESPLIT, **ranking)) == (
        "topk ranks 6 items, but dataset 'toy' has 5: set topk, metrics and valid_metric, as --topk=[5,10] "
        "--metrics=[Recall,NDCG] --valid_metric=NDCG@10"
    )
    assert split_up(load(tmp_path, {}, **PRESPLIT, **ranking | {"topk": [5], "valid_metric": "NDCG@5"})).test


def test_values_are_not_ranked(tmp_path: Path) -> None:
    rows = [f"u{u} i{i} {(u + i) % 2}" for u in range(3) for i in range(u, u + 4)]
    files = {"inter": atomic("user_id:token item_id:token label:float", *rows)}
    options = {"metrics": ["AUC"], "valid_metric": "AUC", "eval_args.mode": "labeled", "topk": [100]}
    columns = {"load_col.inter": ["user_id", "item_id", "label"], "threshold": None}
    assert split_up(load(tmp_path, files, "FM", **options, **columns)).test


def test_a_user_who_has_every_item(tmp_path: Path) -> None:
    rows = [f"u1 i{k}" for k in range(4)] + ["u2 i0"]
    message = refusal(load(tmp_path, {"inter": atomic(PAIRS, *rows)}))
    assert message.startswith("dataset 'toy': Some users have interacted with all items")


@pytest.mark.parametrize("mask", ["train", "train+valid"])
def test_a_user_who_has_every_item_where_none_is_sampled(mask: str, tmp_path: Path) -> None:
    parts = split_up(load(tmp_path, FILES, "CLLM4Rec", **PRESPLIT, history_mask=mask))
    recboles = split_up(load(tmp_path, {}, "BPR", **PRESPLIT, history_mask=mask))
    assert parts.valid._sampler.used_ids.tolist() == recboles.valid._sampler.used_ids.tolist()
    assert parts.test._sampler.used_ids.tolist() == recboles.test._sampler.used_ids.tolist()
    rows = [f"u1 i{k}" for k in range(4)] + ["u2 i0", "u2 i1", "u2 i2"]
    every = split_up(load(tmp_path, {"inter": atomic(PAIRS, *rows)}, "CLLM4Rec", history_mask=mask))
    assert max(map(len, every.test._sampler.used_ids)) == {"train": 2, "train+valid": 4}[mask]  # and what is asked


# Loaders


@pytest.mark.parametrize(("model", "loader"), [("EASE", TrainDataLoader), ("MultiVAE", UserDataLoader)])
def test_training_loaders_are_recboles(model: str, loader: type, tmp_path: Path) -> None:
    parts = split_up(load(tmp_path, FILES, model, **PRESPLIT))
    assert type(parts.train) is loader
    assert [" ".join(pair) for pair in pairs(parts.train._dataset)] == TRAIN


def test_knowledge_comes_with_its_own_loader(tmp_path: Path) -> None:
    graph = {
        "kg": atomic("head_id:token relation_id:token tail_id:token", "A r B", "B r C", "NA r A"),
        "link": atomic("item_id:token entity_id:token", "a A", "b B", "c NA"),
    }
    parts = split_up(load(tmp_path, FILES | graph, "CFKG", **PRESPLIT))
    assert type(parts.train) is KnowledgeBasedDataLoader
    assert parts.train._dataset.item2entity == {"a": "A", "b": "B", "c": "NA"}
    assert [" ".join(pair) for pair in pairs(parts.train._dataset)] == TRAIN


# Batches of evaluation


@pytest.mark.parametrize(("scores", "users"), [(40 * 1683, 40), (33 * 1683 - 1, 32), (1683, 32), (1, 32)])
def test_a_batch_of_evaluation_has_some_users_however_many_the_items(scores: int, users: int) -> None:
    loader = movielens("EASE", eval_batch_size=scores).test
    assert len(next(iter(loader))[0]) == users


@pytest.mark.parametrize("scores", [1, 40 * 1683, 2**21])
def test_so_few_have_candidates_at_once(scores: int) -> None:
    loader = movielens("EASE", eval_batch_size=scores, **{"eval_args.mode": "uni100"}).valid
    users = [batch[0]["user_id"].unique() for batch in loader]
    assert [len(of_batch) for of_batch in users[:-1]] == [32] * (len(users) - 1)
    assert torch.equal(torch.cat(users).sort().values, loader._dataset.inter_feat["user_id"].unique())


@pytest.mark.parametrize(("scores", "at_once"), [(1, 32), (40 * 1683, 40)])
def test_so_few_labelled_pairs_are_scored_at_once(scores: int, at_once: int) -> None:
    labels = {
        "load_col.inter": ["user_id", "item_id", "rating"],
        "threshold": {"rating": 4},
        "eval_args.mode": "labeled",
    }
    loader = movielens("FM", eval_batch_size=scores, metrics=["AUC"], valid_metric="AUC", **labels).valid
    assert {len(batch[0]) for batch in list(loader)[:-1]} == {at_once}


@pytest.mark.parametrize("mode", ["uni20", "pop20"])
def test_candidates_are_the_same_for_every_model_seed_and_epoch(mode: str) -> None:
    def candidates(model: str, seed: int, phase: str = "valid", **options: Any) -> dict[int, list[int]]:
        loader = getattr(movielens(model, seed=seed, **{"eval_args.mode": mode}, **options), phase)
        np.random.seed(seed)
        before = np.random.get_state()[1].copy()
        found: dict[int, list[int]] = defaultdict(list)
        for batch, *_ in islice(loader, 3):
            drawn = batch["label"] == 0
            for user, item in zip(batch["user_id"][drawn].tolist(), batch["item_id"][drawn].tolist(), strict=True):
                found[user].append(item)
        assert np.array_equal(np.random.get_state()[1], before)
        return found

    first = candidates("EASE", 2020)
    assert len(first) == 3 * 32
    assert len({tuple(items[:20]) for items in first.values()}) > 90
    assert candidates("BPR", 2021) == first
    times = {"load_col.inter": ["user_id", "item_id", "timestamp"]}
    assert candidates("SASRec", 2022, **times) == first
    assert candidates("EASE", 2020, phase="test") != first
    assert candidates("EASE", 2020, split_seed=1) != first
