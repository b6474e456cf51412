"""Errors that are the user's to mend: one line that says what is wrong, where, what is legal and what to do."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """A mistake in what was asked for or handed in. The command line prints its message alone, without a traceback."""


class UnknownOptionError(UserError):
    """An option, ``key``, that the model at hand does not have; another model may."""

    def __init__(self, message: str, key: str):
        super().__init__(message)
        self.key = key


def suggestion(word: str, legal: Iterable[str]) -> str:
    """``; did you mean 'epochs'?`` if some legal name is near ``word``, in whatever case, else the empty string."""
    spelt = {name.lower(): name for name in legal}
    near = get_close_matches(word.lower(), spelt, n=1, cutoff=0.6)
    return f"; did you mean {spelt[near[0]]!r}?" if near else ""
