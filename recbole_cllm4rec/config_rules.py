"""What RecBole's options of data take, which its yamls tell by a default at best and its code not at all."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from recbole_cllm4rec.errors import UserError, shown, suggestion
from recbole_cllm4rec.options import Above, AtLeast, Filled, Intervals, Name, Place, Share, check_value

Natural = Annotated[int, AtLeast(0)]
Count = Annotated[int, AtLeast(1)]
_Interval = Annotated[str, Intervals()] | None
_Columns = dict[Name, list[Name]] | None  # by the suffix of their file

RULES: dict[str, Any] = {
    "data_path": Place,
    "checkpoint_dir": Place,
    "save_dataset": Literal[False],  # nothing here saves or reads them
    "save_dataloaders": Literal[False],
    "dataset_save_path": Literal[None],
    "dataloaders_save_path": Literal[None],
    "transform": Literal["mask_itemseq", "inverse_itemseq", "crop_itemseq", "reorder_itemseq"] | None,
    "tail_ratio": Annotated[float, Above(0)],
    "field_separator": Name,
    "seq_separator": Name,
    "USER_ID_FIELD": Name,
    "ITEM_ID_FIELD": Name,
    "LABEL_FIELD": Name,
    "seq_len": dict[Name, Count] | None,
    "threshold": dict[Name, float] | None,
    "numerical_features": list[Name],
    "load_col": dict[Name, Literal["*"] | list[Name]] | None,
    "unload_col": _Columns,
    "unused_col": _Columns,
    "additional_feat_suffix": Name | list[Name] | None,
    "val_interval": dict[Name, Annotated[str, Intervals()] | list[Any]] | None,
    "user_inter_num_interval": _Interval,
    "item_inter_num_interval": _Interval,
    "entity_kg_num_interval": _Interval,
    "relation_kg_num_interval": _Interval,
    "alias_of_user_id": list[Name] | None,
    "alias_of_item_id": list[Name] | None,
    "alias_of_entity_id": list[Name] | None,
    "alias_of_relation_id": list[Name] | None,
    "preload_weight": dict[Name, Name] | None,
    "normalize_field": list[Name] | None,
    "normalize_all": bool | None,
    "discretization": dict[Name, dict[str, Any]] | None,
    "benchmark_filename": Annotated[list[Name], Filled("a list of names")] | None,
    "metrics": Name | Annotated[list[Name], Filled("a list of names")],
    "topk": Count | Annotated[list[Count], Filled("a list of them")],
}
OF_MODELS: dict[str, Any] = {  # where a model has them
    "attn_dropout_prob": Share,
    "dropout_prob": Share,
    "embedding_size": Count,
    "hidden_act": Literal["gelu", "relu", "swish", "tanh", "sigmoid"],
    "hidden_dropout_prob": Share,
    "hidden_size": Count,
    "inner_size": Count,
    "k": Count,
    "n_heads": Count,
    "n_layers": Count,
}
SHARES_OF_TRANSFORMS = {"mask_itemseq": "mask_ratio", "crop_itemseq": "eta", "reorder_itemseq": "beta"}
"""The option, which only some models have, from which a transform of sequences takes its share."""

_FIELDS = (
    *("USER_ID_FIELD", "ITEM_ID_FIELD", "LABEL_FIELD", "TIME_FIELD"),
    *("ITEM_LIST_LENGTH_FIELD", "POSITION_FIELD", "LIST_SUFFIX", "NEG_PREFIX"),
)
_CLIPPING: dict[str, Any] = {
    "max_norm": Annotated[float, Above(0)],
    "norm_type": Annotated[float, Above(0)],
    "error_if_nonfinite": bool,
    "foreach": bool | None,
}
_BUCKETS: dict[str, Any] = {"method": Literal["ED", "LD"], "bucket": Count}


def check_entries(name: str, entries: Mapping[str, Any], rules: Mapping[str, Any], needed: str | None = None) -> None:
    """Raise :class:`UserError` for an entry of the option ``name`` that is unknown or wrong, or for want of one."""
    for key, value in entries.items():
        if key not in rules:
            raise UserError(f"{name} has no entry {shown(key)}, only {', '.join(rules)}{suggestion(str(key), rules)}")
        check_value(f"{name}.{key}", rules[key], value)
    if needed is not None and needed not in entries:
        raise UserError(f"{name} is {shown(dict(entries))}, without {needed!r}, which it needs")


def _check_clipping(values: Mapping[str, Any]) -> None:
    if values["clip_grad_norm"] is not None:
        check_entries("clip_grad_norm", values["clip_grad_norm"], _CLIPPING, "max_norm")


def _check_threshold(values: Mapping[str, Any]) -> None:
    if values["threshold"] is not None and len(values["threshold"]) != 1:
        raise UserError(f"threshold is {shown(values['threshold'])}: it takes one column, as threshold={{rating: 4}}")


def _check_discretization(values: Mapping[str, Any]) -> None:
    for field, entries in (values["discretization"] or {}).items():
        name = f"discretization.{field}"
        check_entries(name, entries, _BUCKETS, "method")
        if entries["method"] == "ED":
            check_entries(name, entries, _BUCKETS, "bucket")
        if field not in values["numerical_features"]:
            raise UserError(f"{name}: {field} is to be among numerical_features too")


def _check_folder(option: str, values: Mapping[str, Any]) -> None:
    """Before hours of training, and not after them."""
    if values[option] is None:
        return
    path = Path(values[option])
    if not next((above for above in (path, *path.parents) if above.exists()), path).is_dir() and path.parts:
        raise UserError(f"{option} is {values[option]!r}, which leads into a file: give a folder")


def check_fields(values: Mapping[str, Any]) -> None:
    """Raise :class:`UserError` unless the columns that RecBole reads or makes have each a name of their own."""
    names = {option: values[option] for option in _FIELDS}
    names["ITEM_ID_FIELD with LIST_SUFFIX"] = f"{values['ITEM_ID_FIELD']}{values['LIST_SUFFIX']}"
    for option, name in names.items():
        if same := [other for other, found in names.items() if found == name and other != option]:
            raise UserError(f"{option} and {same[0]} are both {name!r}: give each a name of its own")


CHECKS: dict[str, Callable[[Mapping[str, Any]], None]] = {
    "result_dir": partial(_check_folder, "result_dir"),
    "checkpoint_dir": partial(_check_folder, "checkpoint_dir"),
    "sentence_dir": partial(_check_folder, "sentence_dir"),
    "clip_grad_norm": _check_clipping,
    "threshold": _check_threshold,
    "discretization": _check_discretization,
}
"""By the option that is looked at: what no type tells."""
