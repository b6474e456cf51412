"""Domains: what lies in them, and which are refused."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.tuning.space import Choice, Range, Space

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(plain)
def test_a_choice_of_any_plain_value_survives_its_code(value: object) -> None:
    (code,) = Choice([value]).codes()
    back = Choice([value]).decode(code)
    assert back == value
    assert type(back) is type(value)


def test_choices_that_python_takes_for_equal_are_different() -> None:
    choice = Choice([1, 1.0, True, "1"])
    assert [type(choice.decode(code)) for code in choice.codes()] == [int, float, bool, str]


@pytest.mark.parametrize(
    ("domain", "inside", "outside"),
    [
        (Range(1, 4), [1, 4], [0, 5, 2.0, True, "2", None]),
        (Range(0.1, 0.5), [0.1, 0.3, 0.5], [0.09, 0.51, "0.3"]),
        (Range(1.0, 100.0, log=True), [1, 50.5], [0.5]),
        (Range(0.0, 0.5, step=0.1), [0, 0.3, 0.5], [0.25]),
        (Range(16, 64, step=16), [48], [40]),
        (Choice([0.2, [0.1, 0.6]]), [0.2, [0.1, 0.6]], [0.1, [0.6, 0.1]]),
    ],
)
def test_what_lies_in_a_domain(domain: Range | Choice, inside: list[object], outside: list[object]) -> None:
    assert [domain.holds(value) for value in inside + outside] == [True] * len(inside) + [False] * len(outside)


def test_a_step_leaves_no_rounding_error_behind() -> None:
    assert Range(0.0, 0.5, step=0.1).decode(0.1 + 0.1 + 0.1) == 0.3


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"low": 4, "high": 1}, "low 4 is not below high 1"),
        ({"low": 2, "high": 2}, "low 2 is not below high 2"),
        ({"low": 0.0, "high": 1.0, "log": True}, "low 0.0 has no logarithm"),
        ({"low": 1, "high": 8, "log": True, "step": 1}, "log and step exclude each other"),
        ({"low": 0, "high": 1, "step": -1}, "step -1 is not above 0"),
        ({"low": 0.0, "high": 0.55, "step": 0.1}, "high 0.55 is no multiple of step 0.1 above low 0.0"),
        ({"low": 0.0, "high": float("inf")}, "is not finite"),
    ],
)
def test_a_range_of_nothing_is_refused(bounds: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        Range(**bounds)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("choices", "message"),
    [([], "choices is empty"), ([[1], 2, [1]], "choices has [1] twice"), ([{1, 2}], "choices takes numbers")],
)
def test_choices_of_nothing_are_refused(choices: list[object], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        Choice(choices)


def test_every_choice_and_both_ends_of_a_range_are_tried_one_at_a_time() -> None:
    tried = []
    space = Space({"a": Range(1, 9), "b": Choice(["x", "y", "z"])}, {"a": "line 1", "b": "line 2"})
    space.check(tried.append)
    assert tried == [{"a": 1}, {"a": 9}, {"b": "x"}, {"b": "y"}, {"b": "z"}]


def test_a_refusal_says_where_the_value_stands() -> None:
    def refuse(values: object) -> None:
        raise UserError("b takes no 'x'")

    with pytest.raises(UserError, match=r"^a\.yaml, line 2: b takes no 'x'$"):
        Space({"b": Choice(["x"])}, {"b": "a.yaml, line 2"}).check(refuse)
