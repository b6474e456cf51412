"""Direct recommendation: what is held out of a history, what the encoder is asked, the likelihood, the scores."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from atomic_files import PRESPLIT, TIMED, atomic, load, split_up
from hypothesis import given
from hypothesis import strategies as st
from recbole.data.interaction import Interaction
from recbole.model.sequential_recommender import BERT4Rec, S3Rec
from recbole.trainer import Trainer
from recbole.utils import init_seed
from torch import Tensor

from recbole_cllm4rec.baselines import direct
from recbole_cllm4rec.baselines.direct import DirectBERT4Rec, DirectOptions, DirectS3Rec, hold_out, question
from recbole_cllm4rec.baselines.s3rec import TwoStageS3RecTrainer, UserAttributeSequences
from recbole_cllm4rec.config import Config
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.protocol.sequences import UserSequences
from recbole_cllm4rec.protocol.split import Split

INTER = "user_id:token item_id:token timestamp:float"
SMALL = {
    **TIMED,
    **PRESPLIT,
    "topk": [2],
    "metrics": ["Recall"],
    "valid_metric": "Recall@2",
    "MAX_ITEM_LIST_LENGTH": 4,
    "hidden_size": 8,
    "inner_size": 8,
    "hidden_dropout_prob": 0.0,
    "attn_dropout_prob": 0.0,
    "train_batch_size": 4,
    "learning_rate": 0.01,
    "epochs": 1,
    "eval_step": 1,
    "gpu_id": "",
    "show_progress": False,
}
KINDS = {
    "DirectBERT4Rec": (DirectBERT4Rec, UserSequences, Trainer, {}),
    "DirectS3Rec": (
        DirectS3Rec,
        UserAttributeSequences,
        TwoStageS3RecTrainer,
        {"item_attribute": "genre", "pretrain_epochs": 1},
    ),
}


def files(held_out: str) -> dict[str, str]:
    """Ten users with four of five items each, those of even number a0 to a4, the others b0 to b4.

    Held out are the fifth of these items (``held_out="own"``), or items that no training part has.
    """
    train, test = [], []
    for u in range(10):
        shelf = "ab"[u % 2]
        train += [f"u{u} {shelf}{(u + k) % 5} {k}" for k in range(4)]
        test.append(f"u{u} {shelf}{(u + 4) % 5} 4" if held_out == "own" else f"u{u} h{u % 3} 4")
    parts = {"train.inter": train, "valid.inter": test, "test.inter": test}
    items = [f"{shelf}{k} {shelf}" for shelf in "ab" for k in range(5)]
    return {name: atomic(INTER, *rows) for name, rows in parts.items()} | {
        "item": atomic("item_id:token genre:token", *items)
    }


def prepare(name: str, folder: Path, held_out: str = "own", **options: Any) -> tuple[Split, Any, Any]:
    """A split, a model and its trainer, before training."""
    load(folder, files(held_out), "SASRec", **TIMED, **PRESPLIT)  # writes them
    model, dataset, trainer, own = KINDS[name]
    paths = {"data_path": str(folder), "checkpoint_dir": str(folder / "saved")}
    config = Config(model, "toy", (), SMALL | own | paths | options, DirectOptions)
    parts = split_up(dataset(config))
    init_seed(1, True)
    net = model(config, parts.train._dataset)
    return parts, net, trainer(config, net)


histories = st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=6, unique=True), min_size=1, max_size=4)


def padded(rows: list[list[int]], length: int) -> Tensor:
    return torch.tensor([row + [0] * (length - len(row)) for row in rows])


class TestHoldOut:
    @given(histories, st.floats(0, 1))
    def test_a_share_of_every_history(self, rows: list[list[int]], share: float) -> None:
        shown, held_out = hold_out(padded(rows, 6), share, share, 10)
        for row, left, wanted in zip(rows, shown.tolist(), held_out, strict=True):
            masked = wanted.nonzero()[:, 0].tolist()
            assert len(masked) == max(1, int(np.float32(share) * np.float32(len(row))))
            assert [item for item in left if item] == [item for item in row if item not in masked]
            assert set(masked) <= set(row)

    def test_a_new_share_at_every_visit(self) -> None:
        rows = torch.arange(1, 11).repeat(2000, 1)
        counts = hold_out(rows, 0.2, 0.6, 11)[1].sum(dim=1)
        assert sorted(counts.unique().tolist()) == [2, 3, 4, 5]
        assert all(0.2 < (counts == n).float().mean() < 0.3 for n in (2, 3, 4, 5))

    def test_every_item_has_the_same_chance(self) -> None:
        held_out = hold_out(padded([[1, 2, 3, 4]] * 4000, 6), 0.5, 0.5, 5)[1]
        assert (held_out.mean(dim=0) - torch.tensor([0, 0.5, 0.5, 0.5, 0.5])).abs().max() < 0.05

    def test_a_repeated_item_wherever_it_stands(self) -> None:
        shown, held_out = hold_out(torch.tensor([[3, 3, 3, 0]]), 0.4, 0.4, 5)
        assert shown.tolist() == [[0, 0, 0, 0]]
        assert held_out.tolist() == [[0, 0, 0, 1, 0]]


def test_a_question_ends_with_the_mask() -> None:
    shown = torch.tensor([[0, 3, 0, 5], [1, 2, 3, 4], [0, 0, 0, 0]])
    assert question(shown, 9).tolist() == [[0, 3, 5, 9], [2, 3, 4, 9], [0, 0, 0, 9]]


class TestModel:
    @pytest.mark.parametrize("name", KINDS)
    def test_likelihood_by_hand(self, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        _, model, _ = prepare(name, tmp_path)
        model.train_stage = "finetune"
        shown = torch.tensor([[0, 2, 0, 4], [0, 0, 0, 7]])
        held_out = torch.zeros(2, 11)
        held_out[0, [1, 3]] = held_out[1, 5] = 1
        monkeypatch.setattr(direct, "hold_out", lambda *_: (shown, held_out))
        loss = model.calculate_loss(Interaction({"item_id_list": torch.zeros(2, 4, dtype=torch.int64)}))
        odds = np.exp(model.scores(shown).detach().numpy().astype(np.float64))
        odds[:, 0] = 0  # the padding is no item
        r = odds / odds.sum(axis=1, keepdims=True)
        assert loss.item() == pytest.approx(-(np.log(r[0, 1]) + np.log(r[0, 3]) + np.log(r[1, 5])) / 2)

    @pytest.mark.parametrize("name", KINDS)
    def test_scores_are_of_the_whole_history(self, name: str, tmp_path: Path) -> None:
        parts, model, _ = prepare(name, tmp_path)
        model.eval()
        users = parts.test.user_df
        histories = users["item_id_list"]
        assert (histories > 0).all()
        states = model.forward(torch.cat([histories[:, 1:], torch.full((10, 1), 11)], dim=1))[:, -1]
        scores = states @ model.item_embedding.weight[:11].T
        torch.testing.assert_close(model.full_sort_predict(users), scores)  # biases are 0 before training
        targets = torch.arange(1, 11)
        pairs = Interaction({"item_id_list": histories, "item_id": targets})
        torch.testing.assert_close(model.predict(pairs), scores[torch.arange(10), targets])

    def test_the_encoder_is_recboles(self, tmp_path: Path) -> None:
        """Of a history that fills the row, RecBole's model too drops the oldest item for the mask."""
        parts, model, _ = prepare("DirectBERT4Rec", tmp_path)
        model.eval()
        torch.nn.init.normal_(model.output_bias)
        theirs = BERT4Rec.full_sort_predict(model, parts.test.user_df)
        torch.testing.assert_close(model.full_sort_predict(parts.test.user_df), theirs)

    @pytest.mark.parametrize("share", [[0.6, 0.1], [0.1, 0.2, 0.3]])
    def test_shares_out_of_order(self, share: list[float], tmp_path: Path) -> None:
        with pytest.raises(UserError) as caught:
            prepare("DirectBERT4Rec", tmp_path, mask_share=share)
        assert str(caught.value) == f"mask_share is {share}: give one share, or two, the lower first"


class TestTraining:
    @pytest.mark.parametrize("name", KINDS)
    def test_it_learns(self, name: str, tmp_path: Path) -> None:
        """Users of a shelf have all of it but one item, and that one is to be found among six."""
        small = {"hidden_size": 32, "initializer_range": 0.1, "learning_rate": 0.01, "epochs": 20, "eval_step": 5}
        parts, _, trainer = prepare(name, tmp_path, **small)
        trainer.fit(parts.train, parts.valid)
        assert trainer.evaluate(parts.test)["recall@2"] == 1

    @pytest.mark.parametrize("name", KINDS)
    def test_a_user_is_one_row_and_nothing_held_out_is_read(
        self, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        parts, model, trainer = prepare(name, tmp_path, held_out="strange")
        visits: list[tuple[int, set[int]]] = []
        forward = type(model).forward

        def seen(self: Any, items: Tensor, **options: Any) -> Tensor:
            visits.append((len(items), set(items.unique().tolist())))
            return forward(self, items, **options)

        monkeypatch.setattr(type(model), "forward", seen)
        trainer.fit(parts.train)
        dataset = parts.train._dataset
        known = {0, model.mask_token, *dataset.token2id("item_id", [f"{s}{k}" for s in "ab" for k in range(5)])}
        assert all(items <= known for _, items in visits)
        assert [rows for rows, _ in visits][-3:] == [4, 4, 2]

    def test_s3rec_is_pretrained_by_its_own_objectives(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        parts, _, trainer = prepare("DirectS3Rec", tmp_path, pretrain_epochs=2)
        calls: list[str] = []
        objectives, likelihood = S3Rec.pretrain, direct.hold_out
        monkeypatch.setattr(S3Rec, "pretrain", lambda *args: (calls.append("pretrain"), objectives(*args))[1])
        monkeypatch.setattr(direct, "hold_out", lambda *args: (calls.append("finetune"), likelihood(*args))[1])
        trainer.fit(parts.train, parts.valid)
        assert calls == ["pretrain"] * 6 + ["finetune"] * 3
        assert set(trainer.timings) == {"pretraining", "finetuning"}
