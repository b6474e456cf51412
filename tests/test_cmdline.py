"""The command line: its three forms, its types, and every mistake in one line."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_cllm4rec.cmdline import parse
from recbole_cllm4rec.errors import UserError

WORDS = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=8)
KEYS = st.from_regex(r"[a-z_]\w{0,5}(\.[a-zA-Z]{1,5}){0,2}", fullmatch=True)
WHOLE = st.integers(1 - 2**63, 2**63 - 1)
VALUES = st.recursive(
    st.none() | st.booleans() | WHOLE | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("line", "options"),
    [
        ("", {}),
        ("--epochs=3", {"epochs": 3}),
        ("--epochs 3", {"epochs": 3}),
        ("--learning_rate=1e-3 --state=INFO", {"learning_rate": 0.001, "state": "INFO"}),
        ("--download", {"download": True}),
        ("--download --epochs 3", {"download": True, "epochs": 3}),
        ("--download=False", {"download": False}),
        ("--threshold -1", {"threshold": -1}),
        ("--threshold=-1.5e2", {"threshold": -150.0}),
        ("--eval_args.split.RS=[0.8,0.1,0.1]", {"eval_args.split.RS": [0.8, 0.1, 0.1]}),
        ("--eval_args={'order':'TO'}", {"eval_args": {"order": "TO"}}),
        ("--path=a=b", {"path": "a=b"}),
        ("--path --=x", None),
        ("--gpu_id=", {"gpu_id": ""}),
        ("--gpu_id=0,1", {"gpu_id": "0,1"}),
        ("--train_neg_sample_args=None", {"train_neg_sample_args": None}),
        ("--user_inter_num_interval=[5,inf)", {"user_inter_num_interval": "[5,inf)"}),
        ("--user_inter_num_interval=(5,10]", {"user_inter_num_interval": "(5,10]"}),
        ("--epochs=3 --epochs 3", {"epochs": 3}),
        ("--backbone=__import__('os').getcwd()", {"backbone": "__import__('os').getcwd()"}),
    ],
)
def test_forms_and_types(line: str, options: dict[str, Any] | None) -> None:
    if options is None:
        with pytest.raises(UserError, match="no proper name"):
            parse(line.split())
    else:
        assert parse(line.split()) == options
        assert list(map(type, parse(line.split()).values())) == list(map(type, options.values()))


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["EASE"], "'EASE' is not an option"),
        (["-x=1"], "'-x=1' is not an option"),
        (["--a=1", "2"], "'2' is not an option"),
        (["--a", "1", "2"], "'2' is not an option"),
        (["--"], "no proper name"),
        (["--=1"], "no proper name"),
        (["--a..b=1"], "no proper name"),
        (["--a b=1"], "no proper name"),
        (["--a=[1"], "--a: '[1' is not YAML"),
        (["--a", "{b"], "--a: '{b' is not YAML"),
        (["--a={b: 1, b: 2}"], "'b' appears twice"),
        (["--a=1", "--b=2", "--a=3"], "--a is given twice, as 1 and as 3"),
        (["--a=1", "--a"], "--a is given twice, as 1 and as True"),
        (["--a=word #comment"], "would start a YAML comment"),
        (["--a=#word"], "would start a YAML comment"),
    ],
)
def test_mistakes(argv: list[str], message: str) -> None:
    with pytest.raises(UserError) as caught:
        parse(argv)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["2024_01", "007", "1e5", "yes", "null", "[a"])
def test_the_name_of_a_folder_is_what_stands_there(name: str) -> None:
    for key in ("dataset", "data_path"):
        assert parse([f"--{key}={name}"]) == parse([f"--{key}", name]) == {key: name}
    assert parse(["--dataset='007'"]) == {"dataset": "007"}
    assert parse(["--dataset"]) == {"dataset": True}  # which is no name


@pytest.mark.parametrize("text", ['"word #1"', "word#1", "{a: 'b #1'}", "[a, '#1']"])
def test_a_hash_that_starts_no_comment_is_text(text: str) -> None:
    assert "#1" in str(parse([f"--a={text}"])["a"])


@given(st.dictionaries(KEYS, VALUES, max_size=4), st.booleans())
def test_any_value_comes_back(options: dict[str, Any], joined: bool) -> None:
    texts = {key: json.dumps(value, ensure_ascii=False) for key, value in options.items()}
    if joined:
        argv = [f"--{key}={text}" for key, text in texts.items()]
    else:
        argv = [word for key, text in texts.items() for word in (f"--{key}", text)]
    assert parse(argv) == options


@given(st.lists(st.text(max_size=6) | st.text(max_size=6).map(lambda text: f"--a={text}"), max_size=3))
def test_nothing_but_a_user_error_is_ever_raised(argv: list[str]) -> None:
    with suppress(UserError):
        assert all(isinstance(key, str) for key in parse(argv))
