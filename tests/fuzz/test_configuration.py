"""Configuration files and options: known names with odd values, odd names, and yaml that is damaged."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from fuzzing import POP, cases, ground, judged
from hypothesis import example, given
from hypothesis import strategies as st
from mutations import changed_bytes, changed_tree, values

from recbole_cllm4rec.config import Config

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
@example({**SHOP, "eval_args": {"split": {"TS": [1e-300, 0, 1]}}})
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
