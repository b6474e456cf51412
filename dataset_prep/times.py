"""Times as raw files have them: dates of ISO 8601, unix seconds, unix milliseconds."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime

from dataset_prep.records import BadRecordError, Record, number, short

MILLISECONDS = 1e11  # as seconds the year 5138, as milliseconds 1973
LATEST = 1e14  # as milliseconds the year 5138

KINDS = {
    "dates": "dates of ISO 8601, UTC unless they say otherwise",
    "seconds": "unix times in seconds",
    "milliseconds": "unix times in milliseconds",
}
_NUMBER = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?")
_DIGITS = re.compile(r"((?:19|20)[0-9]{6})([0-9]{4}(?:[0-9]{2})?)?")
"""A day, or a minute or second of it, without a sign between; as seconds a day of 1970, as milliseconds of 1976."""


def unix_seconds(record: Record, key: str) -> float:
    """A time of a record in seconds since 1970; milliseconds are told by their size."""
    value = number(record, key)
    if not 0 <= value < LATEST:
        raise BadRecordError(f"{key} is {short(value)}, not a unix time in seconds or milliseconds")
    return value / 1000 if value >= MILLISECONDS else value


def iso_seconds(record: Record, key: str) -> float:
    """A date or a moment of a record, in UTC unless it names a zone, in seconds since 1970."""
    value = record.get(key)
    if value is None:
        raise BadRecordError(f"no {key}")
    try:
        found = _moment(value)
    except (TypeError, ValueError, OverflowError):
        raise BadRecordError(f"{key} is {short(value)}, not a date") from None
    if found < 0:
        raise BadRecordError(f"{key} is {short(value)}, before 1970")
    return found


def detect(values: Iterable[str]) -> str | None:
    """What the first of ``values`` that is a time is, a key of ``KINDS``; None where none is."""
    return next(filter(None, map(_kind, values)), None)


def seconds(text: str, kind: str) -> float:
    """Unix seconds of a time of this kind, not before 1970. Raises BadRecordError for anything else."""
    text = text.strip()
    if not text:
        raise BadRecordError("no time")
    if _NUMBER.fullmatch(text) and float(text) < 0:
        raise BadRecordError(f"the time {text[:40]!r} is negative; legal are times from 1970 on")
    if _kind(text) != kind:
        raise BadRecordError(f"the time {text[:40]!r} is not of the {KINDS[kind]} that the first one is of")
    if kind != "dates":
        return float(text) / (1000 if kind == "milliseconds" else 1)
    found = _moment(text)
    if found < 0:
        raise BadRecordError(f"the time {text[:40]!r} is before 1970")
    return found


def _kind(text: str) -> str | None:
    text = text.strip()
    if _NUMBER.fullmatch(text) and not _DIGITS.fullmatch(text):
        if not 0 <= float(text) < LATEST:
            return None
        return "milliseconds" if float(text) >= MILLISECONDS else "seconds"
    try:
        _moment(text)
    except (ValueError, OverflowError):
        return None
    return "dates"


def _moment(text: str) -> float:
    if (digits := _DIGITS.fullmatch(text)) and digits[2]:
        text = f"{digits[1]}T{digits[2]}"
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
