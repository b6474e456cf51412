"""A configuration changes nothing but itself, is recorded as a file that gives it again, and serves RecBole."""

import os
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import recbole.config
import torch
import yaml
from configs import Toy, toy
from recbole.data import create_dataset, data_preparation
from recbole.trainer import TraditionalTrainer
from recbole.utils import InputType, argument_list, get_model, init_seed

from recbole_cllm4rec.config import Config
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.registry import resolve
from recbole_cllm4rec.yamlio import dump_yaml

# What a configuration leaves alone


def test_nothing_leaks(write: Callable[[str, Any], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["run", "--epochs=99", "--seed=1/0"])
    write("properties/dataset/toy.yaml", {"text_fields": {"item": ["title"]}})
    overrides = {"train_neg_sample_args": {"distribution": "popularity"}, "eval_args.order": "TO"}
    given, arguments = deepcopy(overrides), deepcopy(argument_list.dataset_arguments)
    resolvers = deepcopy(yaml.FullLoader.yaml_implicit_resolvers)
    first = toy(**overrides)
    first["load_col"]["inter"].append("mine")
    first["eval_args"]["split"]["RS"][0] = 99
    second = toy()
    assert overrides == given
    assert argument_list.dataset_arguments == arguments
    assert yaml.FullLoader.yaml_implicit_resolvers == resolvers
    assert second["epochs"] == 300
    assert "mine" not in second["load_col"]["inter"]
    assert second["eval_args"]["split"] == {"RS": [0.8, 0.1, 0.1]}
    assert second["train_neg_sample_args"]["distribution"] == "uniform"


def test_text_is_never_evaluated(write: Callable[[str, Any], Path]) -> None:
    for text in ("1/0", "[1, 2]", "__import__('os').getcwd()", "True"):
        assert toy(pooling=text)["pooling"] == text


def test_use_gpu_false_is_the_cpu(write: Callable[[str, Any], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(sys, "argv", ["run"])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    stock = recbole.config.Config(model=Toy, dataset="toy", config_dict={"use_gpu": False, "valid_metric": "MRR@10"})
    assert stock["device"].type == "cuda"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")

    assert toy(use_gpu=False)["device"].type == "cpu"
    assert toy(gpu_id="")["device"].type == "cpu"
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    assert toy()["device"].type == "cuda"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"


def test_the_gpus_of_the_environment_are_kept(
    write: Callable[[str, Any], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["run"])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    recbole.config.Config(model="EASE", dataset="toy")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"  # RecBole's default, whatever was there

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    toy()
    toy(use_gpu=False)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "3"
    toy(gpu_id="1,2")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "1,2"


# The record of a configuration


@pytest.mark.parametrize(
    ("model", "overrides"),
    [
        ("EASE", {"reg_weight": 1e-3, "eval_args.mode": "uni100", "use_gpu": False}),
        ("LightGCN", {"topk": [20, 40, 100, 7], "train_neg_sample_args": {"distribution": "popularity"}}),
        ("MultiVAE", {"train_neg_sample_args": None, "run_name": "1e3"}),
        ("SASRec", {"train_neg_sample_args": None}),
        ("FM", {}),
    ],
)
def test_effective_gives_the_configuration_again(
    model: str, overrides: dict[str, Any], write: Callable[[str, Any], Path]
) -> None:
    config = Config(model, "ml-100k", (), overrides)
    effective = config.effective()
    assert list(effective) == sorted(effective)
    again = Config(model, "ml-100k", [write("effective.yaml", dump_yaml(effective))])
    assert again.effective() == effective
    assert again.final_config_dict == config.final_config_dict | {"model": model, "dataset": "ml-100k"}


def test_effective_holds_what_was_set_later(write: Callable[[str, Any], Path]) -> None:
    config = toy(**{"data_path": "elsewhere"})
    config["epochs"] = 3
    effective = config.effective()
    assert (effective["epochs"], effective["data_path"], effective["model"]) == (3, "elsewhere", "Toy")
    assert not {"device", "MODEL_TYPE", "MODEL_INPUT_TYPE", "eval_type", "single_spec", "local_rank"} & set(effective)


IN_ORDER = {"eval_args": {"order": "TO", "split": {"LS": "valid_and_test"}}}


@pytest.mark.parametrize("name", ["CLLM4Rec", "TextEASE"])
def test_the_latest_items_count_most_only_where_the_split_leaves_an_order(name: str) -> None:
    def recency(**overrides: Any) -> Any:
        entry = resolve(name)
        return Config(entry.model, "ml-100k", (), overrides, entry.options)["recency"]

    assert recency() == 1.0
    assert recency(**IN_ORDER) == "auto"
    assert recency(**IN_ORDER, recency=0.5) == 0.5
    split_before = ["train", "valid", "test"]  # by what, the files do not say
    assert recency(**{"eval_args.order": "TO"}, benchmark_filename=split_before) == 1.0
    assert recency(benchmark_filename=split_before, recency=0.5) == 0.5
    with pytest.raises(UserError, match=r"^recency is 0\.5, but eval_args\.order is RO"):
        recency(recency=0.5)


def test_effective_is_plain(write: Callable[[str, Any], Path]) -> None:
    config = toy()
    values = {"metrics": ("Recall", "PaperScore"), "seed": torch.tensor(3).numpy()[()], "threshold": InputType.PAIRWISE}
    for key, value in (values | {"clip_grad_norm": {2: torch.device("cpu")}}).items():
        config[key] = value
    effective = config.effective()
    assert effective["metrics"] == ["Recall", "PaperScore"]
    assert (effective["seed"], type(effective["seed"])) == (3, int)
    assert effective["threshold"] == "PAIRWISE"
    assert effective["clip_grad_norm"] == {"2": "cpu"}


# With RecBole


def test_recbole_trains_and_evaluates_with_it(write: Callable[[str, Any], Path]) -> None:
    pairs = [f"u{user}\ti{(user * 7 + step * 3) % 110}\t5\t{step}" for user in range(12) for step in range(20)]
    items = [f"u99\ti{item}\t5\t{item}" for item in range(109)]  # enough items for the metrics, which rank 100
    header = "user_id:token\titem_id:token\trating:float\ttimestamp:float"
    write("dataset/toy/toy.inter", "\n".join([header, *pairs, *items]) + "\n")
    config = Config("EASE", "toy", (), {"show_progress": False, "use_gpu": False})
    init_seed(config["seed"], config["reproducibility"])
    train, valid, test = data_preparation(config, create_dataset(config))
    trainer = TraditionalTrainer(config, get_model("EASE")(config, train._dataset))
    score, best = trainer.fit(train, valid)
    assert score == best["paperscore"]
    assert score == pytest.approx(best["cappedrecall@20"] + best["cappedrecall@40"] + best["ndcg@100"], abs=3e-6)
    result = trainer.evaluate(test, load_best_model=True)
    assert set(result) == {
        "paperscore",
        *(f"{m}@{k}" for m in ("recall", "ndcg", "cappedrecall") for k in (20, 40, 100)),
    }
    assert 0 < result["recall@100"] <= 1
