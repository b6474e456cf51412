"""Words of a text in any script, for models that ask which items share them."""

import re
import unicodedata
from functools import cache

_UNSPACED = re.compile(
    "([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+)"
)
"""Runs of scripts that put no space between words: Thai, Lao, Burmese, Khmer, kana and Han."""

_WITH_MARKS = range(0x300, 0x1F000)
"""All characters that are marks of a script, and others."""


def split_words(text: str) -> list[str]:
    """The words of ``text`` in lower case, of two characters at least.

    Where a script has no spaces, pairs of neighbouring characters stand for words: two titles that share a word share
    its pairs, whatever stands around it.
    """
    words = []
    for run in _words().findall(text.lower()):
        for part in _UNSPACED.split(run):
            if _UNSPACED.match(part):
                words += [part[k : k + 2] for k in range(max(1, len(part) - 1))]
            elif len(part) > 1:
                words.append(part)
    return words


@cache
def _words() -> re.Pattern[str]:
    """Runs of letters, digits and marks, as Python's own end a word at the vowel signs of Hindi or Tamil."""
    marks = "".join(c for c in map(chr, _WITH_MARKS) if unicodedata.category(c).startswith("M"))
    return re.compile(rf"[\w{marks}]+")
