"""YAML as RecBole's users write it: ``1e-3`` is a number, ``None`` null, a date text, and a repeated key a mistake."""

import re
from typing import Any, TypeAlias

import yaml

_EXPONENT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$")  # YAML 1.1 wants point and sign


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
    except ValueError as error:  # 0b_ looks like a number to PyYAML, which then cannot read it
        raise yaml.YAMLError(str(error)) from None


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
