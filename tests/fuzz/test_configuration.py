"""Configuration files and options: known names with odd values, odd names, and yaml that is damaged."""

from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
import yaml
from fuzzing import POP, cases, ground, judged
from hypothesis import example, given
from hypothesis import strategies as st
from mutations import changed_bytes, changed_tree, values

from recbole_cllm4rec.config import Config
from recbole_cllm4rec.config_check import _RECBOLE_OPTIONS
from recbole_cllm4rec.config_rules import RULES

# These start processes, reach for the network, or write where they are told; worker processes are many at 10**9.
ELSEWHERE = {"worker", "nproc", "world_size", "local_rank", "offset", "ip", "port", "download", "log_wandb"}
TAKEN = {"model", "dataset"}
SHOP = {
    "load_col": {"inter": ["user_id", "item_id", "timestamp"], "item": ["item_id"]},
    "text_fields": {"item": ["title"]},
    "text_template": {"item": "{title}."},
    "eval_args": {
        "split": {"RS": [0.6, 0.2, 0.2]},
        "order": "TO",
        "group_by": "user",
        "mode": {"valid": "full", "test": "full"},
    },
    "metrics": ["NDCG", "Recall"],
    "topk": [1, 3],
    "valid_metric": "NDCG@3",
    "user_inter_num_interval": "[2,inf)",
    "val_interval": {"timestamp": "[0,inf)"},
    "seq_len": {"title": 3},
    "clip_grad_norm": {"max_norm": 1.0},
    "train_neg_sample_args": {"distribution": "uniform", "sample_num": 1},
    "for_model": {"Pop": {"epochs": 1}},
}
TEXT = b"""\
# the columns of the shop
load_col: {inter: [user_id, item_id, timestamp]}
text_fields: &fields
  item: [title]
eval_args:
  split: {'RS': [0.6, 0.2, 0.2]}
  order: TO
topk: [3]
metrics: [NDCG]
valid_metric: NDCG@3
learning_rate: 1e-3
data_path: "dataset"
threshold: ~
for_model: {Pop: {epochs: 1}}
"""
TOKENS = [
    b"&a ",
    b"*fields",
    b"*b",
    b"<<: *fields\n",
    b"!!",
    b"!!binary ",
    b"--- ",
    b"\t",
    b"? ",
    b"- ",
    b"topk: 1\n",
    b"%YAML 9\n",
]


# Values of the right kind somewhere: they go deeper than those that are wrong for every option.
NAMES = [
    "user_id",
    "item_id",
    "timestamp",
    "title",
    "rating",
    "label",
    "item_id_list",
    "inter",
    "item",
    "user",
    "kg",
    "net",
    "*",
]
WORDS = [
    "full",
    "labeled",
    "uni3",
    "pop2",
    "uni900",
    "RO",
    "TO",
    "none",
    "user",
    "first",
    "last",
    "adam",
    "sgd",
    "sparse_adam",
    "BPR",
]
WORDS += [
    "CE",
    "AUC",
    "RMSE",
    "Recall",
    "NDCG@3",
    "recall@3",
    "GAUC",
    "[0,inf)",
    "(3,1]",
    "[2,3];[9,9]",
    "mask_itemseq",
    "utf-16",
    ",",
]
WORDS += [
    "ED",
    "LD",
    "uniform",
    "popularity",
    "valid_and_test",
    "test_only",
    "train",
    "shop",
    "NDCG",
    "{title}",
    "ItemCoverage",
]
SIZES = [0, 1, 2, 3, 5, 64, 300, -1, 0.0, 0.1, 0.5, 1.0, 2.5, 1e-9, 1e30, True, False, None]
words = st.sampled_from([*NAMES, *WORDS])
sizes = st.sampled_from(SIZES)
PARTS = [
    "split",
    "mode",
    "order",
    "group_by",
    "RS",
    "LS",
    "TS",
    "valid",
    "test",
    "distribution",
    "sample_num",
    "dynamic",
    "alpha",
]
PARTS += ["candidate_num", "max_norm", "norm_type", "method", "bucket", *NAMES]
plain = words | sizes | st.lists(words, max_size=3) | st.lists(sizes, max_size=3)
plausible = plain | st.dictionaries(
    st.sampled_from(PARTS), plain | st.dictionaries(st.sampled_from(PARTS), plain, max_size=2), max_size=3
)


def _options() -> list[str]:
    return sorted(set(Config("Pop", "shop").asked) - ELSEWHERE - TAKEN)


@pytest.fixture(scope="module")
def options() -> list[str]:
    """Every option that Pop has, RecBole's of data and evaluation among them."""
    return _options()


def _written(options: dict[Any, Any], path: str = "shop.yaml") -> None:
    Path(path).write_text(yaml.dump(options, allow_unicode=False), encoding="utf-8", errors="surrogatepass")


@cases()
@given(data=st.data(), value=values)
def test_a_value_of_a_known_option(data: st.DataObject, value: Any, options: list[str]) -> None:
    key = data.draw(st.sampled_from(options))
    with ground():
        _written({key: value})
        judged([*(word for word in POP if not word.startswith(f"--{key}=")), "--config_files=shop.yaml"])


@cases()
@given(changed_tree(SHOP))
@example({**SHOP, "eval_args": {"mode": {"test": "full"}}})
@example({**SHOP, "eval_args": {"order": "TO", "split": {"TS": [1e-300, 0, 1]}}})
@example({**SHOP, "metrics": []})
@example({**SHOP, "topk": []})
@example({**SHOP, "threshold": {"timestamp": 3}})
@example({**SHOP, "threshold": {"nothing": 3}})
@example({**SHOP, "val_interval": {"user_id": "[0,1]"}})
@example({**SHOP, "alias_of_item_id": ["title"]})
@example({**SHOP, "unused_col": {"kg": ["user_id"]}})
@example({**SHOP, "numerical_features": ["age"]})
@example({**SHOP, "field_separator": ""})
@example({**SHOP, "encoding": "idna"})
@example({**SHOP, "text_template": {"item": "{title[a]}"}})
def test_the_yaml_of_a_dataset(tree: Any) -> None:
    with ground():
        _written(tree, "dataset/shop/shop.yaml")
        judged(
            ["--model=Pop", "--dataset=shop", "--gpu_id=", "--topk=[3]", "--metrics=[NDCG]", "--valid_metric=NDCG@3"]
        )


@cases()
@given(changed_bytes(TEXT, TOKENS), st.booleans())
@example(b"a: &a [&b [*a]]\n", True)
@example(b"a: [" * 300, True)
@example(b"&a [1]: 2\n", True)
@example(b"- 1\n- 2\n", False)
def test_bytes_of_a_yaml(content: bytes, of_dataset: bool) -> None:
    with ground():
        Path("dataset/shop/shop.yaml" if of_dataset else "shop.yaml").write_bytes(content)
        more = [] if of_dataset else ["--config_files=shop.yaml"]
        judged(["--model=Pop", "--dataset=shop", "--gpu_id=", *more])


def _legal(kind: Any) -> st.SearchStrategy[Any]:
    """Values that an option of this kind may have."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _legal(args[0]).filter(lambda value: all(bound.holds(value) for bound in args[1:]))
    if origin in (Union, UnionType):
        return st.one_of(*map(_legal, args))
    if origin is Literal:
        return st.sampled_from(args)
    if origin is list:
        return st.lists(_legal(args[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(_legal(args[0]), _legal(args[1]), max_size=2)
    of_kind = [size for size in SIZES if type(size) is kind]
    return (
        st.sampled_from(of_kind) if of_kind else words if kind is str else st.none() if kind is NoneType else plausible
    )


@cases(2)
@given(
    data=st.data(),
    n_options=st.integers(1, 3),
    model=st.sampled_from(["Pop", "Pop", "EASE", "BPR", "ItemKNN", "SASRec"]),
)
def test_legal_values(data: st.DataObject, n_options: int, model: str) -> None:
    defaults = Config(model, "shop").asked
    known = sorted(set(defaults) - ELSEWHERE - TAKEN)
    asked: dict[str, Any] = {"epochs": 1}
    for key in data.draw(st.lists(st.sampled_from(known), min_size=n_options, max_size=n_options)):
        asked[key] = data.draw(_legal({**_RECBOLE_OPTIONS, **RULES}.get(key, type(defaults[key]))))
    asked["epochs"] = min(1, asked["epochs"])
    with ground():
        _written(asked)
        mine = [word for word in POP[1:] if word.partition("=")[0][2:] not in asked]
        judged([f"--model={model}", *mine, "--config_files=shop.yaml"])
