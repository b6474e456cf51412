"""Whether the columns that options speak of are there, and of a type that RecBole can do with them what is asked."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from recbole.utils import FeatureType

from recbole_cllm4rec.errors import UserError, shown, suggestion

FLOATS = (FeatureType.FLOAT, FeatureType.FLOAT_SEQ)
TOKENS = (FeatureType.TOKEN, FeatureType.TOKEN_SEQ)


def check_files(folder: Path, dataset: str, parts: Collection[str] | None) -> None:
    """Raise :class:`UserError` where a file of interactions is missing; ``parts`` name those that are split already."""
    for part in parts or [""]:
        name = f"{dataset}.{part}.inter" if part else f"{dataset}.inter"
        if not (folder / name).is_file():
            there = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
            listed = f"it has {', '.join(there[:8])}{', …' if there[8:] else ''}" if there else "it is empty"
            near = suggestion(name, [other for other in there if other.endswith(".inter")])
            raise UserError(f"{folder} has no file {name}: files have the name of their folder; {listed}{near}")


def check_loaded(file: str, wanted: Collection[str], columns: Collection[str]) -> None:
    """Raise :class:`UserError` for a column of ``load_col`` that a file does not have."""
    for field in wanted:
        if field not in columns:
            raise UserError(
                f"{file} has no column {field!r}, which load_col loads; it has {', '.join(columns)}"
                f"{suggestion(field, columns)}"
            )


def check_settings(config: Any, types: Mapping[str, FeatureType], loaded: Mapping[str, Collection[str]]) -> None:
    """Raise :class:`UserError` for an option that names a column that is not loaded, or of a wrong type.

    ``types`` of all columns; ``loaded``: the columns of each file, by its suffix.
    """
    for option, field, legal in _mentioned(config):
        if field not in types:
            raise UserError(
                f"{option} names the column {field!r}, which is not loaded: add it to load_col; loaded are "
                f"{', '.join(types)}{suggestion(field, types)}"
            )
        if types[field] not in legal:
            kinds = " or ".join(kind.value for kind in legal)
            raise UserError(f"{option} names the column {field!r} of type {types[field].value}, but takes {kinds}")
    for field, asked in (config["val_interval"] or {}).items():
        if field in types and isinstance(asked, str) is not (types[field] in FLOATS):
            takes = "intervals, as '[3,inf)'" if types[field] in FLOATS else "a list of values, as [a, b]"
            raise UserError(f"val_interval.{field} takes {takes}, as {field} is a {types[field].value}")
        if isinstance(asked, list) and (odd := [value for value in asked if not isinstance(value, str)]):
            raise UserError(
                f"val_interval.{field} has {shown(odd[0])}, which is no text: write it in quotes, as YAML reads NO as "
                "false and 1 as a number"
            )
    for suffix, fields in (config["unused_col"] or {}).items():
        if suffix not in loaded:
            raise UserError(f"unused_col names {shown(suffix)}, which is not loaded; loaded are {', '.join(loaded)}")
        if ids := {config["USER_ID_FIELD"], config["ITEM_ID_FIELD"]}.intersection(fields):
            raise UserError(f"unused_col.{suffix} names {', '.join(sorted(ids))}, which every model needs")


def _mentioned(config: Any) -> Iterator[tuple[str, str, tuple[FeatureType, ...]]]:
    """Option, column, and the types of which it may be."""
    for option in ("alias_of_user_id", "alias_of_item_id"):
        yield from ((option, field, TOKENS) for field in config[option] or [])
    yield from (("numerical_features", field, FLOATS) for field in config["numerical_features"])
    yield from (("normalize_field", field, FLOATS) for field in config["normalize_field"] or [])
    yield from (("threshold", field, (FeatureType.FLOAT,)) for field in config["threshold"] or {})
    yield from (("val_interval", field, (*FLOATS, FeatureType.TOKEN)) for field in config["val_interval"] or {})
