"""Save policies by the name of their strategy."""

from typing import Any

from components.checkpoints.adaptive import AdaptivePolicy
from components.checkpoints.policies import AllPolicy, BestPolicy, EpochPolicy, IntervalPolicy, Metric, SavePolicy
from components.errors import InvalidInputError

STRATEGIES = ("best", "epoch", "interval", "all", "adaptive")


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

    Raises:
        InvalidInputError: the name is unknown, or an option does not fit.
    """
    if mode not in ("min", "max"):
        raise InvalidInputError(f"mode: found {mode!r}; use 'min' or 'max'.")
    if strategy == "interval" and interval_epochs is None and interval_minutes is None:
        interval_epochs = 5
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
