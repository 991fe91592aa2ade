"""How long an epoch takes on this machine, measured by training it, and what a budget of time becomes by that."""

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from tuning.budget import DECIDED, EpochCost, spend
from tuning.config import StudyConfig, pick
from tuning.duration import seconds_of
from tuning.errors import StudyConfigError
from tuning.machine import concurrent_trials
from tuning.output import captured_output
from tuning.record import StudyDirectory
from tuning.recorded import recorded_settings
from tuning.store import TuneStore
from tuning.task import Task
from tuning.trial import Shared, trial_epochs

_LONGER = 3  # times the steps of a pass, to tell what steps cost from the rest of an epoch
_MEASURED_S, _MEASURED_SHARE = 4.0, 0.02  # of a budget of time, to learn what an epoch costs


def within_budget(
    config: StudyConfig, directory: StudyDirectory, task: Task, *, spent: Callable[[], float] = lambda: 0.0
) -> StudyConfig:
    """The settings with what a budget of time decides: once, by a measured epoch, and then as recorded.

    Args:
        config: of the study; without a budget it stays as it is.
        directory: of the study; there already where it goes on.
        task: of the study.
        spent: seconds of the budget that are over.

    Raises:
        StudyConfigError: the study file also says when the study ends, or it has another mistake.
    """
    budget, decided = config.search.budget, config.stop.minutes is not None
    if budget is None or (decided and directory.exists()):
        return config
    if decided:
        raise StudyConfigError("stop.minutes: contradicts search.budget. Hint: keep one of them.")
    if directory.exists():
        recorded = StudyConfig.load(recorded_settings(directory)).model_dump()
        return config.with_overrides(dict(pick(recorded, (*DECIDED, "stop.minutes"))))
    seconds = seconds_of(budget)
    cost = measure_cost(config, task, at_least=min(_MEASURED_S, seconds * _MEASURED_SHARE))
    usual = tuple(baseline.name for baseline in task.baselines())
    workers = concurrent_trials(config.resources)
    return config.with_overrides(spend(config, seconds - spent(), cost=cost, workers=workers, usual=usual))


def measure_cost(config: StudyConfig, task: Task, *, at_least: float) -> EpochCost:
    """What an epoch costs, its steps apart from the rest; without steps, as in a script, all of it is rest.

    Args:
        config: of the study.
        task: of the study.
        at_least: seconds for which epochs are trained.
    """
    steps = task.steps(config)
    if steps is None:
        return EpochCost(1, 0.0, measure_epoch(config, task, {}, at_least=at_least))
    short = measure_epoch(config, task, {"training.steps": steps}, at_least=at_least / 2)
    long = measure_epoch(config, task, {"training.steps": _LONGER * steps}, at_least=at_least / 2)
    step = max(long - short, 0.0) / ((_LONGER - 1) * steps)
    return EpochCost(steps, step, max(short - steps * step, 0.0))


def measure_epoch(config: StudyConfig, task: Task, overrides: dict[str, Any], *, at_least: float = 0.0) -> float:
    """Seconds of an epoch of a trial, trained and validated in this process; nothing is kept.

    Args:
        config: of the study.
        task: of the study.
        overrides: settings of the trial, by dotted path.
        at_least: seconds for which epochs are trained; the shortest counts, since the first one also warms up.
    """
    threads, started, found = torch.get_num_threads(), time.monotonic(), []
    try:
        with TemporaryDirectory() as folder, captured_output(), torch.random.fork_rng():
            shared = Shared(config, task, folder)
            assignment = {"number": 0, "overrides": overrides, "checkpoints": []}
            with closing(trial_epochs(assignment, shared, TuneStore(Path(folder)))) as epochs:
                for epoch in epochs:
                    found.append(float(epoch.row["seconds"]))
                    if time.monotonic() - started >= at_least:
                        break
        return min(found)
    finally:
        torch.set_num_threads(threads)
