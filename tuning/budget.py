"""What a study does with the time that it is given: how long a full training is, how many trials, when it ends."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tuning.config import StudyConfig
from tuning.duration import duration_text

# Of the time: the longest training, and what is planned for, as trials that start late may go on for longer.
_FULL_SHARE = 0.4
_PLANNED_SHARE = 0.9
_BASELINE_SHARE = 0.5  # of what all workers have, at most: several baselines must leave time for a search
_AROUND_S = 8.0  # before the first trial starts and after the last one has ended, beyond what is measured
_CONTENTION = 1.05  # trials at a time slow each other: they share memory and caches
_FEWEST_EPOCHS = 9  # below, rungs at a ninth and a third of them compare nothing
_REDUCTION = 3.0
# Of a race: its rungs lie at 1/16 and 1/4 of a full training, and a stop in between lets a quarter go on.
_RACE_REDUCTION = 4
_FEWEST_ROUNDS, _MOST_ROUNDS = 2, 12  # trials of each worker up to the first rung
_ROUND_S = 90.0  # so many seconds of the budget for the square of the rounds: more time means longer and more trainings
_PAUSE_S = 3.0  # to start the workers anew at a rung
_RACE_SHARE = 0.97  # of the time: what is left for an epoch that takes longer than the measured one
_EPOCHS = 96  # of a full training: often enough to look at the validation split, seldom enough to cost little
_SAFE = ("dice_bce", "dice_ce", "as_it_is")  # Dice and cross-entropy: the field's default
# What a budget decides beside `stop.minutes`; a study that goes on has it from its record.
DECIDED = (
    "training.epochs",
    "training.steps",
    "training.warmup",
    "search.trials",
    "search.baselines",
    "scheduler.grace",
    "scheduler.reduction",
    "scheduler.survivors",
)


@dataclass(frozen=True)
class EpochCost:
    """What an epoch of one trial costs, measured with nothing beside it.

    Attributes:
        steps: of one pass over the training cases.
        step: seconds of a step.
        rest: seconds of an epoch beside its steps, most of it the validation.
    """

    steps: int
    step: float
    rest: float

    def seconds(self, steps: int | None = None) -> float:
        """Of an epoch of so many steps; by default of one pass."""
        return (steps or self.steps) * self.step + self.rest


def expected_epochs(config: StudyConfig) -> float:
    """Epochs of a drawn trial where each rung lets 1/reduction go on; with pbt all train to the end."""
    if config.scheduler.type == "pbt":
        return config.budget
    ends = [*config.scheduler.rungs(config.budget), config.budget]
    reduction = config.scheduler.reduction
    return ends[0] + sum((after - before) / reduction**rung for rung, (before, after) in enumerate(pairwise(ends), 1))


def spend(
    config: StudyConfig, seconds: float, *, cost: EpochCost, workers: int, usual: tuple[str, ...]
) -> dict[str, Any]:
    """Decide how a time is spent, by dotted path.

    In a race a full training takes what is left beside the first rungs, and an epoch gets as many steps as make the
    validation cheap. With other schedulers the longest training takes two fifths of the time, so that a baseline and
    the best of the search both come to their end, and the number of trials is what early stopping makes fit. Too little
    time for two full trainings trains the safest setting alone.

    Args:
        config: of the study.
        seconds: that are left.
        cost: of an epoch.
        workers: trials at a time.
        usual: names of the task's baselines.

    Example:
        >>> spend(config, 600, cost=EpochCost(8, 0.1, 0.2), workers=2, usual=("dice_bce",))  # doctest: +SKIP
    """
    left, epoch = max(seconds - _AROUND_S, 1.0), cost.seconds(config.training.steps)
    each = epoch * (_CONTENTION if workers > 1 else 1.0) * (config.data.folds or 1)
    safest = [name for name in usual if name in _SAFE]
    wanted = config.search.baselines
    baselines = wanted if isinstance(wanted, list) else safest if wanted else []
    share = min(_FULL_SHARE, _BASELINE_SHARE * workers / max(len(baselines), 1))
    if config.scheduler.type == "race":
        raced = _race(config, left, cost, workers=workers, baselines=baselines)
        if raced["training.epochs"] >= _RACE_REDUCTION**2:
            return {"stop.minutes": left / 60} | raced
    longest = int(share * left / each)
    found = {
        "stop.minutes": left / 60,
        "training.steps": config.training.steps,
        "scheduler.survivors": config.scheduler.survivors,
        **_of_length(config, longest),
    }
    if longest < _FEWEST_EPOCHS:
        alone = max(1, int(_PLANNED_SHARE * left / epoch))
        return found | _of_length(config, alone) | {"search.trials": 0, "search.baselines": safest}
    found["search.baselines"] = baselines
    trial = expected_epochs(config.with_overrides(found)) / (config.data.folds or 1)
    rest = _PLANNED_SHARE * left * workers / each - len(baselines) * longest
    return found | {"search.trials": max(1, int(rest / trial))}


def _race(config: StudyConfig, left: float, cost: EpochCost, *, workers: int, baselines: list[str]) -> dict[str, Any]:
    """A race that ends in time: all wait for each other at two rungs, so that it takes a sum of rounds."""
    rounds = min(max(round(math.sqrt(left / _ROUND_S)), _FEWEST_ROUNDS), _MOST_ROUNDS)
    trials = max(workers * rounds - len(baselines), 2)
    survivors = max(1, min(workers - len(baselines), trials // _RACE_REDUCTION))
    fields = (trials, max(survivors, math.ceil(trials / _RACE_REDUCTION)), survivors)
    in_turn = [math.ceil((len(baselines) + count) / workers) for count in fields]  # of each worker, up to each rung

    def epochs_in_turn(epochs: int) -> int:
        first = math.ceil(epochs / _RACE_REDUCTION**2)
        ends = (0, first, first * _RACE_REDUCTION, epochs)
        return sum(count * (end - start) for count, (start, end) in zip(in_turn, pairwise(ends), strict=True))

    contended = (_CONTENTION if workers > 1 else 1.0) * (config.data.folds or 1)
    available = (_RACE_SHARE * left - _PAUSE_S * (len(fields) - 1)) / contended
    steps = config.training.steps
    if steps is None and cost.step:
        wanted = int((available / epochs_in_turn(_EPOCHS) - cost.rest) / cost.step)
        steps = wanted if wanted > cost.steps else None
    epochs = max(int(available / cost.seconds(steps)), 1)
    while epochs > 1 and epochs_in_turn(epochs) * cost.seconds(steps) > available:
        epochs -= max(1, epochs // _EPOCHS)
    return {
        "training.epochs": epochs,
        "training.steps": steps,
        "training.warmup": min(config.training.warmup, epochs // 10),
        "search.trials": trials,
        "search.baselines": baselines,
        "scheduler.grace": math.ceil(epochs / _RACE_REDUCTION**2),
        "scheduler.reduction": float(_RACE_REDUCTION),
        "scheduler.survivors": survivors,
    }


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
    steps = f" of {config.training.steps} steps" if config.training.steps else ""
    parts = [f"a full training has {config.training.epochs} epochs{steps}"]
    if count:
        parts.append(f"{count} baseline{'' if count == 1 else 's'} get{'s' if count == 1 else ''} one")
    if config.search.trials and config.scheduler.type == "race":
        rungs = " and ".join(map(str, config.scheduler.rungs(config.budget)))
        parts.append(
            f"{config.search.trials} trials race, pausing at epoch {rungs}, {config.scheduler.survivors} to the end"
        )
    elif config.search.trials:
        parts.append(f"up to {config.search.trials} trials share the rest, the best third going on at each rung")
    else:
        parts.append("too little time for a search, so that only the safest setting is trained")
    return f"{duration_text(60 * minutes)}: {'; '.join(parts)}"
