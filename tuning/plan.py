"""What a run is about to do, in words, before it does it."""

from dataclasses import dataclass

from components.data import SegmentationData
from search_spaces import Baseline, Space
from tuning.config import TRIAL_SECTIONS, StudyConfig
from tuning.data import Folds, data_warnings
from tuning.errors import StudyConfigError
from tuning.machine import concurrent_trials
from tuning.record import StudyDirectory, TrialEntry

_SAME_FOR_ALL = (
    "training.epochs",
    "training.seed",
    "training.precision",
    "checkpoint.max_checkpoints",
    "checkpoint.max_gib",
)


@dataclass(frozen=True)
class Plan:
    """The plan of a run.

    Attributes:
        total: trials of the whole study, baselines included.
        finished: of these, how many have ended already.
        lines: the plan as text.
    """

    total: int
    finished: int
    epochs: int
    lines: tuple[str, ...]


def make_plan(
    config: StudyConfig,
    directory: StudyDirectory,
    folds: Folds,
    space: Space,
    usual: tuple[Baseline, ...],
    entries: list[TrialEntry],
) -> Plan:
    """Say what is kept, what goes on and what is new."""
    kept = sum(entry.state != "running" for entry in entries)
    total = max(len(usual) + config.search.trials, len(entries))
    data = folds[0]
    stop = f"ASHA, from epoch {config.scheduler.grace}, best 1/{config.scheduler.reduction:g} go on"
    lines = [
        f"study     {config.name} in {directory.root}",
        f"data      {data.name}: {_cases(folds)}; {_sizes(data)}, {data.mode} ({', '.join(data.foreground)})",
        *(f"warning   {line}" for line in data_warnings(folds)),
        f"trials    {config.search.trials} drawn by {config.search.sampler}, and {len(usual)} baselines",
        f"now       {kept} kept, {len(entries) - kept} continued, {total - len(entries)} new",
        f"each      up to {_budget(config)} in {config.training.precision}, {_pace(config)}",
        f"stopping  {stop if config.scheduler.type == 'asha' else 'none'}",
        *(f"{'searched' if index == 0 else '':<9} {line}" for index, line in enumerate(space.describe())),
    ]
    return Plan(total, kept, config.budget, tuple(lines))


def check_space(space: Space, config: StudyConfig) -> None:
    """Refuse parameters that are no setting of a trial.

    Raises:
        StudyConfigError: lists every problem.
    """
    problems = []
    for parameter in space.parameters:
        section, _, key = parameter.name.partition(".")
        where = f"search.space.parameters.{parameter.name}"
        if section not in TRIAL_SECTIONS:
            problems.append(f"{where}: only settings of {', '.join(TRIAL_SECTIONS)} can be searched.")
        elif key.partition(".")[0] not in type(getattr(config, section)).model_fields:
            known = ", ".join(type(getattr(config, section)).model_fields)
            problems.append(f"{where}: {section} has no setting {key!r}. Hint: it has {known}.")
        elif parameter.name in _SAME_FOR_ALL:
            problems.append(f"{where}: must be the same for all trials of a study. Hint: set it in the file.")
    if problems:
        raise StudyConfigError("\n".join(problems))


def _budget(config: StudyConfig) -> str:
    folds = config.data.folds
    return f"{config.training.epochs} epochs" + (f" in each of {folds} folds, a fold at a time" if folds else "")


def _cases(folds: Folds) -> str:
    if len(folds) > 1:
        dealt = " + ".join(str(len(fold.val)) for fold in folds)
        return f"{dealt} in {len(folds)} folds, {len(folds[0].test)} test"
    return ", ".join(f"{len(split)} {name}" for name, split in folds[0].splits.items())


def _sizes(data: SegmentationData) -> str:
    sizes = sorted(set().union(*(split.sizes for split in data.splits.values())))
    ends = dict.fromkeys("×".join(map(str, size)) for size in (sizes[0], sizes[-1]))
    channels = f"{data.in_channels} channel{'' if data.in_channels == 1 else 's'}"
    return f"{' to '.join(ends)}, {channels}"


def _pace(config: StudyConfig) -> str:
    cpus, gpus = config.resources.cpus_per_trial, config.resources.gpus_per_trial
    devices = f"{cpus} CPU{'' if cpus == 1 else 's'}" + (f" and {gpus:g} GPU" if gpus else "")
    return f"{concurrent_trials(config.resources)} at a time on {devices} each"
