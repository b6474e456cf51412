"""YAML: the readings that differ from PyYAML's, and that PyYAML itself is left alone."""

from copy import deepcopy
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from recbole_cllm4rec.yamlio import dump_yaml, load_yaml, problem_of

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=6
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E5", 100000.0),
        ("-.5e+2", -50.0),
        ("1.", 1.0),
        ("12", 12),
        ("1e", "1e"),
        ("None", None),
        ("~", None),
        ("Nonesuch", "Nonesuch"),
        ("True", True),
        ("2024-01-31", "2024-01-31"),
        ("{'RS':[0.8,0.1,0.1]}", {"RS": [0.8, 0.1, 0.1]}),
    ],
)
def test_readings(text: str, value: Any) -> None:
    read = load_yaml(text)
    assert read == value
    assert type(read) is type(value)


@given(VALUES)
def test_what_is_written_is_read_again(value: Any) -> None:
    assert load_yaml(dump_yaml(value)) == value


@pytest.mark.parametrize("text", ["1e-3", "None", "2024-01-31", "0b_", "true", "12", "", "\x85", "\u2028"])
def test_text_that_looks_like_something_else_stays_text(text: str) -> None:
    assert load_yaml(dump_yaml([text])) == [text]
    assert load_yaml(dump_yaml({text: 1})) == {text: 1}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\nb: [2\nc: 3", "line 3"),
        ("a: 1\nb: 2\na: 3", "line 3: 'a' appears twice"),
        ("x: {a: 1, a: 2}", "line 1: 'a' appears twice"),
        ("a: !!python/name:os.system", "line 1: could not determine a constructor"),
        ("0b_", "invalid literal"),
        ("a: \x00", "special characters"),
    ],
)
def test_malformed_text_is_named_with_its_line(text: str, problem: str) -> None:
    with pytest.raises(yaml.YAMLError) as caught:
        load_yaml(text)
    assert problem in problem_of(caught.value)
    assert "\n" not in problem_of(caught.value)


def test_a_list_is_no_key() -> None:
    with pytest.raises(yaml.YAMLError, match="unhashable"):
        load_yaml("{[1]: 2}")


def test_pyyaml_is_left_alone() -> None:
    loaders = (yaml.SafeLoader, yaml.FullLoader, yaml.SafeDumper)
    before = [deepcopy(loader.yaml_implicit_resolvers) for loader in loaders]
    load_yaml("1e-3")
    assert [loader.yaml_implicit_resolvers for loader in loaders] == before
    assert yaml.safe_load("None") == "None"
