"""YAML as RecBole's users write it: ``1e-3`` is a number, ``None`` null, a date text, and a repeated key a mistake."""

import re
from typing import Any, TypeAlias

import yaml

DEEPEST, MOST = 50, 100_000
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
_EXPONENT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$")  # YAML 1.1 wants point and sign


class UnfitError(yaml.YAMLError):
    """It is YAML, but not what a user's options can be."""


class Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the rules of this module; PyYAML's own classes stay as they are."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """As PyYAML's, but a key that stands there twice is an error, not a silent choice of the last."""
        seen: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} appears twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


# Dates, bytes and sets are nothing that an option takes, and the first two fail on malformed text in ways of their own.
Loader.yaml_constructors = {
    tag: function
    for tag, function in Loader.yaml_constructors.items()
    if tag is None or tag.rpartition(":")[2] in ("null", "bool", "int", "float", "str", "seq", "map")
}


class Dumper(yaml.SafeDumper):
    """Quotes the strings that :class:`Loader` would take for something else."""


Style: TypeAlias = type[Loader] | type[Dumper]


def _adopt_rules(style: Style) -> None:
    style.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in rules if tag != "tag:yaml.org,2002:timestamp"]
        for first, rules in style.yaml_implicit_resolvers.items()
    }
    style.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+.0123456789"))
    style.add_implicit_resolver("tag:yaml.org,2002:null", re.compile("None$"), ["N"])


_adopt_rules(Loader)
_adopt_rules(Dumper)


def load_yaml(text: str) -> Any:
    """The value of one YAML document. Raises ``yaml.YAMLError`` for malformed text."""
    try:
        return yaml.load(text, Loader)
    except (ValueError, LookupError) as error:  # 0b_ and !!bool x are numbers and such to PyYAML, till it reads them
        raise yaml.YAMLError(f"no such value: {error}") from None


def load_plain(text: str) -> Any:
    """As :func:`load_yaml`, for what a user wrote: nothing but what files, names and arrays can hold.

    That is, nulls, truth values, numbers of up to 64 bits, texts without NUL and half characters, lists and mappings;
    not nested beyond ``DEEPEST``, and, with what anchors repeat, no more than ``MOST`` values. Raises
    ``yaml.YAMLError``, of which ``UnfitError`` is one.
    """
    try:
        value = load_yaml(text)
    except RecursionError:
        raise UnfitError(f"nested deeper than {DEEPEST} levels") from None
    n_seen, waiting = 0, [(value, 0)]
    while waiting:
        found, depth = waiting.pop()
        n_seen += 1
        if depth > DEEPEST:
            raise UnfitError(f"nested deeper than {DEEPEST} levels, or in itself")
        if n_seen + len(waiting) > MOST:
            raise UnfitError(f"more than {MOST:,} values")
        _check_plain(found)
        inner = [*found, *found.values()] if isinstance(found, dict) else found if isinstance(found, list) else []
        waiting += [(entry, depth + 1) for entry in inner]
    return value


def _check_plain(value: Any) -> None:
    match value:
        case int() if abs(value) >= 2**63:
            raise UnfitError("a whole number of more than 64 bits")
        case str() if _NO_TEXT.search(value):
            raise UnfitError("a NUL or half of a character in a text")
        case None | bool() | int() | float() | str() | list() | dict():
            return
    raise UnfitError(f"a {type(value).__name__} where numbers, texts, lists and mappings are legal")


def dump_yaml(value: Any) -> str:
    """``value``, of plain Python types, as YAML that :func:`load_yaml` reads back; keys keep their order."""
    # Beyond ASCII, characters are escaped: PyYAML writes U+0085 and its like as they are, and reads them as line ends.
    return yaml.dump(value, Dumper=Dumper, sort_keys=False)


def problem_of(error: yaml.YAMLError) -> str:
    """What is wrong, in one line, with the line number if it is known."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return " ".join(str(error).split())
    mark = error.problem_mark or error.context_mark
    return f"line {mark.line + 1}: {error.problem}" if mark else str(error.problem)
