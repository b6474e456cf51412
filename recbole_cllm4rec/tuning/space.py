"""Search spaces: what a study may choose from."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, TypeAlias

from recbole_cllm4rec.config_layers import blaming
from recbole_cllm4rec.errors import UserError

Number: TypeAlias = int | float


@dataclass(frozen=True)
class Choice:
    """One of ``choices``, which are of any plain type."""

    choices: list[Any]

    def __post_init__(self) -> None:
        if not self.choices:
            raise UserError("choices is empty: write choices: [32, 64]")
        try:
            codes = self.codes()
        except TypeError as error:
            raise UserError(f"choices takes numbers, texts, lists and mappings: {error}") from None
        for code in codes:
            if codes.count(code) > 1:
                raise UserError(f"choices has {code} twice")

    def codes(self) -> list[str]:
        """The choices as JSON, for they may be lists, and 1 is not 1.0 or True."""
        return [self.encode(choice) for choice in self.choices]

    def samples(self) -> list[Any]:
        """Values of which each is to be legal."""
        return self.choices

    def holds(self, value: Any) -> bool:
        return self.encode(value) in self.codes()

    def encode(self, value: Any) -> str:
        return json.dumps(value)

    def decode(self, code: str) -> Any:
        return json.loads(code)

    def __str__(self) -> str:
        return ", ".join(self.codes())


@dataclass(frozen=True)
class Range:
    """A number from ``low`` to ``high``, both included: any, any evenly on a log scale, or those ``step`` apart.

    It is whole if the bounds and the step are.
    """

    low: Number
    high: Number
    log: bool = False
    step: Number | None = None

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.low, self.high, self.step or 1))):
            raise UserError(f"{self} is not finite")
        if self.low >= self.high:
            raise UserError(f"low {self.low} is not below high {self.high}")
        if self.log and self.low <= 0:
            raise UserError(f"low {self.low} has no logarithm: give one above 0, or leave out log")
        if self.step is None:
            return
        if self.log:
            raise UserError("log and step exclude each other: leave out one")
        if self.step <= 0:
            raise UserError(f"step {self.step} is not above 0")
        if not self._on_grid(self.high):
            raise UserError(f"high {self.high} is no multiple of step {self.step} above low {self.low}")

    @property
    def whole(self) -> bool:
        """Whether the values are integers."""
        return all(isinstance(bound, int) for bound in (self.low, self.high, self.step or 1))

    def samples(self) -> list[Number]:
        """Values of which each is to be legal."""
        return [self.low, self.high]

    def holds(self, value: Any) -> bool:
        kind = int if self.whole else (int, float)
        if not isinstance(value, kind) or isinstance(value, bool):
            return False
        return self.low <= value <= self.high and (self.step is None or self._on_grid(value))

    def encode(self, value: Number) -> Number:
        return value

    def decode(self, code: Number) -> Number:
        """Steps add up with an error in the last digits, which would stand in every report."""
        return code if self.step is None or self.whole else float(f"{code:.12g}")

    def _on_grid(self, value: Number) -> bool:
        low, step, exact = (Decimal(str(number)) for number in (self.low, self.step, value))
        try:
            return (exact - low) % step == 0
        except InvalidOperation:  # more steps than Decimal has digits for
            raise UserError(f"step {self.step} is too small for {self.low} to {self.high}") from None

    def __str__(self) -> str:
        return f"{self.low} to {self.high}" + ", log" * self.log + (f", step {self.step}" if self.step else "")


Domain: TypeAlias = Choice | Range


@dataclass(frozen=True)
class Space:
    """The domain of every parameter that is tuned, and where it stands: ``file, line n``."""

    domains: dict[str, Domain]
    places: dict[str, str]

    def meaning(self) -> dict[str, dict[str, Any]]:
        """The space in plain values, the same for all files that mean the same."""
        return {name: asdict(self.domains[name]) for name in sorted(self.domains)}

    def check(self, build: Callable[[Mapping[str, Any]], Any]) -> None:
        """Try the choices and the ends of the ranges, one at a time, on ``build``, which raises :class:`UserError`."""
        for name, domain in self.domains.items():
            with blaming(self.places[name]):
                for value in domain.samples():
                    build({name: value})
