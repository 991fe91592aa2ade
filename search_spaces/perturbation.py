"""A value near another one, as population-based training explores."""

import math
from random import Random
from typing import Any

from search_spaces.distributions import Distribution, Float
from search_spaces.errors import SpaceError
from search_spaces.simplex import Simplex, without_small

FACTORS = (0.8, 1.2)  # Jaderberg et al., Population Based Training of Neural Networks (2017), section 4


def perturb(distribution: Distribution, value: Any, random: Random, resample: float = 0.25) -> Any:
    """Draw the value anew with probability `resample`, else move it by a factor of 0.8 or 1.2.

    A float is multiplied, then clipped to its range and put on its step. Each weight of a simplex is multiplied by a
    factor of its own, then all are rescaled to sum 1; one under `min_weight` becomes 0, and 0 stays 0 until it is
    drawn anew.

    Args:
        distribution: a `Float` or a `Simplex`.
        value: of this distribution.
        random: where chance comes from.
        resample: in [0, 1].

    Raises:
        SpaceError: the distribution is another one.

    Example:
        >>> perturb(Float(1e-4, 1e-2, log=True), 1e-2, Random(1), resample=0.0) in (8e-3, 1e-2)
        True
    """
    if not isinstance(distribution, Float | Simplex):
        raise SpaceError(f"{distribution.describe()}: only floats and weights are perturbed.")
    if random.random() < resample:
        return distribution.value([_draw(part, random) for part in distribution.parts("").values()])
    if isinstance(distribution, Simplex):
        moved = [float(value.get(term, 0)) * random.choice(FACTORS) for term in distribution.terms]
        total = math.fsum(moved)
        weights = without_small([weight / total for weight in moved], distribution.min_weight)
        return dict(zip(distribution.terms, weights, strict=True))
    return _within(distribution, value * random.choice(FACTORS))


def _draw(part: Float, random: Random) -> float:
    if part.log:
        return _within(part, math.exp(random.uniform(math.log(part.low), math.log(part.high))))
    return _within(part, random.uniform(part.low, part.high))


def _within(part: Float, value: float) -> float:
    value = min(max(value, part.low), part.high)
    if part.step is None:
        return value
    return min(part.low + round((value - part.low) / part.step) * part.step, part.high)
