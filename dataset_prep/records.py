"""A record, out of a line of JSON or of a Python literal, and what stands in it: ids, numbers, text."""

import ast
import json
import math
from collections.abc import Callable
from typing import Any, TypeAlias

Record: TypeAlias = dict[str, Any]


class BadRecordError(Exception):
    """What is wrong with a record; who reads the file adds where it stands."""


def parse(line: bytes, number: Callable[[str], Any] | None = None) -> Record:
    """The record of one line: a JSON object or, in the oldest Amazon releases, a Python dictionary of literals.

    ``number`` makes the value of a JSON number of its digits, as JSON does unless given.
    """
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRecordError(f"not UTF-8 ({error.reason} at byte {error.start})") from None
    try:
        record = json.loads(text, parse_int=number, parse_float=number, parse_constant=number)
    except ValueError as error:
        record = _literal(text, error)
    except RecursionError:
        raise BadRecordError("nested too deeply") from None
    if not isinstance(record, dict):
        raise BadRecordError("not a record, which stands in braces")
    if b"\\ud" in line.lower() or b"\\U" in line:  # half of a surrogate pair is a legal escape, but no text
        try:
            json.dumps(record, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise BadRecordError("half of a surrogate pair, which is no character") from None
        except (TypeError, ValueError):
            raise BadRecordError("holds what JSON cannot") from None
    return record


def _literal(text: str, error: ValueError) -> object:
    """The Python literal of a line that is not JSON, for the reason given by ``error``."""
    if not text.lstrip().startswith("{'"):
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise BadRecordError(f"not JSON ({reason})")
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        raise BadRecordError("neither JSON nor a Python literal") from None


def raw_id(record: Record, key: str) -> str:
    """An id, which is not empty and fits one field of one line."""
    value = record.get(key)
    if value is None or value == "":
        raise BadRecordError(f"no {key}")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise BadRecordError(f"{key} is {short(value)}, not an id")
    if "\t" in value or "\n" in value or "\r" in value:
        raise BadRecordError(f"{key} is {short(value)}, which holds a tab or a line break")
    if value.endswith("\x00"):
        raise BadRecordError(f"{key} is {short(value)}, which ends in a NUL character, as numpy keeps none at an end")
    if value == "[PAD]":
        raise BadRecordError(f"{key} is '[PAD]', which RecBole keeps for no id at all")
    return value


def number(record: Record, key: str) -> float:
    """A finite number."""
    value = record.get(key)
    if value is None:
        raise BadRecordError(f"no {key}")
    try:
        finite = math.isfinite(value)
    except (OverflowError, TypeError):  # JSON has whole numbers of any length
        finite = False
    if isinstance(value, bool) or not finite:
        raise BadRecordError(f"{key} is {short(value)}, not a number")
    return value


def no_text(value: object) -> str:
    """Raise BadRecordError: what text is made of does not hold such values."""
    raise BadRecordError(f"{str(value)[:40]!r} is no text")


def joined(value: Any, glue: str, spell: Callable[[Any], str] = no_text) -> str:
    """A text as it stands, the parts of a list joined; lists in a list, such as paths of categories, by semicolons.

    ``spell`` makes a text of what is neither text nor number nor list.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        parts = [joined(part, glue, spell) for part in value]
        nested = any(isinstance(part, list) for part in value)
        return ("; " if nested else glue).join(part for part in parts if part)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return spell(value)


def short(value: object) -> str:
    """A value in an error message."""
    return repr(value)[:40]
