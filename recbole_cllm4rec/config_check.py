"""What a configuration may say: names known to some yaml or to RecBole's code, and values that those can work with."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_type_hints

from recbole.evaluator.register import metric_types, metrics_dict
from recbole.utils import EvaluatorType
from recbole.utils.argument_list import (
    dataset_arguments,
    evaluation_arguments,
    general_arguments,
    training_arguments,
)

from recbole_cllm4rec.config_layers import Layer, blaming, merge, model_files, model_names, read_defaults
from recbole_cllm4rec.config_rules import CHECKS, OF_MODELS, RULES, Count, Natural, check_entries, check_fields
from recbole_cllm4rec.errors import UnknownOptionError, UserError, shown, suggestion
from recbole_cllm4rec.options import Above, AtLeast, Between, Name, Names, Place, check_value

Source = Literal["user", "item", "inter"]
Places = Annotated[int, Between(0, 15)]  # what a number in double precision has


@dataclass(frozen=True)
class PluginOptions:
    """The keys of ``properties/overall.yaml`` that RecBole does not have; that file explains them."""

    split_seed: Annotated[int, Between(0, 2**32 - 1)]
    run_name: Annotated[str, Names(inside=True)] | None
    result_dir: Place
    sentence_dir: Place | None
    checkpoint_minutes: Annotated[float, AtLeast(0)]
    download: bool
    encoding: Name
    text_fields: dict[Source, list[str]]
    text_template: dict[Source, str]
    text_escaped: bool
    history_mask: Literal["train", "train+valid"]
    history_read: Literal["train", "train+valid"]
    table_metrics: list[str]


_RECBOLE_OPTIONS: dict[str, Any] = {
    "gpu_id": int | str | None,
    "worker": Natural,
    "seed": Annotated[int, Between(0, 2**32 - 1)],
    "state": Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"],
    "epochs": Natural,  # 0 tests a model as it starts
    "train_batch_size": Count,
    "learner": Literal["adam", "adamw", "sgd", "adagrad", "rmsprop", "sparse_adam"],
    "learning_rate": Annotated[float, Above(0)],
    "train_neg_sample_args": dict[str, Any] | None,
    "eval_step": Natural,
    "stopping_step": Natural,
    "clip_grad_norm": dict[str, Any] | None,
    "weight_decay": Annotated[float, AtLeast(0)],
    "loss_decimal_place": Places,
    "eval_args": dict[str, Any],
    "valid_metric": str,
    "eval_batch_size": Count,
    "metric_decimal_place": Places,
    "MAX_ITEM_LIST_LENGTH": Count,
    "rm_dup_inter": Literal["first", "last"] | None,
}
_EVAL_ARGS: dict[str, Any] = {
    "split": dict[Literal["RS", "LS", "TS"], Any],
    "order": Literal["RO", "TO"],
    "group_by": Literal["user", "none"] | None,
    "mode": str | dict[Literal["valid", "test"], str],
}
_SPLITS: dict[str, Any] = {
    "RS": list[Annotated[float, AtLeast(0)]],
    "TS": list[Annotated[float, AtLeast(0)]],
    "LS": Literal["valid_and_test", "valid_only", "test_only"],
}
_NEGATIVES: dict[str, Any] = {
    "distribution": Literal["uniform", "popularity"] | None,
    "sample_num": Count,
    "alpha": Annotated[float, AtLeast(0)],
    "dynamic": bool,
    "candidate_num": Natural,
}
# Keys that RecBole's code reads and none of its yamls has.
_UNLISTED = {"model", "dataset", "tail_ratio", "local_rank", "nproc", "world_size", "offset", "ip", "port"}
_UNHEARD = {"config_file"}  # which RecBole lists, and nothing reads
_UNLISTED_OF = {
    "AutoInt": {"has_residual"},
    "DiffRec": {"norm"},
    "FEARec": {"contrast", "sim", "tau", "use_filter"},
    "HRM": {"reg_weight"},
    "LDiffRec": {"norm"},
}
_ONE_NUMBER = {"gauc", "paperscore"}  # ranking metrics without a cut-off


def checked(layers: Sequence[Layer], model: str, dataset: str, options: type | None) -> dict[str, Any]:
    """The merged values of ``layers``. Raises :class:`UserError`, which names the layer, for what is not legal.

    ``options``, the options dataclass of the model, decides on the model's own keys. A key without a rule of its own
    keeps the type of its default.
    """
    rules = _types(layer.values for layer in layers if layer.default) | _RECBOLE_OPTIONS | RULES
    rules |= {key: rule for key, rule in OF_MODELS.items() if key in rules}
    rules |= {"model": Literal[model], "dataset": Literal[dataset]}
    for cls in filter(None, (PluginOptions, options)):
        rules |= get_type_hints(cls, include_extras=True)
    _check_names(layers, model, set(rules))
    sources = {key.partition(".")[0]: layer.source for layer in layers for key in layer.values}
    values = merge(layers)
    for key, value in values.items():
        with blaming(sources[key]):
            values[key] = check_value(key, rules.get(key, Any), value)
    for key, check in _CHECKS.items():
        with blaming(sources[key]):
            check(values)
    _check_valid_metric(values)
    check_fields(values)
    return values


def _types(defaults: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """A rule for every default: its own type. RecBole's yamls write 2 for 2.0; null switches off what text names."""
    kinds: dict[type, Any] = {
        bool: bool,
        int: int | float,
        float: float,
        str: str | None,
        list: list[Any] | None,
        dict: dict[Any, Any] | None,
    }
    rules: dict[str, Any] = {}
    for key, value in (item for values in defaults for item in values.items()):
        if value is not None:
            rules[key] = kinds.get(type(value), Any)
        rules.setdefault(key, Any)
    return rules


def _check_names(layers: Sequence[Layer], model: str, ruled: set[str]) -> None:
    arguments = {*general_arguments, *training_arguments, *evaluation_arguments, *dataset_arguments}
    known = (ruled | arguments | _UNLISTED | _UNLISTED_OF.get(model, set())) - _UNHEARD
    for layer in layers:
        for key in {key.partition(".")[0] for key in layer.values}.difference(known):
            with blaming(layer.source):
                raise UnknownOptionError(_unknown(key, model, known), key)


def _unknown(key: str, model: str, known: set[str]) -> str:
    owners = [name for name in model_names() if any(key in read_defaults(path) for path in model_files(name))]
    if owners:
        return f"{key!r} is an option of {', '.join(owners[:3])}{', ...' if owners[3:] else ''}, not of {model}"
    return f"{shown(key)} is not an option{suggestion(key, known | {'config_files'})}"


def _check_negatives(values: Mapping[str, Any]) -> None:
    check_entries("train_neg_sample_args", values["train_neg_sample_args"] or {}, _NEGATIVES)


def _check_eval_args(values: Mapping[str, Any]) -> None:
    args = values["eval_args"]
    check_entries("eval_args", args, _EVAL_ARGS)
    split = args.get("split", {"LS": "valid_and_test"})
    if len(split) != 1:
        raise UserError(
            f"eval_args.split is one of RS, LS and TS: write eval_args.split={{KIND: VALUE}}, not {shown(split)}"
        )
    check_entries("eval_args.split", split, _SPLITS)
    ((kind, shares),) = split.items()
    if kind != "LS" and (len(shares) != 3 or not shares[0] > 1e-6 * sum(shares)):
        raise UserError(
            f"eval_args.split.{kind} takes three shares, of training, validation and test, not {shown(shares)}"
        )
    if kind == "TS" and args.get("order", "RO") != "TO":
        raise UserError(
            "eval_args.split is TS, but eval_args.order is RO, with which RecBole tells by the time of one interaction "
            "where another goes: set --eval_args.order=TO"
        )
    mode = args.get("mode", "full")
    for one in mode.values() if isinstance(mode, dict) else [mode]:
        if not re.fullmatch(r"full|labeled|(uni|pop)[1-9]\d{0,5}", one):
            raise UserError(f"eval_args.mode takes full, labeled, uniN or popN with N negatives, not {shown(one)}")


def _check_history_read(values: Mapping[str, Any]) -> None:
    if values["history_read"] == "train+valid" and values["history_mask"] == "train":
        raise UserError(
            "history_read is train+valid, but history_mask is train, so that items just read would be recommended: set "
            "history_mask to train+valid"
        )


def _check_metrics(values: Mapping[str, Any]) -> None:
    for metric in _listed(values["metrics"]):
        _check_metric("metrics", metric)


def _check_table_metrics(values: Mapping[str, Any]) -> None:
    for metric in values["table_metrics"]:
        _check_metric("table_metrics", metric.partition("@")[0])


def _check_metric(key: str, metric: str) -> None:
    if metric.lower() not in metrics_dict:
        legal = [cls.__name__ for cls in metrics_dict.values()]
        raise UserError(f"{key} has {shown(metric)}, which is no metric{suggestion(metric, legal)}: {', '.join(legal)}")


def _check_valid_metric(values: Mapping[str, Any]) -> None:
    """The metric that chooses the best epoch is to be among those that are computed, at a k that is computed."""
    metrics, topk = _listed(values["metrics"]), _listed(values["topk"])
    name, _, k = values["valid_metric"].partition("@")
    if name.lower() not in map(str.lower, metrics):
        raise UserError(f"valid_metric is {shown(name)}, which is not among metrics: {', '.join(metrics)}")
    if name.lower() in _ONE_NUMBER or metric_types[name.lower()] == EvaluatorType.VALUE:
        if k:
            raise UserError(f"valid_metric is {name}@{k}, but {name} is one number: leave out @{k}")
    elif k not in map(str, topk):
        raise UserError(f"valid_metric is {values['valid_metric']}, but {name} takes @k with k from topk: {topk}")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


_CHECKS = {
    "train_neg_sample_args": _check_negatives,
    "eval_args": _check_eval_args,
    "history_read": _check_history_read,
    "metrics": _check_metrics,
    "table_metrics": _check_table_metrics,
    **CHECKS,
}
