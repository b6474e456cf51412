"""What a saved state has to hold for a training to go on from it: its bytes are whole, but whose are they?"""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from torch import Tensor

from recbole_cllm4rec.options import AtLeast, check_value
from recbole_cllm4rec.training.stages import Stage

_Natural = Annotated[int, AtLeast(0)]
_STATE: dict[str, Any] = {
    "at": dict[str, Any],
    "model": dict[str, Tensor],
    "optimisers": list[dict[str, Any]],
    "schedules": list[dict[str, Any]],
    "random": dict[str, Any],
    "best score": float | None,
    "best result": dict[str, float] | None,
    "validations without a better one": _Natural,
    "history": list[dict[str, Any]],
    "timings": dict[str, float],
}
_AT: dict[str, Any] = {
    "stage": _Natural,
    "epoch": _Natural,
    "step": _Natural,
    "losses": dict[str, list[float]],
    "seconds": float,
    "order": list[dict[str, Any]] | None,
}
_RECORD: dict[str, Any] = {"stage": str, "epoch": _Natural, "seconds": float, "rate": float}


def check_state(state: Mapping[str, Any]) -> None:
    """Raise :class:`UserError` for an entry that is missing or of another type, ``ValueError`` for other nonsense."""
    _check("", state, _STATE)
    _check("at.", state["at"], _AT)
    for record in state["history"]:
        _check("history: ", record, _RECORD)
        check_value("history: valid score", float, record.get("valid score", 0.0))
    if (state["best score"] is None) is not (state["best result"] is None):
        raise ValueError("there is a best score without its result, or a result without its score")


def check_place(state: Mapping[str, Any], stage: Stage) -> None:
    """Raise an error, of numpy's or as :func:`check_state`, where what is done of ``stage`` cannot be that of it."""
    at = state["at"]
    if at["losses"] and set(at["losses"]) != {current.name for current in stage.passes}:
        raise ValueError(f"stage {stage.name} has no passes {', '.join(at['losses'])}")
    for drawn in at["order"] or []:
        np.random.default_rng().bit_generator.state = drawn
    if at["order"] is not None and len(at["order"]) != 2:
        raise ValueError("the order of batches has two states")


def _check(where: str, found: Mapping[str, Any], rules: Mapping[str, Any]) -> None:
    for key, kind in rules.items():
        if key not in found:
            raise KeyError(f"{where}{key}")
        check_value(f"{where}{key}", kind, found[key])
