"""The trainings of finalists: which number, setting and seed each trial of their study has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tuning.record.layout import SEEDED


@dataclass(frozen=True)
class Retraining:
    """One training of a finalist, trial `number` of its study."""

    number: int
    setting: str
    seed: int
    overrides: dict[str, Any]

    @property
    def name(self) -> str:
        """What the trial is called."""
        return f"{self.setting}{SEEDED}{self.seed}"


def retrainings(settings: Mapping[str, Mapping[str, Any]], seeds: Sequence[int]) -> list[Retraining]:
    """Every setting with every seed; a seed's trainings follow each other, so that early ones can be compared.

    Args:
        settings: overrides by dotted path, by the setting's name.
        seeds: `training.seed` of each training.
    """
    pairs = [(setting, seed) for seed in seeds for setting in settings]
    return [
        Retraining(-1 - index, setting, seed, {**settings[setting], "training.seed": seed})
        for index, (setting, seed) in enumerate(pairs)
    ]
