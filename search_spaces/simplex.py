"""Weights that sum to 1, sampled uniformly over the simplex."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from search_spaces.distributions import Float
from search_spaces.errors import SpaceError

MIN_WEIGHT = 0.02  # a term under 2 % hardly moves the gradient but costs its full time
_FEWEST_TERMS = 2
_SUM_TOLERANCE = 1e-6  # weights typed by hand, as 0.333333


def simplex_weights(uniforms: Sequence[float], min_weight: float = 0.0) -> tuple[float, ...]:
    """Break a stick of length 1 into K pieces by K-1 uniform numbers.

    The k-th piece takes ``1 - (1 - u)**(1 / (K - k))`` of what is left, k = 1..K-1. That share is Beta(1, K-k)
    distributed, so the weights are Dirichlet(1, ..., 1): uniform over the simplex. A weight under `min_weight` then
    becomes exactly 0 and the rest is rescaled; the largest always stays.

    Args:
        uniforms: K-1 numbers in [0, 1].
        min_weight: Smallest weight that is kept, in [0, 1).

    Returns:
        K weights, none negative, with sum 1.

    Raises:
        ValueError: If a number is outside its range.

    Example:
        >>> simplex_weights([0.75, 0.5])
        (0.5, 0.25, 0.25)

    Source: L. Devroye, Non-Uniform Random Variate Generation (1986), chapter XI.4.
    """
    if not all(0 <= u <= 1 for u in uniforms) or not 0 <= min_weight < 1:
        raise ValueError(f"uniforms must lie in [0, 1] and min_weight in [0, 1); found {uniforms}, {min_weight}.")
    left, weights = 1.0, []
    for after, u in zip(range(len(uniforms), 0, -1), uniforms, strict=True):
        piece = left * (1 - (1 - u) ** (1 / after))
        weights.append(piece)
        left -= piece
    return without_small([*weights, left], min_weight)


def without_small(weights: list[float], min_weight: float) -> tuple[float, ...]:
    """Set weights under `min_weight` to 0 and rescale the rest to sum 1; the largest always stays."""
    largest = max(weights)
    while any(0 < w < min_weight and w != largest for w in weights):  # again where rescaling rounds one down
        kept = [w if w >= min_weight or w == largest else 0.0 for w in weights]
        weights = [w / math.fsum(kept) for w in kept]
        largest = max(weights)
    return tuple(weights)


def simplex_uniforms(weights: Sequence[float]) -> tuple[float, ...]:
    """Give the uniform numbers that `simplex_weights` turns into these weights; for enqueuing a known point.

    Exact to rounding for a few terms; the more terms share a small rest, the fewer digits of it survive.

    Args:
        weights: K >= 2 weights with sum 1 (within 1e-6), none negative.

    Returns:
        K-1 numbers in [0, 1].

    Raises:
        ValueError: If these are no weights of a simplex.

    Example:
        >>> simplex_uniforms([0.5, 0.25, 0.25])
        (0.75, 0.5)
    """
    total = math.fsum(weights)
    if len(weights) < _FEWEST_TERMS or min(weights) < 0 or not abs(total - 1) <= _SUM_TOLERANCE:
        raise ValueError(f"weights must be two or more, not negative, with sum 1; found {weights}.")
    uniforms = []
    for after in range(len(weights) - 1, 0, -1):
        rest = weights[-after:]
        left = weights[-after - 1] + math.fsum(rest)
        uniforms.append(1 - (math.fsum(rest) / left) ** after if left > 0 else 0.0)
    return tuple(uniforms)


@dataclass(frozen=True)
class Simplex:
    """Weights of named terms: the value is ``{term: weight}`` with sum 1.

    K terms are K-1 uniform numbers in Optuna, named ``<parameter>~<term>`` for all terms but the last. The tilde
    marks them as sampling coordinates: ``loss.weights~dice`` is *not* the weight of dice.

    Args:
        terms: Two or more different names.
        min_weight: A smaller weight becomes 0; at least 0 and below ``1 / len(terms)``.

    Raises:
        SpaceError: If the terms or the smallest weight make no sense.

    Example:
        >>> list(Simplex(("dice", "bce", "focal")).parts("loss.weights"))
        ['loss.weights~dice', 'loss.weights~bce']
    """

    terms: tuple[str, ...]
    min_weight: float = MIN_WEIGHT

    def __post_init__(self) -> None:
        if isinstance(self.terms, str) or not isinstance(self.terms, Sequence):
            raise SpaceError(f"the terms must be a list of names, found {self.terms!r}.")
        object.__setattr__(self, "terms", tuple(self.terms))
        problems = [f"term {t!r} must be a name." for t in self.terms if not (isinstance(t, str) and t)]
        if not problems and len(set(self.terms)) < len(self.terms):
            problems.append(f"two of the terms {list(self.terms)!r} are equal. Hint: name each once.")
        if len(self.terms) < _FEWEST_TERMS:
            problems.append("weights need two terms to share. Hint: set a single term in the study file itself.")
        elif not isinstance(self.min_weight, int | float) or isinstance(self.min_weight, bool):
            problems.append(f"min_weight ({self.min_weight!r}) must be a number.")
        elif not 0 <= self.min_weight < 1 / len(self.terms):
            limit = f"1/{len(self.terms)}, an equal share"
            problems.append(f"min_weight ({self.min_weight}) must be at least 0 and below {limit}.")
        if problems:
            raise SpaceError(*problems)

    def parts(self, name: str) -> dict[str, Float]:
        """See `search_spaces.distributions.Distribution.parts`."""
        return {f"{name}~{term}": Float(0.0, 1.0) for term in self.terms[:-1]}

    def value(self, sampled: Sequence[Any]) -> dict[str, float]:
        """See `search_spaces.distributions.Distribution.value`."""
        return dict(zip(self.terms, simplex_weights(sampled, self.min_weight), strict=True))

    def describe(self) -> str:
        """See `search_spaces.distributions.Distribution.describe`."""
        return f"weights of {', '.join(self.terms)} with sum 1, under {self.min_weight} becomes 0"

    def to_config(self) -> dict[str, Any]:
        """See `search_spaces.distributions.Distribution.to_config`."""
        smallest = {} if self.min_weight == MIN_WEIGHT else {"min_weight": self.min_weight}
        return {"simplex": list(self.terms), **smallest}
