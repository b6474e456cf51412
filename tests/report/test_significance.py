"""Effects over users, by hand on four of them."""

import math
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from runs import failed, row

from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.report.significance import Effect, against, effects, half_width

REFERENCE = np.array([0.0, 0.0, 1.0, 0.0])
BETTER = np.array([1.0, 0.0, 1.0, 1.0])  # the differences are 1, 0, 0, 1
T_975_OF_3 = 3.182446305  # from a printed table of Student's t


@pytest.fixture(autouse=True)
def _no_garbage_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The correction collects garbage at every call, which takes long where torch and RecBole are loaded."""
    monkeypatch.setattr("gc.collect", lambda: 0)


@pytest.fixture(autouse=True)
def _warnings_are_errors() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def p_of_3(t: float) -> float:
    """Two-sided p of Student's t with 3 degrees of freedom, in closed form."""
    x = abs(t) / math.sqrt(3)
    return 1 - 2 / math.pi * (math.atan(x) + x / (1 + x * x))


# One row


def test_by_hand() -> None:
    # mean 1/2, standard deviation √(4·¼/3) = √⅓, standard error √⅓/2, t = √3
    (effect,) = against(REFERENCE, {"row": BETTER}).values()
    half = T_975_OF_3 * math.sqrt(1 / 3) / 2
    assert effect.mean == 0.5
    assert (effect.low, effect.high) == pytest.approx((0.5 - half, 0.5 + half))
    assert effect.p == pytest.approx(0.5 - 1 / math.pi)
    assert effect.p_holm == pytest.approx(effect.p)
    assert effect.d_z == pytest.approx(math.sqrt(3) / 2)


def test_identical_rows() -> None:
    assert against(REFERENCE, {"row": REFERENCE.copy()}) == {"row": Effect(0, 0, 0, 1, 1, 0)}


def test_rows_that_differ_by_less_than_float32_can_tell() -> None:
    noisy = REFERENCE + np.array([1e-17, -1e-17, 2e-16, 1e-9])
    assert against(REFERENCE, {"row": noisy}) == {"row": Effect(0, 0, 0, 1, 1, 0)}


@pytest.mark.parametrize("constant", [0.1, -0.1, 0.25])
def test_a_constant_difference(constant: float) -> None:
    (effect,) = against(REFERENCE, {"row": REFERENCE + constant}).values()
    assert effect.mean == pytest.approx(constant)
    assert effect.low == effect.high == effect.mean
    assert (effect.p, effect.p_holm, effect.d_z) == (0, 0, None)


@pytest.mark.parametrize("users", [0, 1])
def test_too_few_users(users: int) -> None:
    with pytest.raises(UserError, match=rf"^the test part has {users} user\(s\): .* needs two at least$"):
        against(REFERENCE[:users], {"row": BETTER[:users]})


def test_two_users_are_enough() -> None:
    # differences 1 and 0: mean ½, standard deviation √½, standard error ½, t = 1; p of one degree is ½
    (effect,) = against(REFERENCE[:2], {"row": BETTER[:2]}).values()
    assert (effect.mean, effect.p, effect.d_z) == pytest.approx((0.5, 0.5, math.sqrt(0.5)))


def test_half_width() -> None:
    assert half_width(BETTER) == pytest.approx(T_975_OF_3 * 0.5 / 2)  # the standard deviation of 1, 0, 1, 1 is ½
    assert half_width(np.zeros(3)) == 0


# Several rows


def test_holm_by_hand() -> None:
    # Differences (1, 1, 1, x): t = (3 + x) / √((1 - x)² · 3/4 · 4/3) = (3 + x) / (1 - x)
    rows = {name: REFERENCE + np.array([1, 1, 1, x]) for name, x in (("b", 0.5), ("a", 0.8), ("c", 0.4))}
    p = {name: p_of_3((3 + x) / (1 - x)) for name, x in (("b", 0.5), ("a", 0.8), ("c", 0.4))}
    found = against(REFERENCE, rows)
    assert {name: effect.p for name, effect in found.items()} == pytest.approx(p)
    assert list(found) == ["b", "a", "c"]
    assert p["a"] < p["b"] < p["c"] < 2 * p["b"]
    assert found["a"].p_holm == pytest.approx(3 * p["a"])
    assert found["b"].p_holm == found["c"].p_holm == pytest.approx(2 * p["b"])  # never below that of a smaller p


def test_corrected_within_a_metric() -> None:
    low, high = [0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 1.0, 1.0]
    rows = [row("A", {"x@1": low, "y@1": low}), row("B", {"x@1": high, "y@1": high}), row("C", {"x@1": low})]
    found = effects(rows, "A", ["x@1", "y@1"])
    assert list(found["x@1"]) == ["B", "C"]
    assert list(found["y@1"]) == ["B"]
    assert found["y@1"]["B"].p_holm == pytest.approx(0.5 - 1 / math.pi)
    assert found["x@1"]["B"].p_holm == pytest.approx(2 * (0.5 - 1 / math.pi))


def test_rows_without_figures_are_in_no_test() -> None:
    rows = [row("A", {"x@1": [0, 1]}), failed("B"), row("C", {"y@1": [0, 1]})]
    assert effects(rows, "A", ["x@1", "y@1"]) == {"x@1": {}, "y@1": {}}
    assert effects(rows, "B", ["x@1"]) == {"x@1": {}}


# Whatever the figures

figures = st.lists(st.tuples(*[st.integers(0, 20)] * 2), min_size=2, max_size=30).map(
    lambda pairs: np.array(pairs) / 20
)


@given(figures)
def test_properties(pairs: np.ndarray) -> None:
    a, b = pairs.T
    effect, mirrored = against(a, {"row": b})["row"], against(b, {"row": a})["row"]
    assert effect.low <= effect.mean <= effect.high
    assert 0 <= effect.p <= 1
    assert effect.mean == pytest.approx(b.mean() - a.mean())
    assert mirrored.mean == pytest.approx(-effect.mean)
    assert (mirrored.low, mirrored.high) == pytest.approx((-effect.high, -effect.low))
    assert mirrored.p == pytest.approx(effect.p)


@given(figures)
def test_p_and_the_interval_agree(pairs: np.ndarray) -> None:
    effect = against(pairs[:, 0], {"row": pairs[:, 1]})["row"]
    assume(abs(effect.p - 0.05) > 1e-6)
    assert (effect.p < 0.05) == (not effect.low <= 0 <= effect.high)
