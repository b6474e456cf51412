"""Figures that papers print, from ``properties/published.yaml``."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from recbole_cllm4rec.config_layers import properties_dir, read_yaml


def published(dataset: str) -> dict[str, dict[str, float]]:
    """Row -> metric -> figure, in our names, as printed for ``dataset``; empty for one that no paper here has."""
    return {name: dict(figures) for name, figures in _of(dataset).get("rows", {}).items()}


def remark(dataset: str, shared: Mapping[str, str]) -> str:
    """Where the figures come from, when they are comparable, and whether runs that share ``shared`` are.

    ``shared`` is what :func:`recbole_cllm4rec.report.rows.common_split` returns.
    """
    entry = _of(dataset)
    protocol = entry.get("protocol")
    if protocol is None:
        verdict = "whether these are such runs cannot be told here"
    else:
        verdict = "these are such runs" if protocol.items() <= shared.items() else "these are other runs"
    return f"{entry['source']}; {entry['condition']}: {verdict}"


def _of(dataset: str) -> dict[str, Any]:
    entry: dict[str, Any] = _all().get(dataset, {})
    return entry


@cache
def _all() -> dict[str, Any]:
    return read_yaml(properties_dir() / "published.yaml")
