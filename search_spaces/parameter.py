"""A named parameter, the condition under which it is sampled, and what must hold between parameters."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from search_spaces.distributions import Choice, Distribution, Float, Int, Scalar
from search_spaces.errors import SpaceError, hint_for

_DOTTED_PATH = re.compile(r"[A-Za-z_][\w-]*(\.[A-Za-z_][\w-]*)*")


@dataclass(frozen=True)
class When:
    """The parameter is sampled only where another one has a given value.

    Args:
        parameter: Name of a Choice or Int of the same space; where that one is not sampled, this one is not either.
        equals: The value, or a tuple of values, under which the parameter is sampled.

    Raises:
        SpaceError: If no value is given.

    Example:
        >>> When("checkpoint.strategy", "interval").describe()
        'when checkpoint.strategy is interval'
    """

    parameter: str
    equals: Scalar | tuple[Scalar, ...]

    def __post_init__(self) -> None:
        if self.equals == ():
            raise SpaceError(
                f"when: no value of {self.parameter} is named. Hint: name one, or leave the condition out."
            )
        if isinstance(self.equals, tuple) and len(self.equals) == 1:
            object.__setattr__(self, "equals", self.equals[0])  # one form, so that equal conditions compare equal

    @property
    def values(self) -> tuple[Scalar, ...]:
        """All values under which the parameter is sampled."""
        return self.equals if isinstance(self.equals, tuple) else (self.equals,)

    def holds(self, value: object) -> bool:
        """Whether the condition holds where the named parameter has this value."""
        return value in self.values

    def describe(self) -> str:
        """Say the condition in a few words."""
        return f"when {self.parameter} is {' or '.join(map(str, self.values))}"

    def to_config(self) -> dict[str, Any]:
        """Give the form of the study file."""
        return {self.parameter: list(self.equals) if isinstance(self.equals, tuple) else self.equals}


@dataclass(frozen=True)
class Parameter:
    """A setting that the search may change.

    Args:
        name: Dotted path of the setting in the study file that is overridden, as ``training.lr``.
        distribution: What it may be.
        when: Condition under which it is sampled; without one, always.

    Raises:
        SpaceError: If the name is no dotted path.

    Example:
        >>> Parameter("checkpoint.interval", Int(2, 8), when=When("checkpoint.strategy", "interval")).to_config()
        {'int': [2, 8], 'when': {'checkpoint.strategy': 'interval'}}
    """

    name: str
    distribution: Distribution
    when: When | None = None

    def __post_init__(self) -> None:
        check_name(self.name)

    def describe(self) -> str:
        """Say range and condition in a few words."""
        return self.distribution.describe() + (f", {self.when.describe()}" if self.when else "")

    def to_config(self) -> dict[str, Any]:
        """Give the form of the study file."""
        return self.distribution.to_config() | ({"when": self.when.to_config()} if self.when else {})


def check_name(name: object) -> None:
    """Refuse what is no dotted path.

    Raises:
        SpaceError: If it is none.
    """
    if not isinstance(name, str) or not _DOTTED_PATH.fullmatch(name):
        raise SpaceError(f"{name!r} is no setting's name. Hint: write its dotted path, as training.lr.")


def can_hold(parameter: Parameter, when: When) -> bool:
    """Whether the named parameter can take every value of the condition."""
    distribution = parameter.distribution
    return isinstance(distribution, Choice | Int) and all(value in distribution for value in when.values)


def find_problems(parameters: Sequence[Parameter], unread: Collection[str] = ()) -> list[str]:
    """List what is wrong between the parameters of one space.

    Args:
        parameters: In the order of the space.
        unread: Names that could not be read; a condition on one of them is not judged.
    """
    names = sorted(parameter.name for parameter in parameters)
    problems = [f"{a}: named twice. Hint: keep one of the two." for a, b in pairwise(names) if a == b]
    known = set(names)
    problems += [
        f"{inner}: lies inside {outer}, which is searched as a whole. Hint: keep one of the two."
        for inner in names
        for outer in _names_above(inner)
        if outer in known
    ]
    by_name = {parameter.name: parameter for parameter in parameters}
    for parameter in parameters:
        if parameter.when is not None and parameter.when.parameter not in unread:
            problems += _condition_problems(parameter.name, parameter.when, by_name)
        source = getattr(parameter.distribution, "source", None)
        if source is not None and source not in unread:
            problems += _source_problems(parameter.name, source, by_name)
    return problems


def _source_problems(name: str, source: str, by_name: dict[str, Parameter]) -> list[str]:
    if source not in by_name:
        others = [other for other in by_name if other != name]
        hint = hint_for(source, others) if others else "Hint: add it to the space."
        return [f"{name}: derived: {source} is no parameter of this space. {hint}"]
    distribution = by_name[source].distribution
    if not (isinstance(distribution, Float | Int) or hasattr(distribution, "source")):
        return [f"{name}: derived: {source} must be a float or an int, is {distribution.describe()}."]
    return []


def _names_above(name: str) -> list[str]:
    """All beginnings of a dotted path; looked up, they cost less in a large space than comparing all pairs."""
    parts = name.split(".")
    return [".".join(parts[:depth]) for depth in range(1, len(parts))]


def _condition_problems(name: str, when: When, by_name: dict[str, Parameter]) -> list[str]:
    source = by_name.get(when.parameter)
    if source is None:
        others = [other for other in by_name if other != name]
        hint = hint_for(when.parameter, others) if others else "Hint: add it to the space."
        return [f"{name}: when: {when.parameter} is no parameter of this space. {hint}"]
    if not isinstance(source.distribution, Choice | Int):
        return [f"{name}: when: {source.name} must be a choice or an int, is a {source.distribution.describe()}."]
    if not can_hold(source, when):
        return [
            f"{name}: when: {source.name} can never be {value!r}. Hint: it is {source.distribution.describe()}."
            for value in when.values
            if value not in source.distribution
        ]
    return []
