"""Typed options: a frozen dataclass names the legal values of every option, and its yaml holds the defaults."""

import math
import re
from dataclasses import dataclass, fields
from numbers import Integral, Real
from pathlib import PurePath
from types import UnionType
from typing import Annotated, Any, Literal, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints

from recbole_cllm4rec.errors import UserError, shown, suggestion

T = TypeVar("T")


@dataclass(frozen=True)
class AtLeast:
    """A number that is not below ``low``."""

    low: float

    def holds(self, value: float) -> bool:
        return value >= self.low

    def __str__(self) -> str:
        return f"of at least {self.low}"


@dataclass(frozen=True)
class Above:
    """A number greater than ``low``."""

    low: float

    def holds(self, value: float) -> bool:
        return value > self.low

    def __str__(self) -> str:
        return f"above {self.low}"


@dataclass(frozen=True)
class Between:
    """A number from ``low`` to ``high``, both included."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"from {self.low} to {self.high}"


class Whole:
    """A bound whose words say what is legal without those of the type."""


@dataclass(frozen=True)
class Filled(Whole):
    """A text or a list that is not empty: ``what`` it is."""

    what: str

    def holds(self, value: Any) -> bool:
        return bool(value)

    def __str__(self) -> str:
        return self.what


@dataclass(frozen=True)
class Intervals(Whole):
    """RecBole's notation of intervals: ``[5,inf)``, or several with semicolons between."""

    def holds(self, value: str) -> bool:
        return all(re.fullmatch(rf"\s*[\[(]{_BOUND},{_BOUND}[\])]\s*", part) for part in value.split(";"))

    def __str__(self) -> str:
        return "intervals, as '[5,inf)' or '(0,1];[3,4]'"


@dataclass(frozen=True)
class Names(Whole):
    """A path that file systems have room for, suffixes added. ``inside``: of the folder that it is joined to."""

    inside: bool = False

    def holds(self, value: str) -> bool:
        parts = PurePath(value).parts
        outside = self.inside and (value[-1:] == "/" or not {"/", ".."}.isdisjoint(parts))
        short = len(value.encode()) <= 2000 and all(len(part.encode()) <= 200 for part in parts)
        return value != "" and short and not outside

    def __str__(self) -> str:
        where = " below the folder of results" if self.inside else ""
        return f"the name of a file or folder{where} (200 bytes a part at most)"


_BOUND = r"\s*([-+]?\d+(\.\d*)?([eE][-+]?\d+)?|[-+]?inf)\s*"
Share = Annotated[float, Between(0, 1)]
Name = Annotated[str, Filled("a name")]
Place = Annotated[str, Names()]


class Values(Protocol):
    """What options are read from: a dictionary, or a RecBole ``Config``."""

    def __contains__(self, key: Any, /) -> bool: ...

    def __getitem__(self, key: Any, /) -> Any: ...


def read_options(cls: type[T], values: Values) -> T:
    """The options ``cls``, a dataclass, out of ``values``, which must hold every field and may hold other keys too."""
    hints = get_type_hints(cls, include_extras=True)
    names = [field.name for field in fields(cls)]  # type: ignore[arg-type]
    if missing := [name for name in names if name not in values]:
        raise UserError(f"{missing[0]} has no value: {cls.__name__} expects a default for it in the model's yaml")
    return cls(**{name: check_value(name, hints[name], values[name]) for name in names})


def check_value(name: str, annotation: Any, value: Any) -> Any:
    """``value`` as ``annotation`` wants it (an int becomes a float where a float is due).

    Annotations are ``int``, ``float``, ``bool``, ``str``, ``None``, ``Any``, ``Literal[...]``, ``X | Y``, ``list[X]``,
    ``dict[K, V]`` and ``Annotated`` numbers with :class:`AtLeast`, :class:`Above` or :class:`Between`. Raises
    :class:`UserError` that names the key, the value and what is legal.
    """
    try:
        return _fitted(annotation, value)
    except (ValueError, OverflowError):
        raise UserError(f"{name} takes {_legal(annotation)}, not {shown(value)}{_hint(annotation, value)}") from None


def check_span(name: str, value: float | list[float]) -> None:
    """Raise :class:`UserError` unless ``value`` is one number, or the two ends of a span, the lower first."""
    if isinstance(value, list) and not (len(value) == 2 and sorted(value) == value):
        raise UserError(f"{name} is {value}: give one share, or two, the lower first")


def _fitted(annotation: Any, value: Any) -> Any:
    """``value`` converted to ``annotation``, or a ``ValueError``."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        fitted = _fitted(args[0], value)
        if all(bound.holds(fitted) for bound in args[1:]):
            return fitted
    elif origin in (Union, UnionType):
        return _first_fit(args, value)
    elif origin is list:
        if isinstance(value, list):
            return [_fitted(args[0], entry) for entry in value]
    elif origin is dict:
        if isinstance(value, dict):
            return {_fitted(args[0], key): _fitted(args[1], entry) for key, entry in value.items()}
    elif origin is Literal:
        if any(value == choice and type(value) is type(choice) for choice in args):
            return value
    elif annotation in (int, float):
        if isinstance(value, Integral if annotation is int else Real) and not isinstance(value, bool):
            number = annotation(value)
            if math.isfinite(number):
                return number
    elif annotation is Any or isinstance(value, annotation):
        return value
    raise ValueError(value)


def _first_fit(annotations: tuple[Any, ...], value: Any) -> Any:
    for annotation in annotations:
        try:
            return _fitted(annotation, value)
        except ValueError:
            continue
    raise ValueError(value)


def _hint(annotation: Any, value: Any) -> str:
    if isinstance(value, str):
        return suggestion(value, _choices(annotation))
    wanted = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    wanted = tuple(get_args(one)[0] if get_origin(one) is Annotated else one for one in wanted)
    return "; put it in quotes to mean text" if str in wanted and isinstance(value, bool | int | float) else ""


def _choices(annotation: Any) -> list[str]:
    """The words that ``annotation`` lists anywhere inside."""
    if get_origin(annotation) is Literal:
        return [choice for choice in get_args(annotation) if isinstance(choice, str)]
    return [word for part in get_args(annotation) for word in _choices(part)]


def _legal(annotation: Any) -> str:
    """``annotation`` in words."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return " ".join([*([] if isinstance(args[1], Whole) else [_legal(args[0])]), *map(str, args[1:])])
    if origin in (Union, UnionType):
        return " or ".join(map(_legal, args))
    if origin is Literal:
        return ", ".join(map(repr, args)) if len(args) == 1 else "one of " + ", ".join(map(repr, args))
    if origin is list:
        return f"a list of ({_legal(args[0])})"
    if origin is dict:
        return f"a mapping from ({_legal(args[0])}) to ({_legal(args[1])})"
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text", Any: "anything"}
    return words.get(annotation, "null")
