"""Errors that are the user's to mend: one line that says what is wrong, where, what is legal and what to do."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

LONGEST = 1000
"""Characters of a message, which is to be read."""


class UserError(Exception):
    """A mistake in what was asked for or handed in. The command line prints its message alone, without a traceback."""


class UnknownOptionError(UserError):
    """An option, ``key``, that the model at hand does not have; another model may."""

    def __init__(self, message: str, key: str):
        super().__init__(message)
        self.key = key


class UnfitConfigError(UserError):
    """A configuration that the model at hand cannot follow; another may."""


def line(error: object) -> str:
    """What ``error`` says, on one line that a terminal shows as it is: paths and values may hold anything."""
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(error))
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} … {text[-LONGEST // 3 :]}"


def shown(value: Any) -> str:
    """``repr(value)`` for a message, its middle left out where it is long."""
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:60]} … {text[-30:]}"


def suggestion(word: str, legal: Iterable[str]) -> str:
    """``; did you mean 'epochs'?`` if some legal name is near ``word``, in whatever case, else the empty string."""
    spelt = {name.lower(): name for name in legal}
    near = get_close_matches(word[:100].lower(), spelt, n=1, cutoff=0.6)
    return f"; did you mean {spelt[near[0]]!r}?" if near else ""
