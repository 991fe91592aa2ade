"""What one parameter may be: a number in a range, or one of a few options.

Every distribution tells which scalars Optuna samples for it (`parts`) and makes its value of them (`value`).
For the scalar kinds that is the value itself; `search_spaces.simplex` has one that is made of several.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from search_spaces.errors import SpaceError
from search_spaces.ranges import check_range, is_number, is_whole

Scalar = str | int | float | bool | None
_FEWEST_OPTIONS = 2


class Distribution(Protocol):
    """The seam for a new kind of parameter."""

    def parts(self, name: str) -> "Mapping[str, Float | Int | Choice]":
        """Name the scalars that Optuna samples for a parameter of this name."""

    def value(self, sampled: Sequence[Any]) -> Any:
        """Make the parameter's value of its sampled parts, in their order."""

    def describe(self) -> str:
        """Say the range in a few words."""

    def to_config(self) -> dict[str, Any]:
        """Give the form of the study file; what stands at its default is left out."""


@dataclass(frozen=True)
class Float:
    """A real number from `low` to `high`, both included.

    Args:
        low: Smallest value.
        high: Largest value, above `low`.
        log: Sample the logarithm uniformly; needs ``low > 0`` and no `step`.
        step: Distance between the values; must divide the range.

    Raises:
        SpaceError: If the range makes no sense; names every problem.

    Example:
        >>> Float(1e-4, 1e-2, log=True).describe()
        'float 0.0001 to 0.01, log scale'
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def __post_init__(self) -> None:
        check_range(self.low, self.high, self.step, log=self.log)

    def parts(self, name: str) -> "dict[str, Float]":
        """See `Distribution.parts`."""
        return {name: self}

    def value(self, sampled: Sequence[Any]) -> float:
        """See `Distribution.value`."""
        return float(sampled[0])

    def describe(self) -> str:
        """See `Distribution.describe`."""
        step = "" if self.step is None else f", step {self.step}"
        return f"float {self.low} to {self.high}{step}{', log scale' if self.log else ''}"

    def to_config(self) -> dict[str, Any]:
        """See `Distribution.to_config`."""
        step = {} if self.step is None else {"step": self.step}
        return {"float": [self.low, self.high], **({"log": True} if self.log else {}), **step}


@dataclass(frozen=True)
class Int:
    """A whole number from `low` to `high`, both included; the arguments are those of `Float`.

    Example:
        >>> Int(4, 16, step=4).describe()
        'int 4 to 16, step 4'
    """

    low: int
    high: int
    log: bool = False
    step: int = 1

    def __post_init__(self) -> None:
        if self.step is None:  # `step: null` in a study file: as if left out
            object.__setattr__(self, "step", 1)
        check_range(self.low, self.high, None if self.step == 1 else self.step, log=self.log, whole=True)

    def __contains__(self, value: object) -> bool:
        return is_whole(value) and self.low <= value <= self.high and (value - self.low) % self.step == 0

    def parts(self, name: str) -> "dict[str, Int]":
        """See `Distribution.parts`."""
        return {name: self}

    def value(self, sampled: Sequence[Any]) -> int:
        """See `Distribution.value`."""
        return int(sampled[0])

    def describe(self) -> str:
        """See `Distribution.describe`."""
        step = "" if self.step == 1 else f", step {self.step}"
        return f"int {self.low} to {self.high}{step}{', log scale' if self.log else ''}"

    def to_config(self) -> dict[str, Any]:
        """See `Distribution.to_config`."""
        step = {} if self.step == 1 else {"step": self.step}
        return {"int": [self.low, self.high], **({"log": True} if self.log else {}), **step}


@dataclass(frozen=True)
class Choice:
    """One of a few options, without order.

    Args:
        options: At least two of str, int, float, bool or None, all different (Optuna takes 1, 1.0 and True for one).

    Raises:
        SpaceError: If the options cannot be told apart, or are of another type.

    Example:
        >>> Choice(("best", "epoch")).describe()
        'one of best, epoch'
    """

    options: tuple[Scalar, ...]

    def __post_init__(self) -> None:
        if isinstance(self.options, str) or not isinstance(self.options, Sequence):
            raise SpaceError(f"the options must be a list, found {self.options!r}.")
        object.__setattr__(self, "options", tuple(self.options))
        problems = [
            f"option {option!r} must be text, a finite number, true, false or null."
            for option in self.options
            if not (option is None or isinstance(option, str | bool) or is_number(option))
        ]
        if not problems and len(set(self.options)) < len(self.options):
            problems.append(f"two of the options {list(self.options)!r} are equal. Hint: name each once.")
        if len(self.options) < _FEWEST_OPTIONS:
            problems.append("one needs two options to choose. Hint: set a single value in the study file itself.")
        if problems:
            raise SpaceError(*problems)

    def __contains__(self, value: object) -> bool:
        return value in self.options

    def parts(self, name: str) -> "dict[str, Choice]":
        """See `Distribution.parts`."""
        return {name: self}

    def value(self, sampled: Sequence[Any]) -> Scalar:
        """See `Distribution.value`."""
        option: Scalar = sampled[0]
        return option

    def describe(self) -> str:
        """See `Distribution.describe`."""
        return f"one of {', '.join(map(str, self.options))}"

    def to_config(self) -> dict[str, Any]:
        """See `Distribution.to_config`."""
        return {"choice": list(self.options)}
