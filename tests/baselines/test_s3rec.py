"""S3Rec in one run: attributes from the item file, RecBole's two stages, and nothing held out in either."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from atomic_files import PRESPLIT, TIMED, atomic, load, split_up
from recbole.model.sequential_recommender import S3Rec
from recbole.trainer import S3RecTrainer
from recbole.utils import init_seed
from torch import Tensor, nn

from recbole_cllm4rec.baselines.s3rec import AttributeSequences, TwoStageS3RecTrainer, UserAttributeSequences
from recbole_cllm4rec.config import Config
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.protocol.split import Split

INTER = "user_id:token item_id:token timestamp:float"
GENRES = "item_id:token price:float genre:token_seq"
SMALL = {
    **TIMED,
    "item_attribute": "genre",
    "MAX_ITEM_LIST_LENGTH": 5,
    "hidden_size": 8,
    "inner_size": 8,
    "train_batch_size": 4,
    "pretrain_epochs": 2,
    "epochs": 2,
    "show_progress": False,
}


def shelves(users: int = 6) -> dict[str, str]:
    """Split files. User k has four of the items i0 to i6 to train on; h0 to h3 are held out, and nowhere else."""
    train = [f"u{u} i{(u + 2 * k) % 7} {k}" for u in range(users) for k in range(4)]
    held_out = {part: [f"u{u} h{(u + n) % 4} {n}" for u in range(users)] for n, part in enumerate(("valid", "test"))}
    parts = {f"{part}.inter": atomic(INTER, *rows) for part, rows in {"train": train, **held_out}.items()}
    items = [[name, "1", f"g{k % 3} all"] for k, name in enumerate([*(f"i{k}" for k in range(7)), "h0", "h1", "h2"])]
    return {**parts, "item": atomic(GENRES, *items)}


def sequences(folder: Path, files: Mapping[str, str], **options: Any) -> AttributeSequences:
    """The dataset ``toy`` as S3Rec's."""
    return AttributeSequences(load(folder, files, "S3Rec", **SMALL | options).config)


def prepare(folder: Path, **options: Any) -> tuple[Split, S3Rec, TwoStageS3RecTrainer]:
    """A split, a model and its trainer, before training."""
    dataset = sequences(folder, shelves(), **PRESPLIT, checkpoint_dir=str(folder / "saved"), **options)
    parts = split_up(dataset)
    init_seed(1, True)
    model = S3Rec(dataset.config, parts.train._dataset)
    return parts, model, TwoStageS3RecTrainer(dataset.config, model)


def genres_of(dataset: AttributeSequences, item: str) -> list[str]:
    ids = dataset.item_feat["genre"][dataset.token2id("item_id", item)].tolist()
    return [str(dataset.id2token("genre", i)) for i in ids if i]


class TestAttributes:
    def test_they_are_read_without_load_col(self, tmp_path: Path) -> None:
        dataset = sequences(tmp_path, shelves(), **PRESPLIT)
        assert sorted(dataset.item_feat.columns) == ["genre", "item_id"]
        assert genres_of(dataset, "i4") == ["g1", "all"]
        assert genres_of(dataset, "h3") == []  # it is not in the file

    def test_a_category_of_several_words_is_one(self, tmp_path: Path) -> None:
        names = [[f"i{k}", "1", "Beauty > Skin Care > Top & Base Coats"] for k in range(3)]
        files = {"inter": atomic(INTER, "u1 i0 1", "u1 i1 2", "u2 i2 1"), "item": atomic(GENRES, *names)}
        dataset = sequences(tmp_path, files, seq_separator=" > ")
        assert genres_of(dataset, "i2") == ["Beauty", "Skin Care", "Top & Base Coats"]

    @pytest.mark.parametrize("options", [{}, {"item_inter_num_interval": "[2,inf)"}])
    def test_split_and_items_are_those_of_a_model_without(self, options: dict[str, Any], tmp_path: Path) -> None:
        rows = [f"u{u} i{(u + 2 * k) % 7} {k}" for u in range(5) for k in range(5)]
        items = [[f"i{k}", "1", "all"] for k in (0, 2, 3, 5, 8, 9)]  # not all that users have, and two that none has
        files = {"inter": atomic(INTER, *rows, "u1 i7 9"), "item": atomic(GENRES, *items)}
        plain = load(tmp_path, files, "SASRec", **TIMED, **options)
        ours = sequences(tmp_path, files, **options)
        assert set(ours.field2token_id["item_id"]) == set(plain.field2token_id["item_id"])
        assert split_up(ours).fingerprints == split_up(plain).fingerprints

    def test_what_load_col_says_of_items_holds(self, tmp_path: Path) -> None:
        rows = [f"u{u} i{(u + 2 * k) % 7} {k}" for u in range(5) for k in range(5)]
        files = {"inter": atomic(INTER, *rows), "item": atomic(GENRES, *([f"i{k}", "1", "all"] for k in range(1, 9)))}
        of_items = {"load_col.item": ["item_id", "price"]}
        plain = load(tmp_path, files, "SASRec", **TIMED, **of_items)
        ours = sequences(tmp_path, files, **of_items)
        assert ours.item_num == plain.item_num == 1 + 8  # i0 is filtered out, i7 and i8 are kept
        assert split_up(ours).fingerprints == split_up(plain).fingerprints

    @pytest.mark.parametrize(
        ("item", "attribute", "found"),
        [
            (None, "genre", "there is no toy.item"),
            (GENRES, "class", f"the columns of toy.item are {', '.join(GENRES.split())}"),
            (GENRES, "price", f"the columns of toy.item are {', '.join(GENRES.split())}"),
            ("item_id:token genre:token", "genre", "the columns of toy.item are item_id:token, genre:token"),
        ],
    )
    def test_a_dataset_without_any(self, item: str | None, attribute: str, found: str, tmp_path: Path) -> None:
        files = {"inter": atomic(INTER, "u1 a 1", "u1 b 2", "u1 c 3", "u2 d 1")}
        if item:
            columns = {"item_id:token": "a", "price:float": "1", "genre:token_seq": "war", "genre:token": ""}
            files["item"] = atomic(item, [columns[header] for header in item.split()])
        dataset = sequences(tmp_path, files, item_attribute=attribute)
        with pytest.raises(UserError) as caught:
            dataset.build()
        assert str(caught.value) == (
            f"dataset 'toy': item_attribute is {attribute!r}, but {found}: name a column of categories as "
            "item_attribute under for_model: S3Rec in the dataset's yaml"
        )

    @pytest.mark.parametrize("kind", ["token", "token_seq"])
    def test_an_item_without_a_category_has_none(self, kind: str, tmp_path: Path) -> None:
        files = {
            "inter": atomic(INTER, *(f"u{u} {item} {time}" for u in (1, 2) for time, item in enumerate("abcde"))),
            "item": atomic(f"item_id:token genre:{kind}", *(["a", "war"], ["b", ""], ["c", "love"])),
        }
        dataset = sequences(tmp_path, files)
        parts = split_up(dataset)
        model = S3Rec(dataset.config, parts.train._dataset)
        ids = torch.tensor([[dataset.token2id("item_id", item) for item in "abcd"]])
        features = model.reconstruct_pretrain_data(ids, torch.tensor([4]))[0].tolist()
        expected = {name: [int(dataset.token2id("genre", name) - 1 == k) for k in range(2)] for name in ("war", "love")}
        assert features[0][-4:] == [expected["war"], [0, 0], expected["love"], [0, 0]]

    def test_the_datasets_of_the_package_name_theirs(self) -> None:
        named = Config(S3Rec, "ml-100k")
        assert AttributeSequences(named).num("class") == 1 + 19
        assert any("item_attribute" in layer.values for layer in named.recipes)
        beauty = Config(S3Rec, "amazon-beauty")
        assert (beauty["item_attribute"], beauty["seq_separator"]) == ("categories", " > ")


class TestStages:
    def test_one_after_the_other(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        parts, _, trainer = prepare(tmp_path)
        visits: list[tuple[str, int]] = []
        loss = S3Rec.calculate_loss

        def seen(self: S3Rec, batch: Any) -> Tensor:
            visits.append((self.train_stage, len(batch)))
            return loss(self, batch)

        monkeypatch.setattr(S3Rec, "calculate_loss", seen)
        _, best = trainer.fit(parts.train, parts.valid)
        users, prefixes = [4, 2], [4, 4, 4, 4, 2]  # six users, each of whom has four items and so three prefixes
        assert visits == [("pretrain", n) for n in 2 * users] + [("finetune", n) for n in 2 * prefixes]
        assert set(trainer.timings) == {"pretraining", "finetuning"}
        assert set(trainer.evaluate(parts.test)) == set(best or ())

    def test_the_weights_are_those_of_recboles_two_runs(self, tmp_path: Path) -> None:
        parts, model, trainer = prepare(tmp_path)
        trainer.fit(parts.train, parts.valid)

        again, first, pretrainer = prepare(tmp_path)
        config = pretrainer.config
        config["save_step"] = 2
        theirs = S3RecTrainer(config, first)
        theirs.fit(pretrainer._histories(again.train))
        state = torch.get_rng_state()  # a model that is built draws from it
        config["train_stage"], config["pre_model_path"] = "finetune", theirs.saved_model_file
        second = S3Rec(config, again.train._dataset)
        torch.set_rng_state(state)
        S3RecTrainer(config, second).fit(again.train, again.valid)

        assert second.state_dict().keys() == model.state_dict().keys()
        for name, weights in second.state_dict().items():
            torch.testing.assert_close(weights, model.state_dict()[name], msg=name)

    def test_a_checkpoint_takes_the_place_of_the_first(self, tmp_path: Path) -> None:
        _, model, trainer = prepare(tmp_path)
        path = str(tmp_path / "saved" / "weights.pth")  # elsewhere it would not be trusted
        trainer.save_pretrained_model(0, path)
        options = {"train_stage": "finetune", "pre_model_path": path, "epochs": 0}
        parts, loaded, trainer = prepare(tmp_path, **options)
        trainer.fit(parts.train, parts.valid)
        assert list(trainer.timings) == ["finetuning"]
        assert torch.equal(loaded.item_embedding.weight, model.item_embedding.weight)

    @pytest.mark.parametrize(("loss_type", "kind"), [("CE", "CrossEntropyLoss"), ("BPR", "BPRLoss")])
    def test_the_second_has_its_own_loss(self, loss_type: str, kind: str, tmp_path: Path) -> None:
        parts, model, trainer = prepare(tmp_path, loss_type=loss_type)
        before = model.item_embedding.weight.clone()
        assert isinstance(model.loss_fct, nn.BCEWithLogitsLoss)
        trainer.fit(parts.train, parts.valid)
        assert type(model.loss_fct).__name__ == kind
        assert not torch.equal(model.item_embedding.weight, before)


@pytest.mark.parametrize("kind", [AttributeSequences, UserAttributeSequences])
def test_pretraining_sees_no_held_out_item(
    kind: type[AttributeSequences], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = sequences(tmp_path, shelves(), **PRESPLIT, checkpoint_dir=str(tmp_path)).config
    parts = split_up(kind(config))
    rows = parts.train._dataset
    model = S3Rec(config, rows)
    trainer = TwoStageS3RecTrainer(config, model)
    batches: list[list[Tensor]] = []
    objectives = S3Rec.pretrain

    def seen(self: S3Rec, features: Tensor, *items: Tensor) -> Tensor:
        batches.append(list(items))
        return objectives(self, features, *items)

    monkeypatch.setattr(S3Rec, "pretrain", seen)
    S3RecTrainer.fit(trainer, trainer._histories(parts.train))
    allowed = {0, model.mask_token, *rows.token2id("item_id", [f"i{k}" for k in range(7)]).tolist()}
    assert len(batches) == 2 * 2
    for masked, targets, negatives, *segments in batches:
        for sequence in (masked, targets, *segments):
            assert set(sequence.unique().tolist()) <= allowed
        for row, history in enumerate(targets.tolist()):  # negatives: whatever the user has not in training
            drawn = negatives[row][masked[row] == model.mask_token].tolist()
            assert not set(drawn).intersection(history)
