"""The field's usual losses, run in every study beside what the search finds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from search_spaces.errors import SpaceError, hint_for
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


def nnunet_baseline(mode: str = BINARY) -> Baseline:
    """Give Dice and cross-entropy under nnU-Net's optimiser and schedule (Isensee et al., 2021).

    The network stays the study's own.
    """
    loss = _fixed_loss("dice", cross_entropy_term(mode))
    training = {
        "optimizer": "sgd",
        "optimizer_arguments": {},
        "lr": 1e-2,
        "momentum": 0.99,
        "weight_decay": 3e-5,
        "lr_schedule": "poly",
        "lr_schedule_arguments": {},
        "clip_norm": 12.0,
    }
    return Baseline("nnunet", loss.overrides | {f"training.{name}": value for name, value in training.items()})


def select_baselines(
    usual: Sequence[Baseline],
    wanted: bool | Sequence[str],  # noqa: FBT001
    others: Sequence[Baseline] = (),
) -> tuple[Baseline, ...]:
    """Give the baselines that a study asks for.

    Args:
        usual: those that run by default.
        wanted: the usual ones (true), none (false), or some by name, in the order of the names.
        others: those that run only where they are named.

    Raises:
        SpaceError: a name is that of no baseline.

    Example:
        >>> [baseline.name for baseline in select_baselines(baselines(), ["dice_bce", "nnunet"], [nnunet_baseline()])]
        ['dice_bce', 'nnunet']
    """
    if isinstance(wanted, bool):
        return tuple(usual) if wanted else ()
    known = {baseline.name: baseline for baseline in (*usual, *others)}
    for name in wanted:
        if name not in known:
            raise SpaceError(f"search.baselines: there is no baseline {name!r}. {hint_for(name, known)}")
    return tuple(known[name] for name in dict.fromkeys(wanted))


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
