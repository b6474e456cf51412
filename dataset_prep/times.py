"""Times as people write them: dates of ISO 8601, unix seconds, unix milliseconds."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime

from dataset_prep.lines import LATEST, MILLISECONDS, BadRecordError

KINDS = {
    "dates": "dates of ISO 8601, UTC unless they say otherwise",
    "seconds": "unix times in seconds",
    "milliseconds": "unix times in milliseconds",
}
_NUMBER = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?")
_DAY = re.compile(r"(19|20)[0-9]{6}")  # as seconds, a day of 1970


def detect(values: Iterable[str]) -> str | None:
    """What the first of ``values`` that is a time is, a key of ``KINDS``; None where none is."""
    return next(filter(None, map(_kind, values)), None)


def seconds(text: str, kind: str) -> float:
    """Unix seconds of a time of this kind, not before 1970. Raises BadRecordError for anything else."""
    text = text.strip()
    if not text:
        raise BadRecordError("no time")
    number = bool(_NUMBER.fullmatch(text))
    if number and float(text) < 0:
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
    if _NUMBER.fullmatch(text) and not _DAY.fullmatch(text):
        if not 0 <= float(text) < LATEST:
            return None
        return "milliseconds" if float(text) >= MILLISECONDS else "seconds"
    try:
        _moment(text)
    except (ValueError, OverflowError):
        return None
    return "dates"


def _moment(text: str) -> float:
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
