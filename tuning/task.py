"""What the trials of a study do: train a network on data, or run a user's script."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from search_spaces import Baseline, Space
from tuning.config import StudyConfig
from tuning.record import StudyDirectory
from tuning.store import TuneStore

Wanted = bool | Sequence[str]  # baselines: the usual ones, none, or some by name


class Epoch(NamedTuple):
    """An epoch of a trial: its row, why the trial has ended if it has, and each case's scores if it is the best."""

    row: dict[str, Any]
    ended: str
    cases: list[dict[str, Any]]


class Task(Protocol):
    """Shared by all trials of a study: held once in Ray's object store and read without a copy."""

    def check(self, config: StudyConfig) -> Space:
        """Find what is wrong before the first trial starts.

        Returns:
            The search space.

        Raises:
            StudyConfigError: lists every problem, one a line, each beginning with the setting's dotted path.
        """

    def baselines(self, wanted: Wanted = True) -> tuple[Baseline, ...]:  # noqa: FBT002
        """The usual settings, which are run beside what is searched.

        Raises:
            SpaceError: a name is that of no baseline.
        """

    def describe(self) -> dict[str, Any]:
        """What the study's record says of its data: at least `name` and `fingerprint`."""

    def plan(self) -> list[str]:
        """The same in words, a line each, with warnings."""

    def notes(self, config: StudyConfig, space: Space) -> list[str]:
        """What else is to be said before a run of settings that `check` has found in order."""

    def steps(self, config: StudyConfig) -> int | None:
        """Steps that pass once over the training cases; None where their number is settled, or unknown."""

    def keep(self, study: StudyDirectory) -> None:
        """Keep in the study what its report shows and nothing but the study's own code could make again."""

    def test_scores(self, settings: StudyConfig, checkpoint: Path, epoch: int) -> list[dict[str, Any]]:
        """What each test case scores with a checkpoint of a trial, a row for each class.

        Args:
            settings: of the trial.
            checkpoint: its folder.
            epoch: of the trial at which it was saved.
        """

    def epochs(self, settings: StudyConfig, number: int, store: TuneStore) -> Iterator[Epoch]:
        """Go on after the last checkpoint in the store.

        Args:
            settings: of the trial.
            number: of the trial.
            store: knows earlier checkpoints and stages new ones.

        Yields:
            each epoch, its checkpoint staged if one was saved.
        """
