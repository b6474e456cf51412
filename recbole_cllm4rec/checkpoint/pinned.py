"""Weights that were learnt over a backbone mean something over that one alone, in the precision that it had."""

from collections.abc import Mapping
from copy import copy
from typing import Any

from recbole_cllm4rec.errors import UserError
from recbole_cllm4rec.options import check_value

_FACTS: dict[str, Any] = {"precision": str, "sha256": str, "trained": bool}
"""What a run says of its backbone, and is asked for here."""


def check_facts(source: str, backbone: Any) -> None:
    """Raise :class:`UserError` unless ``backbone``, found in ``source``, says what one is, or is None."""
    check_value(source, dict[str, Any] | None, backbone)
    for name, kind in _FACTS.items():
        if backbone is not None:
            check_value(f"{source}.{name}", kind, backbone.get(name))


def pinned(config: Any, backbone: Mapping[str, Any] | None) -> Any:
    """``config`` for a model that will be given weights learnt over ``backbone``.

    Its precision is the one that was chosen, perhaps measured, when the run began; tokens are not made of texts, as
    ``brought_back`` says.
    """
    if backbone is None:
        return config
    changed = copy(config)
    changed.final_config_dict = {
        **config.final_config_dict,
        "precision": backbone["precision"],
        "brought_back": True,
    }
    return changed


def check_same(run: object, then: Mapping[str, Any] | None, sha256: str | None, else_: str) -> None:
    """Raise :class:`UserError` where ``run`` was trained over a frozen backbone whose hash is not ``sha256``.

    ``else_``: what else its user can do than bring the former back.
    """
    if then and not then["trained"] and then["sha256"] != sha256:
        raise UserError(
            f"{run} has been trained over another backbone: {then.get('name')} has sha256 {str(sha256)[:12]}…, not "
            f"{then['sha256'][:12]}…; bring the former back, or {else_}"
        )
