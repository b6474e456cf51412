r"""Text in one field of one line: tab, newline, carriage return and backslash as ``\t``, ``\n``, ``\r``, ``\\``.

Other line separators of Unicode (U+0085, U+2028, form feed ...) stay as they are, so escaped files are to be split at
``\n`` alone, never with ``str.splitlines``.
"""

import re

_ESCAPED = {"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"}
_PLAIN = {escaped: plain for plain, escaped in _ESCAPED.items()}


def escape(text: str) -> str:
    """Text without tab, newline or carriage return, from which ``unescape`` recovers the original."""
    for plain, escaped in _ESCAPED.items():  # the backslash first; beyond ASCII, str.translate is far slower
        text = text.replace(plain, escaped)
    return text


def unescape(text: str) -> str:
    """The original of an escaped text; a backslash before any other character is kept."""
    return re.sub(r"\\[\\tnr]", lambda match: _PLAIN[match[0]], text)
