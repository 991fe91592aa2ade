"""From factors by term to weights: what the rules that scale the base weights have in common."""

import math
from collections.abc import Mapping

# exp(-50) is 2e-22: as good as nothing, but not 0, which would put a term to sleep and end what is measured of it.
_LOWEST_EXPONENT = -50.0


def softmax(values: Mapping[str, float]) -> dict[str, float]:
    """Return K·softmax over K terms: factors above 0 whose mean is 1.

    Example:
        >>> softmax({"dice": 3.0, "bce": 3.0})
        {'dice': 1.0, 'bce': 1.0}
    """
    largest = max(values.values())
    raw = {name: math.exp(max(value - largest, _LOWEST_EXPONENT)) for name, value in values.items()}
    total = sum(raw.values())
    return {name: len(raw) * value / total for name, value in raw.items()}


def rescaled(base: Mapping[str, float], factors: Mapping[str, float]) -> dict[str, float]:
    """Return base times factor, scaled so that the weights add up to what the base weights do.

    Args:
        base: weight by term.
        factors: above 0, of at least the terms whose base weight is; the others stay 0.

    Example:
        >>> rescaled({"dice": 0.5, "bce": 0.5}, {"dice": 3.0, "bce": 1.0})
        {'dice': 0.75, 'bce': 0.25}
    """
    raw = {name: weight * factors[name] if weight else 0.0 for name, weight in base.items()}
    scale = sum(base.values()) / sum(raw.values())
    return {name: scale * value for name, value in raw.items()}
