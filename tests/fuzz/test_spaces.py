"""Files of search spaces: yaml and RecBole's lines."""

from pathlib import Path
from typing import Any

import yaml
from fuzzing import cases, ground, refuses
from hypothesis import example, given
from hypothesis import strategies as st
from mutations import changed_bytes, changed_tree

from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.tuning.spacefile import read_space

SPACE = {
    "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
    "dropout_prob": {"low": 0.0, "high": 0.5, "step": 0.1},
    "n_layers": {"low": 1, "high": 4},
    "mask_share": {"choices": [0.2, [0.1, 0.6], "a", {"b": None}]},
}
LINES = b"""\
learning_rate loguniform -8,0
embedding_size choice [64,96,128]
mlp_hidden_size choice ['[64,64,64]','[128,128]']
dropout_prob uniform 0,0.5
n_layers quniform 1,4,1
"""
TOKENS = [
    b"quniform ",
    b"choice ",
    b"1e308",
    b"1e-308",
    b"nan",
    b"inf",
    b"-8",
    b"'[",
    b"(",
    b"9" * 400,
    b"__import__('os')",
]


def _read(name: str, content: bytes) -> None:
    with ground() as folder:
        Path(name).write_bytes(content)
        refuses(lambda: read_space(Path(name)), UserError)
        assert folder.is_dir()


@cases(2)
@given(changed_tree(SPACE))
@example({"a": {"low": 0, "high": 1e300, "step": 1e-300}})
@example({"a": {"low": 0, "high": 10**400}})
def test_yaml(tree: Any) -> None:
    _read("space.yaml", yaml.dump(tree).encode("utf-8", "surrogatepass"))


@cases(2)
@given(changed_bytes(yaml.dump(SPACE).encode()), st.sampled_from(["space.yaml", "space.yml"]))
@example(b"a: &a {choices: [*a]}\n", "space.yaml")
@example(b"? [a]\n: 1\n", "space.yaml")
def test_bytes_of_yaml(content: bytes, name: str) -> None:
    _read(name, content)


@cases(2)
@given(changed_bytes(LINES, TOKENS))
@example(b"a quniform 1e308,1e308,1e-308\n")
@example(b"a choice " + b"[" * 3000 + b"\n")
@example(b"a loguniform 1000,2000\n")
def test_lines(content: bytes) -> None:
    _read("model.hyper", content)
