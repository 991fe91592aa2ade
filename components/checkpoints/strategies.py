"""From a strategy's name to its policy."""

from dataclasses import fields
from typing import Any

from components.checkpoints.adaptive import AdaptivePolicy
from components.checkpoints.policies import AllPolicy, BestPolicy, EpochPolicy, IntervalPolicy, Metric, SavePolicy
from components.errors import InvalidInputError

STRATEGIES = ("best", "epoch", "interval", "all", "adaptive")
_DEFAULT_INTERVAL = 5  # epochs
_ADAPTIVE_OPTIONS = tuple(field.name for field in fields(AdaptivePolicy) if field.name not in ("monitor", "mode"))


def make_save_policy(
    strategy: str,
    *,
    monitor: str = "val_dice",
    mode: Metric = "max",
    interval_epochs: int | None = None,
    interval_minutes: float | None = None,
    **adaptive: Any,
) -> SavePolicy:
    """The policy of a strategy's name.

    Args:
        strategy: one of `STRATEGIES`.
        monitor: metric that decides what is best.
        mode: `max` or `min`.
        interval_epochs: of `interval`; default 5 unless minutes are given.
        interval_minutes: of `interval`.
        adaptive: further fields of `AdaptivePolicy`.

    Raises:
        InvalidInputError: the name is unknown, or an option does not fit.

    Example:
        >>> make_save_policy("adaptive", overhead=0.02).overhead
        0.02
    """
    if mode not in ("min", "max"):
        raise InvalidInputError(f"mode: found {mode!r}; use 'min' or 'max'.")
    unknown = ", ".join(sorted(set(adaptive) - set(_ADAPTIVE_OPTIONS)))
    if unknown:
        raise InvalidInputError(f"adaptive: found {unknown}; the options are {', '.join(_ADAPTIVE_OPTIONS)}.")
    if strategy == "interval" and interval_epochs is None and interval_minutes is None:
        interval_epochs = _DEFAULT_INTERVAL
    policies: dict[str, Any] = {
        "best": lambda: BestPolicy(monitor, mode),
        "epoch": EpochPolicy,
        "interval": lambda: IntervalPolicy(interval_epochs, interval_minutes),
        "all": AllPolicy,
        "adaptive": lambda: AdaptivePolicy(monitor, mode, **adaptive),
    }
    if strategy not in policies:
        raise InvalidInputError(f"save_strategy: found {strategy!r}; use one of {', '.join(STRATEGIES)}.")
    policy: SavePolicy = policies[strategy]()
    return policy
