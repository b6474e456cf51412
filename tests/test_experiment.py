"""Whole runs: on ml-100k with a tiny real encoder, and on a dataset whose held-out reviews carry a secret."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shop import SMALL, shop_in

from recbole_cllm4rec.checkpoint.weights import load_weights
from recbole_cllm4rec.config import Config
from recbole_cllm4rec.experiment import run
from recbole_cllm4rec.protocol.split import split
from recbole_cllm4rec.registry import resolve

SHORT = {
    "max_length": 64,
    "train_batch_size": 64,
    "content_epochs": 1,
    "pretrain_epochs": 1,
    "epochs": 2,
    "eval_step": 1,
    "learning_rate": 0.01,
    "learning_rate_schedule": "linear",
    "show_progress": False,
}


RANKING = {"topk": [5], "metrics": ["Recall", "NDCG"], "valid_metric": "NDCG@5"}
"""For datasets of fewer items than the paper's protocol ranks."""


SECRET = "blue green oil"


@pytest.fixture(scope="module")
def finished(bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, Any], Path]]:
    """A run on ml-100k and the folder that it left its files in."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("run")
        patch.chdir(folder)
        yield run("CLLM4Rec", "ml-100k", overrides={**SHORT, "backbone": str(bert)}), folder


def prepared(model: str, dataset: str, **options: Any) -> tuple[Any, Any, Any]:
    """The split, the model and its trainer, before training."""
    entry = resolve(model)
    config = Config(entry.model, dataset, overrides={**SHORT, **options}, options=entry.options)
    parts = split(config, entry.dataset(config))
    net = entry.model(config, parts.train._dataset)
    return parts, net, entry.trainer(config, net)


class TestOnML100K:
    def test_the_file_says_what_the_run_returned(self, finished: tuple[dict[str, Any], Path]) -> None:
        result, folder = finished
        assert json.loads((folder / "results/ml-100k/CLLM4Rec-2020.json").read_text(encoding="utf-8")) == result

    def test_it_names_what_the_training_part_told(self, finished: tuple[dict[str, Any], Path]) -> None:
        told = finished[0]["inferred"]
        assert list(told) == ["text share", "strength"]  # the split is at random, and so of no recency
        assert told["strength"] > 1

    def test_its_training_is_drawn(self, finished: tuple[dict[str, Any], Path]) -> None:
        chart = finished[1] / "results/ml-100k/CLLM4Rec-2020.curves.svg"
        assert chart.read_text(encoding="utf-8").count("finetuning") >= 1

    def test_the_result_can_be_believed(self, finished: tuple[dict[str, Any], Path]) -> None:
        result, _ = finished
        assert result["split"]["train"].startswith("80808:")
        assert len(result["backbone"]["sha256"]) == 64
        assert result["backbone"]["trained"] is False
        assert result["versions"]["recbole"] == "1.2.1"
        assert set(result["seconds"]) >= {"training: content", "training: pretraining", "training: finetuning", "test"}
        assert result["config"]["lambda_c"] == 0.01  # of the data set's recipe
        assert [e["rate"] for e in result["history"] if e["stage"] == "finetuning"] == [0.01, 0.005]
        assert [(e["stage"], e["epoch"]) for e in result["history"]] == [
            ("content", 0),
            ("pretraining", 0),
            ("finetuning", 0),
            ("finetuning", 1),
        ]

    def test_it_learns(self, finished: tuple[dict[str, Any], Path]) -> None:
        result, _ = finished
        by_chance = 20 / 1682
        assert result["test"]["recall@20"] > 3 * by_chance

    def test_the_best_epoch_is_the_one_reported(self, finished: tuple[dict[str, Any], Path]) -> None:
        result, _ = finished
        scores = [epoch["valid"]["paperscore"] for epoch in result["history"] if "valid" in epoch]
        assert len(scores) == 2
        assert result["valid"]["paperscore"] == max(scores)

    def test_its_weights_give_its_figures(self, finished: tuple[dict[str, Any], Path], bert: Path) -> None:
        result, folder = finished
        parts, net, trainer = prepared("CLLM4Rec", "ml-100k", backbone=str(bert))
        (weights,) = (folder / "saved").glob("ml-100k/CLLM4Rec-2020-*/1/model.safetensors")
        assert weights == folder / result["weights"]
        load_weights(weights, net)
        again = trainer.evaluate(parts.test, load_best_model=False)
        assert {name: float(value) for name, value in again.items()} == pytest.approx(result["test"], abs=1e-5)

    def test_its_configuration_repeats_it(
        self, finished: tuple[dict[str, Any], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        result, folder = finished
        monkeypatch.chdir(tmp_path)
        again = run("CLLM4Rec", "ml-100k", [folder / "results/ml-100k/CLLM4Rec-2020.yaml"])
        assert again["test"] == result["test"]
        assert again["config"] == result["config"]

    def test_other_models_are_scored_on_the_same_split(
        self, finished: tuple[dict[str, Any], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert run("Pop", "ml-100k", overrides={"show_progress": False})["split"] == finished[0]["split"]


def test_a_whole_epoch_reads_training_pairs_alone(bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    parts, net, trainer = prepared("CLLM4Rec", "ml-100k", backbone=str(bert))
    users, items = parts.train._dataset.pairs()
    allowed = set(zip(users.tolist(), items.tolist(), strict=True))
    rng = np.random.default_rng(0)
    seen = set()
    for stage in trainer.stages:
        for current, batch in stage.steps(rng):
            if current.name == "content":
                continue
            of_read = batch.rows[batch.reads].numpy()
            for row, ids in enumerate(batch.ids.numpy()):
                targets = batch.targets.numpy()[of_read == row]
                (user,) = ids[(ids >= net.vocabulary.user(0)) & (ids < net.vocabulary.item(0))] - net.vocabulary.user(0)
                shown = ids[ids >= net.vocabulary.item(0)] - net.vocabulary.item(0)
                wanted = targets - net.vocabulary.item(0)
                seen |= {(user, item) for item in [*shown, *wanted]}
                assert not set(shown) & set(wanted), "a prompt shows what it asks for"
    assert seen <= allowed
    assert len(seen) > 0.7 * len(allowed)  # the rest stands in histories longer than a document


def test_no_held_out_review_is_read_in_a_whole_epoch(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "dataset" / "shop"
    folder.mkdir(parents=True)
    header = "user_id:token\titem_id:token\treview:token_seq\n"
    held_out = {("u1", "i3"), ("u2", "i4"), ("u3", "i1")}
    pairs = [(f"u{u}", f"i{(u + i) % 6 + 1}") for u in range(1, 4) for i in range(5)]
    for part in ("train", "valid", "test"):
        of_part = [p for p in pairs if (p in held_out) == (part != "train")]
        rows = [f"{u}\t{i}\t{SECRET if (u, i) in held_out else 'a red lip stick'}\n" for u, i in of_part]
        (folder / f"shop.{part}.inter").write_text(header + "".join(rows), encoding="utf-8")
    facts = {
        "load_col": {"inter": ["user_id", "item_id"]},
        "benchmark_filename": ["train", "valid", "test"],
        "text_fields": {"inter": ["review"]},
        **RANKING,
    }
    facts |= {"variant": "no-text", "content_view": True}
    _, net, trainer = prepared("CLLM4Rec", "shop", backbone=str(bert), **facts)
    words = net.backbone.words
    prompts = ["has interacted with", "the user will interact with:", "writes the review for", ":"]
    (secret,), known = words([SECRET]), np.concatenate(words(["a red lip stick", *prompts]))
    tells = set(secret.tolist()) - set(known.tolist())
    assert tells, "the secret must have words of its own"
    read: set[int] = set()
    for stage in trainer.stages:
        for _, batch in stage.steps(np.random.default_rng(0)):
            read |= {*batch.ids.flatten().tolist(), *batch.targets.tolist()}
    assert read >= set(words(["red"])[0].tolist())
    assert not read & tells


@pytest.mark.parametrize("variant", ["released-code", "LLM-Scratch", "LLM-CF", "LLM-FtAll", "LLM-FixOrd", "LLM-PreRec"])
def test_every_variant_runs(variant: str, bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "dataset" / "toy"
    folder.mkdir(parents=True)
    rows = [f"u{u}\ti{(u * 3 + k * k) % 11}\n" for u in range(8) for k in range(6)]
    (folder / "toy.inter").write_text("user_id:token\titem_id:token\n" + "".join(dict.fromkeys(rows)))
    items = [f"i{i}\ta {colour} lip stick\n" for i, colour in enumerate(["red", "blue", "green"] * 4)]
    (folder / "toy.item").write_text("item_id:token\ttitle:token_seq\n" + "".join(items))
    (folder / "toy.yaml").write_text("text_fields: {item: [title]}\n")
    epochs = {} if variant == "LLM-PreRec" else {"epochs": 2}
    options = {**{key: value for key, value in SHORT.items() if key != "epochs"}, **epochs, "variant": variant}
    result = run("CLLM4Rec", "toy", overrides={**options, "backbone": str(bert), **RANKING})
    assert 0 < result["test"]["recall@5"] <= 1
    assert result["backbone"]["trained"] is (variant in ("LLM-Scratch", "LLM-FtAll"))
    assert ("content" in {epoch["stage"] for epoch in result["history"]}) is (variant != "LLM-CF")


def test_a_result_of_another_configuration_is_not_replaced_in_silence(
    tmp_path_factory: pytest.TempPathFactory, caplog: pytest.LogCaptureFixture
) -> None:
    with shop_in(tmp_path_factory, "replaced"):
        for split_seed, replaced in ((1, False), (1, False), (2, True)):
            caplog.clear()
            run("Pop", "shop", (), {**SMALL, "split_seed": split_seed})
            assert ("Pop-2020.json is of another configuration, and will be replaced" in caplog.text) is replaced
