"""A trial as the journal has it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from components.plain_text import tame


@dataclass(frozen=True)
class Clone:
    """That a trial went on from another's checkpoint.

    Attributes:
        number: of the trial.
        epoch: of the checkpoint; from then on the trial's Dice, row and checkpoint of this epoch are the other's.
        source: number of the other trial.
        dice: what the trial itself had at this epoch.
        taken: settings that the checkpoint was trained with last.
        settings: those that the trial went on with.
    """

    number: int
    epoch: int
    source: int
    dice: float
    taken: dict[str, Any]
    settings: dict[str, Any]

    def describe(self) -> str:
        """Say it in a few words."""
        return f"from trial {self.source}'s checkpoint of epoch {self.epoch}"


@dataclass(frozen=True)
class TrialEntry:
    """A trial as the journal has it.

    Attributes:
        number: search trials from 0, baselines from -1 downwards.
        state: `running` (also while interrupted), `complete`, `pruned` or `failed`.
        cause: why it ended; empty while it runs.
        overrides: settings by dotted path; empty when the study was killed before they were drawn.
        dice: validation Dice by epoch.
        baseline: name of the baseline, or None.
        stop: state and cause noted at the stop, also when the trial was not yet told.
        deaths: how often its worker died.
        infeasible: the constraints that it breaks, in words.
        fold_epochs: epochs of each fold; 0 without folds.
        clones: the checkpoints of others that it went on from, in order.
        failed_before: why it failed each time before it was run again.
    """

    number: int
    state: str
    cause: str
    overrides: dict[str, Any]
    dice: dict[int, float]
    baseline: str | None = None
    stop: dict[str, str] = field(default_factory=dict)
    deaths: int = 0
    fold_epochs: int = 0
    infeasible: tuple[str, ...] = ()
    clones: tuple[Clone, ...] = ()
    failed_before: tuple[str, ...] = ()

    def settings_after(self, epoch: int) -> dict[str, Any]:
        """Settings that the trial trains with after an epoch; they change where it goes on from another trial."""
        return next((clone.settings for clone in reversed(self.clones) if clone.epoch <= epoch), self.overrides)

    @property
    def settings(self) -> dict[str, Any]:
        """Settings that the epoch with the best Dice was trained with."""
        epoch = self.best[0] if self.best else 0
        taken = next((clone.taken for clone in self.clones if clone.epoch == epoch), None)
        return self.settings_after(epoch - 1) if taken is None else taken

    @property
    def failure(self) -> str:
        """Kind of a failed trial's failure; empty for others.

        `out of memory`, `NaN`, `error`, `lost worker` or `lost node`.
        """
        return self.stop.get("failure", "") if self.state == "failed" else ""

    @property
    def best(self) -> tuple[int, float] | None:
        """Epoch and value of the best Dice; of equal ones the later epoch.

        With folds the Dice is a mean over the folds so far, so that only the epochs of the last one are comparable.
        """
        last = max(self.dice, default=0)
        start = (last - 1) // self.fold_epochs * self.fold_epochs if self.fold_epochs else 0
        reached = {epoch: dice for epoch, dice in self.dice.items() if epoch > start}
        return max(reached.items(), key=lambda item: (item[1], item[0]), default=None)


def make_entry(
    number: int, told: str, attributes: Mapping[str, Any], dice: Mapping[int, float], fold_epochs: int
) -> TrialEntry:
    """Put a trial together from what the journal holds.

    Args:
        number: of the trial.
        told: the state that the sampler was told; `running` before it is.
        attributes: of the trial, by name.
        dice: validation Dice by epoch.
        fold_epochs: epochs of each fold; 0 without folds.
    """
    stop, infeasible = attributes.get("stop", {}), tuple(attributes.get("infeasible", ()))
    clones = tuple(Clone(**clone) for clone in attributes.get("clones", ()))
    before = tuple(attributes.get("failed before", ()))
    notes = [f"run again, failed before: {cause}" for cause in before]
    notes += [clone.describe() for clone in clones] + [f"infeasible: {broken}" for broken in infeasible]
    return TrialEntry(
        number=number,
        state="running" if told == "running" else stop.get("state", told),
        cause="" if told == "running" else tame("; ".join([stop.get("cause", ""), *notes])),
        overrides=attributes.get("overrides", {}),
        dice=dict(sorted(dice.items())),
        baseline=tame(attributes["baseline"]) if attributes.get("baseline") else None,
        stop=stop,
        deaths=int(attributes.get("deaths", 0)),
        fold_epochs=fold_epochs,
        infeasible=infeasible,
        clones=clones,
        failed_before=before,
    )
