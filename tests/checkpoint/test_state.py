"""Taking a state apart and putting it together: what went in comes out, through JSON as it is on disk."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recbole_cllm4rec.checkpoint.state import (
    put_together,
    random_states,
    restoring,
    set_optimisers,
    set_random_states,
    take_apart,
)
from recbole_cllm4rec.errors import UserError

CPU = torch.device("cpu")
LEAVES = st.none() | st.booleans() | st.integers(-(2**130), 2**130) | st.floats(allow_nan=False, allow_infinity=False)
KEYS = st.text(max_size=3)
VALUES = LEAVES | KEYS | st.lists(LEAVES, max_size=3) | st.dictionaries(KEYS, LEAVES, max_size=3)


def through_json(value: Any) -> Any:
    plain, tensors = take_apart(value)
    copies = {name: tensor.clone() for name, tensor in tensors.items()}  # as a file has them
    return put_together(json.loads(json.dumps(plain, allow_nan=False)), copies)


@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_what_json_can_hold_comes_back_as_it_was(value: dict[str, Any]) -> None:
    assert through_json(value) == value


def test_tensors_and_arrays_come_back_in_their_places() -> None:
    found = through_json({"a": [torch.tensor([1.5, 2.5]), {"b": np.array([3], dtype=np.uint32)}], "c": np.float64(4)})
    assert found["a"][0].tolist() == [1.5, 2.5]
    assert found["a"][1]["b"].numpy().dtype == np.uint32
    assert found["c"] == 4


@pytest.mark.parametrize(
    ("value", "error"), [({"f": len}, TypeError), ([object()], TypeError), ([float("nan")], ValueError)]
)
def test_what_no_file_of_ours_holds_is_refused(value: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        take_apart(value)


def test_every_global_generator_goes_on_where_it_was() -> None:
    def draw() -> list[Any]:
        return [random.random(), random.gauss(0, 1), np.random.normal(), np.random.randint(9), torch.randn(3).tolist()]

    draw()  # a second normal number is in store
    states = random_states(CPU)
    expected = draw()
    draw()
    set_random_states(through_json(states), CPU)
    assert draw() == expected


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD, torch.optim.SparseAdam])
def test_an_optimiser_goes_on_where_it_was(kind: Any) -> None:
    def step(table: torch.Tensor, optimiser: torch.optim.Optimizer, number: int) -> None:
        optimiser.zero_grad()
        rows = torch.nn.functional.embedding(torch.tensor([number, 0]), table, sparse=kind is torch.optim.SparseAdam)
        (rows**2 * (number + 1)).sum().backward()
        optimiser.step()

    tables = [torch.nn.Parameter(torch.ones(4, 2)) for _ in range(2)]
    first, second = (kind([table], lr=0.1) for table in tables)
    for number in range(2):
        step(tables[0], first, number)
    tables[1].data.copy_(tables[0].data)
    set_optimisers([second], through_json([first.state_dict()]))
    for number in (2, 3):
        step(tables[0], first, number)
        step(tables[1], second, number)
    assert torch.equal(*tables)


def test_a_state_that_does_not_fit_is_told_without_what_python_says_of_it() -> None:
    line = r"^run holds a state that this version cannot go on from; start anew, without --resume$"
    with pytest.raises(UserError, match=line), restoring(Path("run")):
        None.items()  # type: ignore[attr-defined]
