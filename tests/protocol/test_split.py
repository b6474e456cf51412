"""The split: one for all models, RecBole's own, proved by fingerprints; and what is masked at test time."""

import hashlib
import sys
from pathlib import Path
from typing import Any

import pytest
import recbole.config
from atomic_files import PRESPLIT, TIMED, atomic, configure, load, pairs, split_up
from recbole.data import create_dataset, data_preparation
from recbole.data.dataloader import FullSortEvalDataLoader, KnowledgeBasedDataLoader, TrainDataLoader, UserDataLoader
from recbole.utils import init_seed

from recbole_cllm4rec.config import Config
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.protocol.split import Split, fingerprint, split
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


@pytest.mark.parametrize("model", ["Pop", "BPR", "CLLM4Rec", "SASRec", "MultiVAE"])
def test_every_model_gets_the_same_split(model: str, ease: Split) -> None:
    columns = {"load_col.inter": ["user_id", "item_id", "timestamp"]} if model == "SASRec" else {}
    assert movielens(model, **columns).fingerprints == ease.fingerprints


def test_another_seed_is_another_split(ease: Split) -> None:
    other = movielens("EASE", seed=2021).fingerprints
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
    assert train == f"2:{hashlib.sha256(b'10<>9;u1<>i2'.replace(b'<>', bytes([9])).replace(b';', bytes([10]))).hexdigest()[:16]}"
    assert test == "1:" + hashlib.sha256(b"u1\t9").hexdigest()[:16]
    assert valid == "0:e3b0c44298fc1c14"  # sha256 of nothing


def test_fingerprint_knows_raw_pairs_alone(tmp_path: Path) -> None:
    first, second, third = ["a x", "b y", "a y"], ["b y", "a y", "a x"], ["a x", "b x", "b y"]
    found = set()
    for rows in (first, second, third):
        files = {"train.inter": atomic(PAIRS, *rows), "valid.inter": atomic(PAIRS), "test.inter": atomic(PAIRS)}
        dataset = load(tmp_path, files, **PRESPLIT)
        found.add(fingerprint(dataset.build()[0]))
    assert len(found) == 2


# Masks

TRAIN = ["u1 a", "u1 b", "u2 b", "u2 c", "u3 e"]
VALID = ["u1 c", "u2 d", "u2 b"]
TEST = ["u1 d", "u2 a", "u2 c", "u3 a"]
FILES = {f"{name}.inter": atomic(PAIRS, *rows) for name, rows in zip(("train", "valid", "test"), (TRAIN, VALID, TEST))}


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
