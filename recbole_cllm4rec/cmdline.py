"""The command line: ``--key=value``, ``--key value`` and ``--flag``, with values typed as in a yaml file."""

import re
from collections.abc import Sequence
from typing import Any

import yaml

from recbole_cllm4rec.errors import UserError, shown
from recbole_cllm4rec.yamlio import UnfitError, load_plain, problem_of

_KEY = re.compile(r"\w[\w-]*(\.\w[\w-]*)*")  # dots reach into a mapping: eval_args.split.RS
_HALF_OPEN = re.compile(r"\[[^\[\],]*,[^\[\],]*\)")  # [5,inf) is RecBole's notation of an interval, not YAML
_NAMES = {"dataset", "data_path"}  # of folders: 2024_01 is a number in YAML, and "yes" a truth
_COMMENT = re.compile(r"[^'\"\[{].*\s#.*|#.*", re.DOTALL)


def parse(argv: Sequence[str]) -> dict[str, Any]:
    """The options in ``argv``, dotted keys as they stand, in the order given.

    A key without a value is true; an empty value, ``--key=``, is the empty text. A value that starts with ``--`` needs
    the form ``--key=value``. Raises :class:`UserError` for anything else: a word that is no option, a missing or
    malformed name, a malformed value, one key with two different values.
    """
    options: dict[str, Any] = {}
    words = list(argv)
    while words:
        word = words.pop(0)
        if not word.startswith("--"):
            raise UserError(f"{shown(word)} is not an option: write --key=value or --key value")
        key, equals, text = word[2:].partition("=")
        if not _KEY.fullmatch(key):
            raise UserError(f"{shown(word)} has no proper name: write --key=value")
        if not equals and (not words or words[0].startswith("--")):
            value: Any = True
        else:
            value = _typed(key, text if equals else words.pop(0))
        if key in options and repr(options[key]) != repr(value):
            raise UserError(f"--{key} is given twice, as {shown(options[key])} and as {shown(value)}: keep one")
        options[key] = value
    return options


def _typed(key: str, text: str) -> Any:
    if not text or _HALF_OPEN.fullmatch(text) or (key in _NAMES and text[0] not in "'\""):
        return text
    if _COMMENT.fullmatch(text):
        raise UserError(f"--{key}: in {shown(text)} the # would start a YAML comment: put quotes around the value")
    try:
        return load_plain(text)
    except UnfitError as error:
        raise UserError(f"--{key} cannot be {shown(text)}: {error}") from None
    except yaml.YAMLError as error:
        raise UserError(f"--{key}: {shown(text)} is not YAML ({problem_of(error)}): put quotes around text") from None
