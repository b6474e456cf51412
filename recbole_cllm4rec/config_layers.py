"""The layers of a configuration: which yaml files hold its values, and in which order."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import recbole
import yaml

from recbole_cllm4rec.errors import UserError, shown, suggestion
from recbole_cllm4rec.options import Place, check_value
from recbole_cllm4rec.yamlio import load_plain, problem_of

RECBOLE = Path(recbole.__file__).parent


class Layer(NamedTuple):
    """Values from one place. A default says what is legal; a value that is not a default is checked against those."""

    source: str  # for messages: a path, or nothing for overrides
    values: dict[str, Any]
    default: bool
    recipe: bool = False  # a dataset's own choice for this model


def properties_dir() -> Path:
    """The folder ``properties``: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parent
    installed = package / "properties"
    return installed if installed.is_dir() else package.parent / "properties"


def dataset_folder(data_path: str, dataset: str) -> Path:
    """Where the atomic files are. RecBole brings its own ml-100k, which serves where ``data_path`` has none."""
    folder = Path(data_path) / dataset
    packaged = RECBOLE / "dataset_example" / dataset
    return packaged if dataset == "ml-100k" and not folder.is_dir() else folder


def recbole_models() -> list[str]:
    """Names of RecBole's models, from its yaml files; ``Random`` is the one that has none."""
    return sorted({"Random", *(path.stem for path in (RECBOLE / "properties" / "model").glob("*.yaml"))})


def model_names() -> list[str]:
    """Names of RecBole's models and of the plugin's."""
    return sorted({*recbole_models(), *(path.stem for path in (properties_dir() / "model").glob("*.yaml"))})


def model_files(model: str) -> list[Path]:
    """RecBole's yaml of a model and the plugin's, those that exist."""
    folders = (RECBOLE / "properties", properties_dir())
    return [path for folder in folders if (path := folder / "model" / f"{model}.yaml").is_file()]


def gather(
    model: str, dataset: str, quick_start: Sequence[Path], files: Sequence[str | Path], overrides: Mapping[str, Any]
) -> list[Layer]:
    """Every layer of a configuration, low to high; ``Config`` documents the order.

    ``quick_start`` are RecBole's files for the type of the model. Raises :class:`UserError` for a file that is missing
    or malformed and for an unknown ``variant``.
    """
    _check_is_folder(dataset)
    theirs, ours = RECBOLE / "properties", properties_dir()
    of_model = [_defaults(path) for path in model_files(model)]
    variants = of_model[-1].values.pop("variants", {}) if of_model else {}
    low = [
        _defaults(theirs / "overall.yaml"),
        _defaults(ours / "overall.yaml"),
        *of_model,
        _defaults(theirs / "dataset" / "sample.yaml"),
        *(_defaults(path) for path in [theirs / "dataset" / f"{dataset}.yaml"] if path.is_file()),
        *_of_dataset(ours / "dataset" / f"{dataset}.yaml", model),
    ]
    middle = [_on_our_protocol(_defaults(path)) for path in quick_start]
    high = [*(Layer(str(path), read_yaml(Path(path)), False) for path in files), Layer("", dict(overrides), False)]

    data_path = check_value("data_path", Place, merge([*low, *middle, *high])["data_path"])
    low += _of_dataset(dataset_folder(data_path, dataset) / f"{dataset}.yaml", model)
    low.sort(key=lambda layer: layer.recipe)  # a recipe knows what the files say; these do not know the model
    if variants:
        name = merge([*low, *middle, *high])["variant"]
        if not isinstance(name, str) or name not in variants:
            raise UserError(
                f"{model} has no variant {shown(name)}, only {', '.join(variants)}{suggestion(str(name), variants)}"
            )
        middle.append(Layer(f"variant {name}", variants[name] or {}, False))
    return [*low, *middle, *high]


def _check_is_folder(dataset: str) -> None:
    """The name of a dataset is that of a folder, and of the files in it."""
    if dataset in (".", "..") or "/" in dataset or "\\" in dataset or not 0 < len(dataset.encode()) <= 200:
        raise UserError(
            f"--dataset takes the name of one folder, not {shown(dataset)}: say where that is with --data_path, as "
            "--data_path=/data --dataset=ml-100k"
        )


def merge(layers: Sequence[Layer]) -> dict[str, Any]:
    """The values of all layers, a higher one over a lower; a dotted key changes one entry of a nested mapping."""
    merged: dict[str, Any] = {}
    for layer in layers:
        with blaming(layer.source):
            for key, value in layer.values.items():
                _put(merged, key, deepcopy(value))
    return merged


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for depth, name in enumerate(parents, start=1):
        if values.get(name) is None:
            values[name] = {}
        values = values[name]
        if not isinstance(values, dict):
            parent = ".".join(parents[:depth])
            raise UserError(f"{key} has no place, as {parent} is {shown(values)}: give {parent} as a whole")
    values[last] = value


@contextmanager
def blaming(source: str) -> Iterator[None]:
    """Put ``source``, if any, before the message of a :class:`UserError`."""
    try:
        yield
    except UserError as error:
        if not source:
            raise
        raise UserError(f"{source}: {error}") from None


def read_yaml(path: Path) -> dict[str, Any]:
    """The options in a file. Raises :class:`UserError` if it cannot be read or holds anything but named options."""
    try:
        values = load_plain(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} is not UTF-8: {error.reason} at byte {error.start}; save it in that encoding"
        ) from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}, {problem_of(error)}") from None
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise UserError(f"{path} does not hold options: every line at its left margin is to be `key: value`")
    return values


def read_defaults(path: Path) -> dict[str, Any]:
    """The options in a file that comes with RecBole or the plugin, which a command may need for every model and run."""
    return dict(_parsed(path, path.stat().st_mtime_ns))


@cache
def _parsed(path: Path, changed: int) -> dict[str, Any]:
    return read_yaml(path)


def _defaults(path: Path) -> Layer:
    return Layer(str(path), read_defaults(path), True)


def _on_our_protocol(layer: Layer) -> Layer:
    """RecBole's settings for sequential models without their protocol: how to split and score is the experiment's."""
    if not Path(layer.source).stem.startswith("sequential"):
        return layer
    protocol = ("eval_args", "repeatable", "metrics", "valid_metric")
    return layer._replace(values={key: value for key, value in layer.values.items() if key not in protocol})


def _of_dataset(path: Path, model: str) -> list[Layer]:
    """The yaml of a dataset, if there is one, and above it what it says for this model."""
    if not path.is_file():
        return []
    values = read_yaml(path)
    sections = check_value(f"{path}: for_model", dict[str, dict[str, Any]], values.pop("for_model", {}))
    names = {model, *model_names()}
    for name in sections:
        if name not in names:
            raise UserError(f"{path}: for_model names {name!r}, which is no model{suggestion(name, names)}")
    return [
        Layer(str(path), values, False),
        Layer(f"{path}, for_model {model}", sections.get(model, {}), False, recipe=True),
    ]
