"""How many different settings a space has."""

import math
from collections.abc import Sequence

from search_spaces.distributions import Choice, Float, Int
from search_spaces.parameter import Parameter


def count_settings(parameters: Sequence[Parameter]) -> float:
    """Multiply what is independent, add up what excludes each other; infinite where a number is not stepped."""
    return math.prod(_count(p, parameters) for p in parameters if p.when is None)


def _count(parameter: Parameter, parameters: Sequence[Parameter]) -> float:
    """Settings of a parameter and of all that hangs on it."""
    below = [p for p in parameters if p.when is not None and p.when.parameter == parameter.name]
    distribution = parameter.distribution
    options: Sequence[object]
    if isinstance(distribution, Int):
        options = range(distribution.low, distribution.high + 1, distribution.step)
    elif isinstance(distribution, Choice):
        options = distribution.options
    else:
        return math.prod(_count_numbers(part) for part in distribution.parts(parameter.name).values())
    if not below:
        return float(len(options))
    return sum(
        math.prod(_count(p, parameters) for p in below if p.when is not None and p.when.holds(option))
        for option in options
    )


def _count_numbers(part: Float | Int | Choice) -> float:
    if isinstance(part, Float) and part.step is not None:
        return float(round((part.high - part.low) / part.step) + 1)
    return math.inf
