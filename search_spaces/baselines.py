"""The field's usual losses, run in every study beside what the search finds."""

from dataclasses import dataclass
from typing import Any

from search_spaces.modes import BINARY, cross_entropy_term

_FOCAL_GAMMA = 2.0  # Lin et al. (2017), the value of their main results


@dataclass(frozen=True)
class Baseline:
    """A fixed setting to compare with.

    Args:
        name: Short name for tables.
        overrides: Values by dotted path, to lay over the study's settings.
    """

    name: str
    overrides: dict[str, Any]


def baselines(mode: str = BINARY) -> tuple[Baseline, ...]:
    """Give cross-entropy, Dice, and their half-and-half compounds with fixed weights.

    Each overrides ``loss.preset``, ``loss.terms`` (options by term), ``loss.weights`` and ``loss.schedule``, so that
    it does not depend on the losses of the study file. The choice follows SegLossOdyssey (Ma et al., 2021): compounds
    of Dice with cross-entropy or focal loss are most robust.

    Args:
        mode: ``binary``, or ``multiclass`` where ``bce`` becomes ``ce``.

    Raises:
        SpaceError: If there is no such mode.

    Example:
        >>> [baseline.name for baseline in baselines()]
        ['bce', 'dice', 'dice_bce', 'dice_focal']
    """
    cross_entropy = cross_entropy_term(mode)
    return tuple(
        _fixed_loss(*terms) for terms in ((cross_entropy,), ("dice",), ("dice", cross_entropy), ("dice", "focal"))
    )


def _fixed_loss(*terms: str) -> Baseline:
    options: dict[str, dict[str, Any]] = {"focal": {"gamma": _FOCAL_GAMMA}}
    return Baseline(
        name="_".join(terms),
        overrides={
            "loss.preset": None,
            "loss.terms": {term: options.get(term, {}) for term in terms},
            "loss.weights": {term: 1 / len(terms) for term in terms},
            "loss.schedule": {"type": "constant"},
        },
    )
