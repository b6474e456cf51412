"""What a configuration may say: names that somebody reads, and values that are legal."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from configs import Toy, ToyOptions, refusal, toy

from recbole_cllm4rec.config import Config
from recbole_cllm4rec.config_check import PluginOptions
from recbole_cllm4rec.options import read_options

# Names


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"epocs": 3}, "'epocs' is not an option; did you mean 'epochs'?"),
        ({"eval_arg.order": "TO"}, "'eval_arg' is not an option; did you mean 'eval_args'?"),
        ({"poolin": "x"}, "'poolin' is not an option; did you mean 'pooling'?"),
        ({"zzz": 1}, "'zzz' is not an option"),
        ({"anneal_cap": 0.2}, "'anneal_cap' is an option of LDiffRec, MacridVAE, MultiVAE, ..., not of Toy"),
        ({"reg_weight": 1}, "'reg_weight' is an option of AFM, Caser, DCN, ..., not of Toy"),
        ({"kfac": 3}, "'kfac' is an option of MacridVAE, not of Toy"),
        (
            {"eval_args.oder": "TO"},
            "eval_args has no entry 'oder', only split, order, group_by, mode; did you mean 'order'?",
        ),
    ],
)
def test_unknown_names(overrides: dict[str, Any], message: str, write: Callable[[str, Any], Path]) -> None:
    assert refusal(Toy, "toy", (), overrides, ToyOptions) == message


@pytest.mark.parametrize("name", ["properties/dataset/toy.yaml", "dataset/toy/toy.yaml", "mine.yaml"])
def test_files_with_unknown_names_are_named(name: str, write: Callable[[str, Any], Path]) -> None:
    path = write(name, {"epocs": 3})
    files = [path] if name == "mine.yaml" else []
    source = path if name != "dataset/toy/toy.yaml" else name
    assert refusal(Toy, "toy", files) == f"{source}: 'epocs' is not an option; did you mean 'epochs'?"


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("ease", "no model is called 'ease'; did you mean 'EASE'?"),
        ("LightGNC", "no model is called 'LightGNC'; did you mean 'LightGCN'?"),
        ("???", "no model is called '???'"),
        ("Toy", "Toy is not RecBole's: pass its class, registry.resolve('Toy').model"),
        ("lightgbm", "model 'lightgbm' needs the package lightgbm: pip install lightgbm"),
    ],
)
def test_unknown_models(
    model: str, message: str, write: Callable[[str, Any], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)  # as where it is not installed
    assert refusal(model, "ml-100k") == message


def test_keys_that_no_yaml_has_are_known(write: Callable[[str, Any], Path]) -> None:
    assert toy(tail_ratio=0.2)["tail_ratio"] == 0.2
    assert Config("HRM", "toy", (), {"reg_weight": 0.1, "train_neg_sample_args": None})["reg_weight"] == 0.1


# Values


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"epochs": -1}, "epochs takes a whole number of at least 0, not -1"),
        ({"epochs": 1.5}, "epochs takes a whole number of at least 0, not 1.5"),
        ({"train_batch_size": 0}, "train_batch_size takes a whole number of at least 1, not 0"),
        ({"learning_rate": 0}, "learning_rate takes a number above 0, not 0"),
        ({"learner": "adm"}, "learner takes one of 'adam',"),
        ({"state": "info"}, "state takes one of 'DEBUG',"),
        ({"show_progress": 1}, "show_progress takes true or false, not 1"),
        ({"USER_ID_FIELD": 3}, "USER_ID_FIELD takes a name, not 3; put it in quotes to mean text"),
        ({"layers": 0}, "layers takes a whole number of at least 1, not 0"),
        ({"topk": [20, 0]}, "topk takes"),
        ({"metrics": ["Recal"]}, "metrics has 'Recal', which is no metric; did you mean 'Recall'?"),
        ({"table_metrics": ["ndgc@100"]}, "table_metrics has 'ndgc', which is no metric"),
        ({"topk": [20, 40]}, "PaperScore needs 20, 40 and 100 in topk, which lacks 100"),
        ({"metrics": ["NDCG"]}, "valid_metric is 'PaperScore', which is not among metrics: NDCG"),
        ({"valid_metric": "PaperScore@20"}, "valid_metric is PaperScore@20, but PaperScore is one number"),
        ({"valid_metric": "NDCG"}, "valid_metric is NDCG, but NDCG takes @k with k from topk: [20, 40, 100]"),
        ({"valid_metric": "NDCG@10"}, "valid_metric is NDCG@10, but NDCG takes @k with k from topk: [20, 40, 100]"),
        (
            {"metrics": ["AUC", "NDCG"], "valid_metric": "AUC"},
            "RecBole refuses this configuration of Toy: Ranking metrics and",
        ),
        ({"eval_args.order": "random"}, "eval_args.order takes one of 'RO', 'TO', not 'random'"),
        ({"eval_args.group_by": "item"}, "eval_args.group_by takes one of 'user', 'none' or null, not 'item'"),
        ({"eval_args.mode": "uni"}, "eval_args.mode takes full, labeled, uniN or popN"),
        ({"eval_args.mode": {"test": "unis"}}, "eval_args.mode takes full, labeled, uniN or popN"),
        ({"eval_args.split.LS": "test_only"}, "eval_args.split is one of RS, LS and TS"),
        ({"eval_args.split": {"LS": "testonly"}}, "eval_args.split.LS takes one of"),
        ({"eval_args.split": {"RS": [0.9, 0.1]}}, "eval_args.split.RS takes three shares"),
        ({"eval_args.split": {"RS": [0, 1, 1]}}, "eval_args.split.RS takes three shares"),
        ({"eval_args.split": {"TS": [0.8, -0.1, 0.1]}}, "eval_args.split.TS takes a list of (a number of at least 0)"),
        ({"eval_args.split": {"TS": [0.8, 0.1, 0.1]}}, "eval_args.split is TS, but eval_args.order is RO"),
        ({"eval_args.split": {}}, "eval_args.split is one of RS, LS and TS"),
        ({"eval_args": "full"}, "eval_args takes a mapping"),
        (
            {"train_neg_sample_args.sample_num": 0},
            "train_neg_sample_args.sample_num takes a whole number of at least 1",
        ),
        ({"train_neg_sample_args.number": 1}, "train_neg_sample_args has no entry 'number'"),
        ({"history_mask": "test"}, "history_mask takes one of 'train', 'train+valid', not 'test'"),
        (
            {"history_read": "train+valid", "history_mask": "train"},
            "history_read is train+valid, but history_mask is train, so that items just read would be recommended",
        ),
        ({"text_fields": {"itm": ["title"]}}, "text_fields takes a mapping from (one of 'user', 'item', 'inter')"),
        ({"text_template.item": 3}, "text_template takes a mapping"),
        ({"download": "yes"}, "download takes true or false, not 'yes'"),
        ({"model": "EASE"}, "model takes 'Toy', not 'EASE'"),
        ({"dataset": "yelp"}, "dataset takes 'toy', not 'yelp'"),
    ],
)
def test_illegal_values(overrides: dict[str, Any], message: str, write: Callable[[str, Any], Path]) -> None:
    assert refusal(Toy, "toy", (), overrides, ToyOptions).startswith(message)


def test_an_illegal_value_in_a_file_is_named_with_the_file(write: Callable[[str, Any], Path]) -> None:
    path = write("mine.yaml", {"seed": "x"})
    assert refusal(Toy, "toy", [path]).startswith(f"{path}: seed takes a whole number from 0 to 4294967295, not 'x'")
    write(
        "properties/model/Toy.yaml", {"layers": 2, "pooling": "mean", "variant": "a", "variants": {"a": {"seed": "x"}}}
    )
    assert refusal(Toy, "toy").startswith("variant a: seed takes")


def test_recbole_refuses_in_one_line(write: Callable[[str, Any], Path]) -> None:
    message = refusal("FM", "toy", (), {"eval_args.mode": "full"})
    assert message == "RecBole refuses this configuration of FM: Full sort evaluation do not match value-based metrics!"


def test_values_are_converted_to_their_types(write: Callable[[str, Any], Path]) -> None:
    assert repr(toy(learning_rate=1)["learning_rate"]) == "1.0"
    dcn = Config("DCN", "toy", (), {"reg_weight": 0.5, "TIME_FIELD": None})  # in RecBole's yaml, 2
    assert (dcn["reg_weight"], dcn["TIME_FIELD"]) == (0.5, None)
    assert toy(topk=[100, 40, 20], gpu_id=0)["gpu_id"] == "0"


def test_read_options_from_a_configuration(write: Callable[[str, Any], Path]) -> None:
    config = toy(pooling="last")
    assert read_options(ToyOptions, config) == ToyOptions(layers=2, pooling="last")
    assert read_options(PluginOptions, config).history_mask == "train+valid"
