"""The layers of a configuration: which wins, and the yaml files that they are read from."""

import os
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import recbole.config
import yaml
from configs import Toy, refusal, toy

from recbole_cllm4rec import config_layers
from recbole_cllm4rec.config import Config
from recbole_cllm4rec.config_layers import model_names, properties_dir

OVERALL = properties_dir() / "overall.yaml"


# Which layer wins


def test_every_layer_wins_over_those_below(write: Callable[[str, Any], Path]) -> None:
    assert toy()["epochs"] == 300  # RecBole's overall.yaml
    overall = OVERALL.read_text(encoding="utf-8")
    write("properties/overall.yaml", overall + "epochs: 1\n")
    assert toy()["epochs"] == 1
    model = {"layers": 2, "pooling": "mean", "epochs": 2}
    write("properties/model/Toy.yaml", model)
    assert toy()["epochs"] == 2
    write("properties/dataset/toy.yaml", {"epochs": 3})
    assert toy()["epochs"] == 3
    write("dataset/toy/toy.yaml", {"epochs": 4})
    assert toy()["epochs"] == 4
    write("properties/dataset/toy.yaml", {"epochs": 3, "for_model": {"Toy": {"epochs": 5}, "EASE": {"epochs": 99}}})
    assert toy()["epochs"] == 5
    write("dataset/toy/toy.yaml", {"epochs": 4, "for_model": {"Toy": {"epochs": 6}}})
    assert toy()["epochs"] == 6
    write("properties/model/Toy.yaml", model | {"variant": "long", "variants": {"long": {"epochs": 7}, "short": {}}})
    assert toy()["epochs"] == 7
    first, second = write("first.yaml", {"epochs": 8}), write("second.yaml", {"epochs": 9})
    assert toy(first)["epochs"] == 8
    assert toy(first, second)["epochs"] == 9
    config = toy(first, second, epochs=10)
    assert config["epochs"] == 10
    assert "for_model" not in config
    assert "variants" not in config


def test_the_choices_that_a_dataset_makes_for_a_model_are_listed(write: Callable[[str, Any], Path]) -> None:
    write("properties/model/Toy.yaml", {"epochs": 2})
    write("dataset/toy/toy.yaml", {"for_model": {"Toy": {"epochs": 6}, "EASE": {"epochs": 99}}})
    (recipe,) = toy().recipes
    assert recipe.values == {"epochs": 6}
    assert recipe.source.endswith("toy.yaml, for_model Toy")


def test_recbole_layers_apply_where_recbole_applies_them() -> None:
    assert Config("MultiVAE", "ml-100k")["latent_dimension"] == 128  # model/MultiVAE.yaml
    fm = Config("FM", "ml-100k")  # quick_start_config of context-aware models, in general and on ml-100k
    assert (fm["valid_metric"], fm["eval_args"]["mode"]["test"], fm["threshold"]) == ("AUC", "labeled", {"rating": 4})
    assert Config("FM", "ml-100k", (), {"threshold": {"rating": 3}})["threshold"] == {"rating": 3}


@pytest.mark.parametrize("model", ["SASRec", "BERT4Rec", "DIN"])
def test_sequential_models_go_by_the_common_protocol(model: str) -> None:
    sequential, general = Config(model, "ml-100k"), Config("BPR", "ml-100k")
    protocol = ("eval_args", "metrics", "valid_metric", "repeatable", "MODEL_TYPE", "test_neg_sample_args", "eval_type")
    assert {key: sequential[key] for key in protocol} == {key: general[key] for key in protocol}


@pytest.mark.parametrize("model", ["EASE", "FM", "DIN", "SASRec", "SASRecF", "GRU4RecKG", "CKE"])
@pytest.mark.parametrize("dataset", ["ml-100k", "unheard-of"])
def test_what_the_plugin_does_not_set_is_as_in_recbole(
    model: str, dataset: str, write: Callable[[str, Any], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["run"])
    overrides = {"train_neg_sample_args": None} if model in ("SASRec", "SASRecF", "GRU4RecKG") else {}
    stock = recbole.config.Config(model=model, dataset=dataset, config_dict=deepcopy(overrides)).final_config_dict
    ours = Config(model, dataset, (), overrides).final_config_dict
    changed = {key for key in stock if ours[key] != stock[key]}
    own = yaml.safe_load(OVERALL.read_text(encoding="utf-8"))
    follows = {"repeatable", "valid_neg_sample_args", "test_neg_sample_args", "eval_type"}  # from eval_args and metrics
    sequential = ("DIN", "SASRec", "SASRecF", "GRU4RecKG")
    assert changed <= {*own, "data_path", *(follows | {"MODEL_TYPE"} if model in sequential else ())}
    assert os.path.realpath(ours["data_path"]) == os.path.realpath(stock["data_path"])


def test_variants(write: Callable[[str, Any], Path]) -> None:
    write(
        "properties/model/Toy.yaml",
        {"layers": 2, "pooling": "mean", "variant": "deep", "variants": {"deep": {"layers": 8}, "flat": {"layers": 1}}},
    )
    assert toy()["layers"] == 8
    assert toy(variant="flat")["layers"] == 1
    assert toy(variant="flat", layers=3)["layers"] == 3
    assert toy(write("flat.yaml", {"variant": "flat"}))["layers"] == 1
    assert (
        refusal(Toy, "toy", (), {"variant": "flt"}) == "Toy has no variant 'flt', only deep, flat; did you mean 'flat'?"
    )


def test_a_dotted_key_changes_one_entry(write: Callable[[str, Any], Path]) -> None:
    args = toy(**{"eval_args.order": "TO"})["eval_args"]
    assert (args["order"], args["split"], args["group_by"]) == ("TO", {"RS": [0.8, 0.1, 0.1]}, "user")
    assert toy(write("a.yaml", "eval_args.split.RS: [6, 2, 2]"))["eval_args"]["split"] == {"RS": [6, 2, 2]}
    assert toy(**{"seq_len.title": 5})["seq_len"] == {"title": 5}
    assert (
        refusal(Toy, "toy", (), {"epochs.a.b": 1})
        == "epochs.a.b has no place, as epochs is 300: give epochs as a whole"
    )


def test_for_model_names_models(write: Callable[[str, Any], Path]) -> None:
    path = write("properties/dataset/toy.yaml", {"for_model": {"EASEE": {"reg_weight": 1}}})
    assert refusal(Toy, "toy") == f"{path}: for_model names 'EASEE', which is no model; did you mean 'EASE'?"


def test_ml_100k_comes_with_recbole(write: Callable[[str, Any], Path]) -> None:
    assert Path(Config("EASE", "ml-100k")["data_path"], "ml-100k.inter").is_file()
    write("dataset/ml-100k/ml-100k.yaml", {"seed": 7})
    own = Config("EASE", "ml-100k")
    assert (own["data_path"], own["seed"]) == ("dataset/ml-100k", 7)
    assert toy(data_path="elsewhere")["data_path"] == "elsewhere/toy"


# Files


def test_properties_are_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert (properties_dir() / "overall.yaml").is_file()
    installed = tmp_path / "site-packages" / "recbole_cllm4rec"
    (installed / "properties").mkdir(parents=True)
    monkeypatch.setattr(config_layers, "__file__", str(installed / "config_layers.py"))
    assert properties_dir() == installed / "properties"


def test_model_names(write: Callable[[str, Any], Path]) -> None:
    assert {"EASE", "BPR", "SASRec", "Random", "Toy"} <= set(model_names())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs: 1\nseed: [1\n", "mine.yaml, line 3: "),
        ("epochs: 1\nepochs: 2\n", "mine.yaml, line 2: 'epochs' appears twice"),
        ("- epochs\n", "mine.yaml does not hold options"),
        ("1: 2\n", "mine.yaml does not hold options"),
    ],
)
def test_malformed_files(text: str, message: str, write: Callable[[str, Any], Path]) -> None:
    write("mine.yaml", text)
    assert refusal(Toy, "toy", ["mine.yaml"]).startswith(message)


def test_unreadable_files(write: Callable[[str, Any], Path]) -> None:
    assert refusal(Toy, "toy", ["none.yaml"]) == "none.yaml cannot be read: No such file or directory"
    Path("latin.yaml").write_bytes("run_name: é".encode("latin-1"))
    assert refusal(Toy, "toy", ["latin.yaml"]).startswith("latin.yaml is not UTF-8")


def test_an_empty_file_changes_nothing(write: Callable[[str, Any], Path]) -> None:
    assert toy(write("empty.yaml", "# nothing\n")).effective() == toy().effective()
