"""What a run is about to do, in words, before it does it."""

from dataclasses import dataclass, replace

from search_spaces import Baseline, Space
from tuning.budget import describe_spending
from tuning.config import TRIAL_SECTIONS, StopConfig, StudyConfig
from tuning.drawing import drawn_trials
from tuning.drift import foreign_code
from tuning.errors import StudyConfigError
from tuning.machine import concurrent_trials
from tuning.record import StudyDirectory, TrialEntry

_SAME_FOR_ALL = (
    "training.epochs",
    "training.recipe",
    "training.seed",
    "training.precision",
    "checkpoint.max_checkpoints",
    "checkpoint.max_gib",
)


_OF_SCRIPTS = ("script.params.", "checkpoint.strategy")


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

    def with_notes(self, notes: list[str]) -> "Plan":
        """The same plan, with what is to be noticed at its end."""
        return replace(self, lines=(*self.lines, *notes))


def make_plan(
    config: StudyConfig,
    directory: StudyDirectory,
    data: list[str],
    space: Space,
    usual: tuple[Baseline, ...],
    entries: list[TrialEntry],
) -> Plan:
    """Say what is kept, what goes on and what is new; `data` are the lines about what is trained on."""
    kept = sum(entry.state != "running" for entry in entries)
    drawn = drawn_trials(config.search, space)
    total = max(len(usual) + drawn, len(entries))
    lines = [
        f"study     {config.name} in {directory.root}",
        *data,
        *([f"budget    {describe_spending(config)}"] if config.search.budget else []),
        *([f"code      runs {', '.join(code)}"] if (code := foreign_code(config.model_dump())) else []),
        f"trials    {_trials(config, drawn, len(usual))}",
        f"now       {kept} kept, {len(entries) - kept} continued, {total - len(entries)} new",
        f"each      up to {_budget(config)}, {_pace(config)}",
        f"stopping  {config.scheduler.describe()}",
        *([f"ends      {', '.join(rules)}, if not before"] if (rules := _stop_rules(config.stop)) else []),
        *(f"{'searched' if index == 0 else '':<9} {line}" for index, line in enumerate(space.describe())),
    ]
    return Plan(total, kept, config.budget, tuple(lines))


def check_space(space: Space, config: StudyConfig) -> None:
    """Refuse parameters that are no setting of a trial.

    Raises:
        StudyConfigError: lists every problem.
    """
    problems = []
    sections = TRIAL_SECTIONS if config.script is None else ("script", *TRIAL_SECTIONS)
    for parameter in space.parameters:
        section, _, key = parameter.name.partition(".")
        where = f"search.space.parameters.{parameter.name}"
        if config.script is not None and not parameter.name.startswith(_OF_SCRIPTS):
            problems.append(f"{where}: only {_OF_SCRIPTS[0]}<name> and {_OF_SCRIPTS[1]} can be searched in a script.")
        elif section not in sections:
            problems.append(f"{where}: only settings of {', '.join(sections)} can be searched.")
        elif key.partition(".")[0] not in type(getattr(config, section)).model_fields:
            known = ", ".join(type(getattr(config, section)).model_fields)
            problems.append(f"{where}: {section} has no setting {key!r}. Hint: it has {known}.")
        elif parameter.name in _SAME_FOR_ALL:
            problems.append(f"{where}: must be the same for all trials of a study. Hint: set it in the file.")
    if problems:
        raise StudyConfigError("\n".join(problems))


def _trials(config: StudyConfig, drawn: int, usual: int) -> str:
    if config.retrain:
        return f"{len(config.retrain.settings)} settings, each with {len(config.retrain.seeds)} new seeds"
    return f"{drawn} drawn by {config.search.sampler}, and {usual} baseline{'' if usual == 1 else 's'}"


def _budget(config: StudyConfig) -> str:
    folds, precision = config.data.folds, "" if config.script else f" in {config.training.precision}"
    return (
        f"{config.training.epochs} epochs{f' in each of {folds} folds, a fold at a time' if folds else ''}{precision}"
    )


def _stop_rules(stop: StopConfig) -> list[str]:
    rules = {
        "at {} epochs": stop.epochs,
        "after {:.4g} minutes": stop.minutes,
        "after {} trials without a gain": stop.plateau,
        "at Dice {:g}": stop.dice,
        "after {:g} CPU hours": stop.cpu_hours,
    }
    return [text.format(value) for text, value in rules.items() if value is not None]


def _pace(config: StudyConfig) -> str:
    cpus, gpus = config.resources.cpus_per_trial, config.resources.gpus_per_trial
    devices = f"{cpus} CPU{'' if cpus == 1 else 's'}" + (f" and {gpus:g} GPU" if gpus else "")
    return f"{concurrent_trials(config.resources)} at a time on {devices} each"
