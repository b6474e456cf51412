"""Typed options: what each annotation takes, and what the errors say."""

from dataclasses import FrozenInstanceError, dataclass
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.options import Above, AtLeast, Between, check_value, read_options


@pytest.mark.parametrize(
    ("annotation", "value", "result"),
    [
        (int, 3, 3),
        (int, np.int64(3), 3),
        (float, 3, 3.0),
        (float, 0.5, 0.5),
        (bool, False, False),
        (str, "", ""),
        (Any, object, object),
        (Literal["a", 1], 1, 1),
        (int | None, None, None),
        (Literal["a"] | None, None, None),
        (int | float, 3, 3),
        (int | float, 3.5, 3.5),
        (list[str], [], []),
        (list[float], [1, 2.5], [1.0, 2.5]),
        (dict[str, list[int]], {"a": [1]}, {"a": [1]}),
        (dict[Literal["a"], Any], {"a": None}, {"a": None}),
        (Annotated[int, AtLeast(1)], 1, 1),
        (Annotated[float, Between(0, 1)], 1, 1.0),
        (Annotated[float, Above(0)], 1e-9, 1e-9),
        (list[Annotated[int, AtLeast(1)]] | None, [1, 2], [1, 2]),
    ],
)
def test_legal_values(annotation: Any, value: Any, result: Any) -> None:
    checked = check_value("key", annotation, value)
    assert checked == result
    assert type(checked) is type(result)


@pytest.mark.parametrize(
    ("annotation", "value", "message"),
    [
        (int, True, "key takes a whole number, not True"),
        (int, 3.0, "key takes a whole number, not 3.0"),
        (int, "3", "key takes a whole number, not '3'"),
        (float, True, "key takes a number, not True"),
        (float, "1e-3", "key takes a number, not '1e-3'"),
        (float, 10**400, "key takes a number, not 1000"),
        (bool, 1, "key takes true or false, not 1"),
        (str, 1, "key takes text, not 1; put it in quotes to mean text"),
        (str, None, "key takes text, not None"),
        (str | None, 1, "key takes text or null, not 1; put it in quotes to mean text"),
        (int | None, "x", "key takes a whole number or null, not 'x'"),
        (Literal[1], True, "key takes 1, not True"),
        (Literal["adam", "sgd"], "adm", "key takes one of 'adam', 'sgd', not 'adm'; did you mean 'adam'?"),
        (Literal["adam"] | None, "adm", "key takes 'adam' or null, not 'adm'; did you mean 'adam'?"),
        (list[str], "a", "key takes a list of (text), not 'a'"),
        (list[str], ("a",), "key takes a list of (text), not ('a',)"),
        (list[str], [1], "key takes a list of (text), not [1]"),
        (dict[str, int], [], "key takes a mapping from (text) to (a whole number), not []"),
        (dict[Literal["user"], str], {"usr": "x"}, "key takes a mapping from ('user') to (text), not {'usr': 'x'}"),
        (Annotated[int, AtLeast(1)], 0, "key takes a whole number of at least 1, not 0"),
        (Annotated[float, Between(0, 1)], 1.5, "key takes a number from 0 to 1, not 1.5"),
        (Annotated[float, Above(0)], 0, "key takes a number above 0, not 0"),
        (Annotated[float, AtLeast(0)], float("nan"), "key takes a number of at least 0, not nan"),
    ],
)
def test_illegal_values(annotation: Any, value: Any, message: str) -> None:
    with pytest.raises(UserError) as caught:
        check_value("key", annotation, value)
    assert str(caught.value).startswith(message)


@given(st.floats(0, 1), st.one_of(st.floats(max_value=0, exclude_max=True), st.floats(min_value=1, exclude_min=True)))
def test_bounds(inside: float, outside: float) -> None:
    annotation = Annotated[float, Between(0, 1)]
    assert check_value("key", annotation, inside) == inside
    with pytest.raises(UserError):
        check_value("key", annotation, outside)


@dataclass(frozen=True)
class Toy:
    """Options of no model."""

    layers: Annotated[int, AtLeast(1)]
    dropout: float
    pooling: Literal["mean", "last"] | None


def test_read_options() -> None:
    options = read_options(Toy, {"layers": 2, "dropout": 0, "pooling": None, "epochs": 3})
    assert options == Toy(layers=2, dropout=0.0, pooling=None)
    assert type(options.dropout) is float
    with pytest.raises(FrozenInstanceError):
        options.layers = 3  # type: ignore[misc]


def test_every_option_needs_a_value() -> None:
    with pytest.raises(UserError, match="pooling has no value: Toy expects a default"):
        read_options(Toy, {"layers": 2, "dropout": 0})


def test_an_illegal_option_is_named() -> None:
    with pytest.raises(UserError, match="layers takes a whole number of at least 1, not 0"):
        read_options(Toy, {"layers": 0, "dropout": 0, "pooling": "mean"})
