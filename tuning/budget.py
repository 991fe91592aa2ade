"""What a study does with the time that it is given: how long a full training is, how many trials, when it ends."""

from itertools import pairwise
from typing import Any

from tuning.config import StudyConfig
from tuning.duration import duration_text

# Of the time: the longest training, and what is planned for, as trials that start late may go on for longer.
_FULL_SHARE = 0.4
_PLANNED_SHARE = 0.9
_BASELINE_SHARE = 0.5  # of what all workers have, at most: several baselines must leave time for a search
_AROUND_S = 12.0  # before the first trial starts and after the last one has ended, beyond what is measured
_CONTENTION = 1.1  # trials at a time slow each other: they share memory and caches
_FEWEST_EPOCHS = 9  # below, rungs at a ninth and a third of them compare nothing
_REDUCTION = 3.0
_SAFE = ("dice_bce", "dice_ce", "as_it_is")  # Dice and cross-entropy: the field's default
# What a budget decides beside `stop.minutes`; a study that goes on has it from its record.
DECIDED = (
    "training.epochs",
    "training.warmup",
    "search.trials",
    "search.baselines",
    "scheduler.grace",
    "scheduler.reduction",
)


def expected_epochs(config: StudyConfig) -> float:
    """Epochs of a drawn trial where each rung lets 1/reduction go on; with pbt all train to the end."""
    if config.scheduler.type == "pbt":
        return config.budget
    ends = [*config.scheduler.rungs(config.budget), config.budget]
    reduction = config.scheduler.reduction
    return ends[0] + sum((after - before) / reduction**rung for rung, (before, after) in enumerate(pairwise(ends), 1))


def spend(config: StudyConfig, seconds: float, *, epoch: float, workers: int, usual: tuple[str, ...]) -> dict[str, Any]:
    """Decide how a time is spent, by dotted path.

    The longest training takes two fifths of it, so that a baseline and the best of the search both come to their end;
    the number of trials is what early stopping makes fit. Too little time for two full trainings trains the safest
    setting alone.

    Args:
        config: of the study.
        seconds: that are left.
        epoch: seconds of one epoch, measured with nothing beside it.
        workers: trials at a time.
        usual: names of the task's baselines.

    Example:
        >>> spend(config, 600, epoch=1.0, workers=2, usual=("dice_bce",))["training.epochs"]  # doctest: +SKIP
        216
    """
    left = max(seconds - _AROUND_S, 1.0)
    cost = epoch * (_CONTENTION if workers > 1 else 1.0) * (config.data.folds or 1)
    safest = [name for name in usual if name in _SAFE]
    wanted = config.search.baselines
    baselines = wanted if isinstance(wanted, list) else safest if wanted else []
    share = min(_FULL_SHARE, _BASELINE_SHARE * workers / max(len(baselines), 1))
    longest = int(share * left / cost)
    found = {"stop.minutes": left / 60, **_of_length(config, longest)}
    if longest < _FEWEST_EPOCHS:
        alone = max(1, int(_PLANNED_SHARE * left / epoch))
        return found | _of_length(config, alone) | {"search.trials": 0, "search.baselines": safest}
    found["search.baselines"] = baselines
    trial = expected_epochs(config.with_overrides(found)) / (config.data.folds or 1)
    rest = _PLANNED_SHARE * left * workers / cost - len(baselines) * longest
    return found | {"search.trials": max(1, int(rest / trial))}


def _of_length(config: StudyConfig, epochs: int) -> dict[str, Any]:
    """A full training of so many epochs, with rungs at a ninth and a third of them."""
    epochs = max(epochs, 1)
    return {
        "training.epochs": epochs,
        "training.warmup": min(config.training.warmup, epochs // 10),
        "scheduler.grace": max(1, round(epochs / _REDUCTION**2)),
        "scheduler.reduction": _REDUCTION,
    }


def describe_spending(config: StudyConfig) -> str:
    """What the budget became, for the plan."""
    minutes = config.stop.minutes or 0.0
    baselines = config.search.baselines
    count = len(baselines) if isinstance(baselines, list) else 0
    parts = [f"a full training has {config.training.epochs} epochs"]
    if count:
        parts.append(f"{count} baseline{'' if count == 1 else 's'} get{'s' if count == 1 else ''} one")
    if config.search.trials:
        parts.append(f"up to {config.search.trials} trials share the rest, the best third going on at each rung")
    else:
        parts.append("too little time for a search, so that only the safest setting is trained")
    return f"{duration_text(60 * minutes)}: {'; '.join(parts)}"
