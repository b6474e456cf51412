"""The state of a training as JSON and tensors: what stands nested in Python is taken apart and put together again."""

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from recbole_cllm4rec.errors import UserError

MARK = "tensor"
"""``{MARK: name}`` stands in the JSON where the tensor of that name belongs."""


def take_apart(value: Any, name: str = "") -> tuple[Any, dict[str, Tensor]]:
    """``value`` as JSON may hold it, and the tensors that stood in it, on the CPU, under names that say where.

    Mappings get keys of text, tuples become lists, arrays tensors. Raises ``TypeError`` for what neither JSON nor a
    tensor can hold, ``ValueError`` for numbers that are not finite.
    """
    tensors: dict[str, Tensor] = {}

    def plain(value: Any, name: str) -> Any:
        match value:
            case Tensor():
                tensors[name] = value.detach().cpu().contiguous()
                return {MARK: name}
            case np.ndarray():
                return plain(torch.from_numpy(value), name)
            case Mapping():
                return {str(key): plain(entry, f"{name}.{key}".lstrip(".")) for key, entry in value.items()}
            case list() | tuple():
                return [plain(entry, f"{name}.{number}") for number, entry in enumerate(value)]
            case None | bool() | int() | str():
                return value
            case float() if math.isfinite(value):
                return float(value)
            case np.generic():
                return plain(value.item(), name)
        if isinstance(value, float):
            raise ValueError(f"{name} is {value}")
        raise TypeError(f"{name} is a {type(value).__name__}")

    return plain(value, name), tensors


def put_together(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The inverse of :func:`take_apart`, but for what it made of keys, tuples and arrays."""
    if isinstance(value, dict):
        if set(value) == {MARK}:
            return tensors[value[MARK]]
        return {key: put_together(entry, tensors) for key, entry in value.items()}
    if isinstance(value, list):
        return [put_together(entry, tensors) for entry in value]
    return value


@contextmanager
def restoring(folder: Path) -> Iterator[None]:
    """Name ``folder`` where a state in it does not fit: what generators, optimisers and parameters refuse to take.

    Its bytes are those that were saved; another version, or somebody else, has saved them. Raises :class:`UserError`.
    """
    try:
        yield
    except UserError as error:
        raise UserError(
            f"{folder} holds a state that no training saved: {error}; start anew, without --resume"
        ) from None
    except (AttributeError, LookupError, OverflowError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(
            f"{folder} holds a state that this version cannot go on from; start anew, without --resume"
        ) from error


def random_states(device: torch.device) -> dict[str, Any]:
    """Of every global generator: Python's, numpy's, torch's and that of the device."""
    numpy = np.random.get_state(legacy=False)
    states = {"python": random.getstate(), "numpy": numpy, "torch": torch.get_rng_state()}
    return states | ({"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {})


def set_random_states(states: dict[str, Any], device: torch.device) -> None:
    """The inverse of :func:`random_states`, after a way through JSON. A device that had no state then keeps its own."""
    version, words, gauss = states["python"]
    random.setstate((version, tuple(words), gauss))
    inner = states["numpy"]["state"] | {"key": states["numpy"]["state"]["key"].numpy()}
    np.random.set_state(states["numpy"] | {"state": inner})
    torch.set_rng_state(states["torch"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)


def set_optimisers(optimisers: Sequence[Optimizer], states: Sequence[dict[str, Any]]) -> None:
    """What ``state_dict`` gave, after a way through JSON, where keys are text."""
    for optimiser, state in zip(optimisers, states, strict=True):
        optimiser.load_state_dict({**state, "state": {int(key): entry for key, entry in state["state"].items()}})
