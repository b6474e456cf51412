"""Files of search spaces: a yaml of ours, or the lines of RecBole's HyperTuning."""

import math
from ast import literal_eval
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from recbole_cllm4rec.config_layers import blaming, properties_dir
from recbole_cllm4rec.errors import UserError, shown, suggestion
from recbole_cllm4rec.options import check_value
from recbole_cllm4rec.tuning.space import Choice, Domain, Number, Range, Space
from recbole_cllm4rec.yamlio import Loader, load_plain, problem_of


def packaged_space(model: str) -> Path:
    """The file of the space that comes with a model. Raises :class:`UserError` where there is none."""
    folder = properties_dir() / "tuning"
    path = folder / f"{model}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.yaml")))
        raise UserError(f"no search space comes with {model}, only with {known}: write one, --tune=FILE")
    return path


def read_space(path: Path) -> Space:
    """The space in a file: a yaml of ours if it ends in .yaml or .yml, else RecBole's lines.

    Raises :class:`UserError`, which names the line, for what is neither or means no range of values.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}") from None
    ours = path.suffix in (".yaml", ".yml")
    entries = _of_yaml(path, text) if ours else _of_lines(path, text)
    if not entries:
        raise UserError(f"{path} names no parameter to tune")
    domains: dict[str, Domain] = {}
    places: dict[str, str] = {}
    for line, name, entry in entries:
        places[name] = f"{path}, line {line}"
        with blaming(f"{places[name]}: {name}"):
            if name in domains:
                raise UserError("stands here for the second time")
            domains[name] = _domain(entry if ours else _of_recbole(entry))
    return Space(domains, places)


def _of_yaml(path: Path, text: str) -> list[tuple[int, str, Any]]:
    """Line, name and entry of every parameter."""
    try:
        values, node = load_plain(text), yaml.compose(text, Loader)
    except yaml.YAMLError as error:
        raise UserError(f"{path}, {problem_of(error)}") from None
    if values is None:
        return []
    if not isinstance(values, dict) or not isinstance(node, yaml.MappingNode):
        raise UserError(
            f"{path} holds no search space: write `learning_rate: {{low: 1.0e-4, high: 1.0e-2, log: true}}`; "
            "RecBole's lines belong in a file that does not end in .yaml"
        )
    lines = {key.value: key.start_mark.line + 1 for key, _ in node.value}
    return [(lines.get(str(name), 1), str(name), entry) for name, entry in values.items()]


def _of_lines(path: Path, text: str) -> list[tuple[int, str, Any]]:
    """Line, name and the rest of every line of RecBole's format, which knows no comments; ``#`` starts one here."""
    rows = [(number, line.split(maxsplit=1)) for number, line in enumerate(text.splitlines(), start=1)]
    rows = [(number, words) for number, words in rows if words and not words[0].startswith("#")]
    return [(number, words[0], words[1] if len(words) > 1 else "") for number, words in rows]


_KEYS: dict[str, Any] = {"choices": list[Any], "low": Number, "high": Number, "log": bool, "step": Number}


def _domain(entry: Any) -> Domain:
    if not isinstance(entry, dict):
        raise UserError(f"takes {{low: …, high: …}} or {{choices: […]}}, not {shown(entry)}")
    for key in entry:
        if key not in _KEYS:
            raise UserError(f"there is no {shown(key)}, only {', '.join(_KEYS)}{suggestion(str(key), _KEYS)}")
    values = {key: check_value(key, _KEYS[key], value) for key, value in entry.items()}
    if set(values) == {"choices"}:
        return Choice(**values)
    if "choices" in values or not {"low", "high"} <= set(values):
        raise UserError("takes either choices, or low and high with log or step if wanted")
    return Range(**values)


def _of_recbole(text: str) -> dict[str, Any]:
    """A line's entry as our yaml would have it; nothing is passed to ``eval``."""
    kind, rest = (*text.split(maxsplit=1), "", "")[:2]
    if kind == "choice":
        return {"choices": _literals(rest)}
    needed = {"uniform": 2, "loguniform": 2, "quniform": 3}.get(kind)
    if needed is None:
        raise UserError(f"{shown(kind)} is no kind of range: choice, uniform, loguniform or quniform")
    try:
        low, high, *steps = numbers = [float(word) for word in rest.split(",")]
        if len(numbers) != needed or not all(map(math.isfinite, numbers)):
            raise ValueError
        if kind == "loguniform":  # the exponents of e
            return {"low": math.exp(low), "high": math.exp(high), "log": True}
    except (ValueError, OverflowError):
        raise UserError(f"{kind} takes {needed} numbers with commas between, not {shown(rest)}") from None
    return _quantised(low, high, *steps) if steps else {"low": low, "high": high}


def _quantised(low: float, high: float, step: float) -> dict[str, Any]:
    """``quniform``: the multiples of ``step``, as integers where every one of them is."""
    if not step > 0 or not all(math.isfinite(bound / step) for bound in (low, high)):
        raise UserError(f"the step {step} is not above 0, or too small for {low} to {high}")
    kind = int if step.is_integer() else float
    exact = Decimal(str(step))
    low, high = (kind(round(bound / step) * exact) for bound in (low, high))
    return {"low": low, "high": high, "step": kind(step)}


def _literals(text: str) -> list[Any]:
    """RecBole evaluates the list, and once more every text in it: ``'[64,64]'`` is a list of numbers."""
    try:
        values = literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        values = None
    if not isinstance(values, list | tuple):
        raise UserError(f"choice takes a list of numbers and quoted texts, not {shown(text)}")
    return [_plain(_evaluated(value) if isinstance(value, str) else value) for value in values]


def _evaluated(text: str) -> Any:
    words = {"true": True, "false": False}
    try:
        return literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return words.get(text.lower(), text)


def _plain(value: Any) -> Any:
    return [_plain(entry) for entry in value] if isinstance(value, list | tuple) else value
