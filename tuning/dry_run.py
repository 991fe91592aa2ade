"""What a run would do, without starting it: its plan, the space in numbers and examples, and how long it may take."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from search_spaces import Space
from tuning.budget import expected_epochs
from tuning.config import StudyConfig
from tuning.drawing import Drawing, drawn_trials
from tuning.duration import duration_text
from tuning.identity import open_directory
from tuning.machine import concurrent_trials
from tuning.measuring import measure_epoch, within_budget
from tuning.plan import Plan, make_plan
from tuning.record import StudyDirectory, TrialEntry, open_journal
from tuning.tasks import open_task

_EXAMPLES = 3


@dataclass(frozen=True)
class DryRun:
    """What a run would do.

    Attributes:
        plan: as a run prints it.
        size: of the search space, in words.
        examples: settings as the first trials would draw them, by dotted path.
        seconds: of a first epoch, trained and validated with the first example.
        hours: estimates for what is still to come: where early stopping takes out what it means to, and where it
            takes out nothing.
    """

    plan: Plan
    size: str
    examples: tuple[dict[str, Any], ...]
    seconds: float
    hours: tuple[float, float]

    def lines(self, describe: Callable[[dict[str, Any]], str]) -> list[str]:
        """The same as text; `describe` says an example's settings in one line."""
        low, high = (duration_text(3600 * hours) for hours in self.hours)
        return [
            *self.plan.lines,
            f"size      {self.size}",
            *(f"{'' if index else 'examples':<9} {describe(example)}" for index, example in enumerate(self.examples)),
            f"epoch     {self.seconds:.3g} s, measured: the first of a trial with the first example",
            f"time      about {low if low == high else f'{low} to {high}'}, if trials at a time do not slow each other",
        ]


def dry_run(config: StudyConfig, directory: Path) -> DryRun:
    """Check a study as a run does, draw examples and train one epoch; nothing is written.

    Args:
        config: of the study.
        directory: study directory; when there is a study, only what is left of it is estimated.

    Raises:
        StudyConfigError: settings, data or search space are wrong.
        StudyMismatchError: the directory belongs to another study.
    """
    study = StudyDirectory(directory)
    task = open_task(config, study.root)
    config = within_budget(config, study, task)
    space = task.check(config)
    usual = task.baselines(config.search.baselines)
    entries: list[TrialEntry] = []
    if study.exists():
        open_directory(study, config, task.describe())
        entries = open_journal(study).trials()
    examples = draw_examples(config, space)
    seconds = measure_epoch(config, task, examples[0])
    epochs = _epochs_to_come(config, drawn_trials(config.search, space), len(usual), entries)
    pace = seconds / concurrent_trials(config.resources) / 3600
    plan = make_plan(config, study, task.plan(), space, usual, entries).with_notes(task.notes(config, space))
    return DryRun(plan, space_size(space), examples, seconds, (epochs[0] * pace, epochs[1] * pace))


def space_size(space: Space) -> str:
    """How much there is to search: continuous dimensions, and combinations of what has steps or options.

    Example:
        >>> space_size(Space.from_config({"parameters": {"training.batch": {"int": [1, 8]}}}))
        '8 combinations'
    """
    counts = [_count(distribution) for distribution in space.distributions().values()]
    continuous = sum(count is None for count in counts)
    combinations = math.prod(count for count in counts if count is not None)
    parts = [f"{continuous} continuous dimension{'' if continuous == 1 else 's'}"] if continuous else []
    if combinations > 1:
        parts.append(f"{combinations} combinations")
    conditional = any(parameter.when is not None for parameter in space.parameters)
    return f"{'up to ' if conditional else ''}{' times '.join(parts) or 'a single setting'}"


def draw_examples(config: StudyConfig, space: Space) -> tuple[dict[str, Any], ...]:
    """Settings as the first trials would draw them while the sampler still knows nothing."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    drawing, study, drawn = Drawing(config.search, space), optuna.create_study(), []
    for number in range(_EXAMPLES):
        study.sampler = drawing.sampler(number)
        drawn.append(space.suggest(study.ask()))
    return tuple(drawn)


def _count(distribution: Any) -> int | None:
    if isinstance(distribution, CategoricalDistribution):
        return len(distribution.choices)
    if isinstance(distribution, IntDistribution | FloatDistribution) and distribution.step:
        return round((distribution.high - distribution.low) / distribution.step) + 1
    return None


def _epochs_to_come(config: StudyConfig, total: int, usual: int, entries: list[TrialEntry]) -> tuple[float, float]:
    drawn = [entry for entry in entries if entry.number >= 0]
    running = [config.budget - max(entry.dice, default=0) for entry in entries if entry.state == "running"]
    new = max(total - len(drawn), 0)
    certain = sum(running) + (usual - (len(entries) - len(drawn))) * config.budget
    return certain + new * expected_epochs(config), certain + new * config.budget
