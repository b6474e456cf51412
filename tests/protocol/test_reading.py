"""What models read at test, by hand: histories of training, or with what was validated."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shop
import torch
from atomic_files import BY_TIME, atomic, load, pairs, split_up
from recbole.data.interaction import Interaction
from recbole.model.general_recommender import BPR, EASE, MultiVAE

from recbole_cllm4rec.experiment import run
from recbole_cllm4rec.protocol.reading import at_test, read, together
from recbole_cllm4rec.protocol.split import Split
from recbole_cllm4rec.report.rows import read_result

LAST = {**BY_TIME, "eval_args.split": {"LS": "valid_and_test"}}
READING = {**LAST, "history_read": "train+valid"}


@pytest.fixture
def parts(tmp_path: Path) -> Split:
    """The last of a user's items tested, the one before validated."""
    rows = [
        f"u{user} {item} {k}" for user, items in enumerate(["abcde", "dcba", "fa"], 1) for k, item in enumerate(items)
    ]
    return split_up(load(tmp_path, {"inter": atomic("user_id:token item_id:token timestamp:float", *rows)}, **READING))


def test_parts_together(parts: Split) -> None:
    train, valid, test = parts.parts
    assert sorted(pairs(together([train, valid]))) == sorted(pairs(train) + pairs(valid))
    assert together([train]) is train
    assert at_test({"history_read": "train"}, parts.parts) is train
    assert sorted(pairs(at_test({"history_read": "train+valid"}, parts.parts))) == sorted(pairs(train) + pairs(valid))
    assert not set(pairs(test)) & set(pairs(at_test({"history_read": "train+valid"}, parts.parts)))


def scores(model: Any, user: str) -> Any:
    asked = Interaction({"user_id": torch.from_numpy(model.dataset.token2id("user_id", np.array([user])))})
    with torch.no_grad():
        return np.asarray(model.full_sort_predict(asked)).ravel()


@pytest.fixture
def build(parts: Split, tmp_path: Path) -> Any:
    def build(kind: type, **options: Any) -> Any:
        data = load(tmp_path, {}, kind.__name__, **{**READING, **options})
        train = split_up(data).parts[0]
        model = kind(data.config, train)
        model.dataset = train
        return model.eval()

    return build


def test_item_weights_meet_the_longer_history(parts: Split, build: Any) -> None:
    model = build(EASE)
    ids = parts.parts[0].token2id("item_id", list("abcd"))
    assert read(model, at_test({"history_read": "train+valid"}, parts.parts))
    np.testing.assert_allclose(
        scores(model, "u1"), np.asarray(model.item_similarity)[ids].sum(axis=0), rtol=1e-5, atol=1e-7
    )
    assert read(model, parts.parts[0])
    np.testing.assert_allclose(
        scores(model, "u1"), np.asarray(model.item_similarity)[ids[:3]].sum(axis=0), rtol=1e-5, atol=1e-7
    )


def test_an_autoencoder_encodes_the_longer_history(parts: Split, build: Any) -> None:
    model = build(MultiVAE)
    before = scores(model, "u1")
    assert read(model, at_test({"history_read": "train+valid"}, parts.parts))
    user = torch.from_numpy(parts.parts[0].token2id("user_id", np.array(["u1"])))
    shown = model.get_rating_matrix(user)[0].nonzero().view(-1).tolist()
    assert "".join(sorted(parts.parts[0].id2token("item_id", shown))) == "abcd"
    assert not np.allclose(scores(model, "u1"), before)


def test_embeddings_read_nothing(parts: Split, build: Any) -> None:
    model = build(BPR)
    before = scores(model, "u1")
    assert not read(model, at_test({"history_read": "train+valid"}, parts.parts))
    np.testing.assert_array_equal(scores(model, "u1"), before)


ASKED = {**shop.SMALL, "eval_args": {"order": "TO", "split": {"LS": "valid_and_test"}}}


class TestRuns:
    """Whole runs: the same training, another test."""

    @pytest.fixture(scope="class", autouse=True)
    def _shop(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        with shop.shop_in(tmp_path_factory, "reading"):
            yield

    def both(self, model: str, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        asked = {**ASKED, **options}
        return run(model, "shop", (), asked), run(model, "shop", (), {**asked, "history_read": "train+valid"})

    @pytest.mark.parametrize(
        ("model", "reads"),
        [("CLLM4Rec", True), ("EASE", True), ("TextEASE", True), ("MultiVAE", True), ("SASRec", True), ("BPR", False)],
    )
    def test_what_was_read_is_said(self, model: str, reads: bool, bert: Path) -> None:
        ours = {"backbone": str(bert), "precision": "float32"} if model in ("CLLM4Rec", "TextEASE") else {}
        epochs = {} if "EASE" in model else {"epochs": 2}
        before, after = self.both(model, **ours, **epochs)
        assert (before["history_read"], after["history_read"]) == ("train", "train+valid" if reads else "train")
        assert before["valid"] == after["valid"]
        assert before["config_hash"] != after["config_hash"]
        if not reads:
            assert before["test"] == after["test"]

    @pytest.mark.parametrize("mode", ["uni3", "pop3", {"valid": "uni3", "test": "full"}])
    @pytest.mark.parametrize("model", ["CLLM4Rec", "EASE"])
    def test_candidates_that_are_drawn(self, model: str, mode: Any, bert: Path) -> None:
        ours = {"backbone": str(bert), "precision": "float32", "epochs": 1} if model == "CLLM4Rec" else {}
        _, after = self.both(model, **ours, **{"eval_args.mode": mode})
        assert after["history_read"] == "train+valid"

    def test_a_result_of_before_has_read_training(self) -> None:
        result = run("Pop", "shop", (), ASKED)
        path = Path("results/shop/Pop-2020.json")
        old = json.loads(path.read_text())
        del old["history_read"], old["config"]["history_read"]
        path.write_text(json.dumps(old))
        assert read_result(path)["history_read"] == read_result(path)["config"]["history_read"] == "train"
        assert result["history_read"] == "train"
