"""The configuration: which layer wins, what is refused, and that nothing leaks out of it."""

import os
import sys
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
import recbole.config
import torch
import yaml
from recbole.data import create_dataset, data_preparation
from recbole.model.abstract_recommender import GeneralRecommender
from recbole.trainer import TraditionalTrainer
from recbole.utils import InputType, argument_list, get_model, init_seed

from recbole_cllm4rec import config_layers
from recbole_cllm4rec.config import Config, model_names, properties_dir
from recbole_cllm4rec.config_check import PluginOptions
from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.options import AtLeast, read_options
from recbole_cllm4rec.yamlio import dump_yaml

OVERALL = properties_dir() / "overall.yaml"


class Toy(GeneralRecommender):
    """A model that only a configuration is made for."""

    input_type = InputType.PAIRWISE


@dataclass(frozen=True)
class ToyOptions:
    """The options of :class:`Toy`."""

    layers: Annotated[int, AtLeast(1)]
    pooling: str


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Any], Path]:
    """Writes a yaml below the working folder, where ``properties`` stands in for the plugin's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(config_layers, "properties_dir", lambda: tmp_path / "properties")

    def write(name: str, values: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(values if isinstance(values, str) else dump_yaml(values), encoding="utf-8")
        return path

    write("properties/overall.yaml", OVERALL.read_text(encoding="utf-8"))
    write("properties/model/Toy.yaml", {"layers": 2, "pooling": "mean"})
    return write


def toy(*files: str | Path, **overrides: Any) -> Config:
    return Config(Toy, "toy", files, overrides, ToyOptions)


def refusal(*args: Any) -> str:
    """The message with which a configuration is refused."""
    with pytest.raises(UserError) as caught:
        Config(*args)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Layers


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


def test_properties_are_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert (properties_dir() / "overall.yaml").is_file()
    installed = tmp_path / "site-packages" / "recbole_cllm4rec"
    (installed / "properties").mkdir(parents=True)
    monkeypatch.setattr(config_layers, "__file__", str(installed / "config_layers.py"))
    assert properties_dir() == installed / "properties"


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


def test_model_names(write: Callable[[str, Any], Path]) -> None:
    assert {"EASE", "BPR", "SASRec", "Random", "Toy"} <= set(model_names())


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
            "RecBole refuses this configuration: Ranking metrics and",
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
        ({"eval_args.split": {}}, "eval_args.split is one of RS, LS and TS"),
        ({"eval_args": "full"}, "eval_args takes a mapping"),
        (
            {"train_neg_sample_args.sample_num": 0},
            "train_neg_sample_args.sample_num takes a whole number of at least 1",
        ),
        ({"train_neg_sample_args.number": 1}, "train_neg_sample_args has no entry 'number'"),
        ({"history_mask": "test"}, "history_mask takes one of 'train', 'train+valid', not 'test'"),
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
    assert message == "RecBole refuses this configuration: Full sort evaluation do not match value-based metrics!"


def test_values_are_converted_to_their_types(write: Callable[[str, Any], Path]) -> None:
    assert repr(toy(learning_rate=1)["learning_rate"]) == "1.0"
    dcn = Config("DCN", "toy", (), {"reg_weight": 0.5, "TIME_FIELD": None})  # in RecBole's yaml, 2
    assert (dcn["reg_weight"], dcn["TIME_FIELD"]) == (0.5, None)
    assert toy(topk=[100, 40, 20], gpu_id=0)["gpu_id"] == "0"


def test_read_options_from_a_configuration(write: Callable[[str, Any], Path]) -> None:
    config = toy(pooling="last")
    assert read_options(ToyOptions, config) == ToyOptions(layers=2, pooling="last")
    assert read_options(PluginOptions, config).history_mask == "train+valid"


# Files


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
