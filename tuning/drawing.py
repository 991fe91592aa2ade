"""Who draws the settings of trial n, and from what: points to try first, what other studies found, the sampler."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from search_spaces import Space, SpaceError, make_sampler
from tuning.config import SearchConfig
from tuning.errors import StudyConfigError
from tuning.record import Journal, StudyDirectory, open_journal


@dataclass(frozen=True)
class Drawing:
    """Draws settings; what trial n gets depends on the study's seed, n, and the trials before it.

    Attributes:
        search: the section `search`.
        space: what is drawn from.
        earlier: trials of other studies that the sampler learns from.
    """

    search: SearchConfig
    space: Space
    earlier: Sequence[FrozenTrial] = ()

    @classmethod
    def open(cls, search: SearchConfig, space: Space, journal: Journal) -> "Drawing":
        """Take up what other studies found: read once, then kept in this study's journal.

        Raises:
            StudyConfigError: a point to try first does not lie in the space.
            StudyNotFoundError: there is no study to learn from.
        """
        check_drawing(search, space)
        if search.warm_start and not journal.has_earlier():
            found = [trial for path in search.warm_start for trial in _fitting(StudyDirectory(Path(path)), space)]
            journal.add_earlier(found)
        return cls(search, space, journal.earlier() if search.warm_start else ())

    @property
    def trials(self) -> int:
        """How many trials are drawn; a grid has no more than the space has settings."""
        return drawn_trials(self.search, self.space)

    def sampler(self, number: int) -> BaseSampler:
        """The sampler of one trial."""
        first = self.search.try_first
        return make_sampler(
            self.search.sampler,
            self.search.seed,
            number,
            n_startup_trials=self.search.startup_trials,
            distributions=self.space.distributions(),
            fixed=self.space.parts(first[number]) if number < len(first) else None,
            earlier=self.earlier,
            history=self.search.history,
        )


def drawn_trials(search: SearchConfig, space: Space) -> int:
    """How many trials a study draws; a grid has no more than the space has settings."""
    return int(min(search.trials, space.size())) if search.sampler == "grid" else search.trials


def check_drawing(search: SearchConfig, space: Space) -> None:
    """Refuse a grid without end, and points to try first that the space does not have.

    Raises:
        StudyConfigError: lists every problem.
    """
    problems = []
    if search.sampler == "grid" and space.size() == float("inf"):
        problems.append("search.sampler: a grid needs steps, and the space is infinite. Hint: give each float a step.")
    for index, point in enumerate(search.try_first):
        try:
            space.parts(point)
        except SpaceError as error:
            problems += [f"search.try_first.{index}: {problem}" for problem in error.problems]
    if problems:
        raise StudyConfigError("\n".join(problems))


def _fitting(study: StudyDirectory, space: Space) -> list[FrozenTrial]:
    """The ended trials of a study that lie in this space; a setting it did not search has the value of its file."""
    settings = study.read()["settings"]
    fitting = []
    for entry in open_journal(study).trials():
        if entry.state not in ("complete", "pruned") or entry.best is None:
            continue
        try:
            parts = space.parts(_all_settings(settings, entry.overrides, space), whole=True)
        except SpaceError:
            continue
        distributions = {name: d for name, d in space.distributions().items() if name in parts}
        state = TrialState.COMPLETE if entry.state == "complete" else TrialState.PRUNED
        fitting.append(
            create_trial(
                state=state,
                params=parts,
                distributions=distributions,
                value=entry.best[1],
                intermediate_values=entry.dice,
                user_attrs={"study": str(study.root), "number": entry.number},
            )
        )
    return fitting


def _all_settings(settings: dict[str, Any], overrides: dict[str, Any], space: Space) -> dict[str, Any]:
    found = {}
    for parameter in space.parameters:
        value: Any = settings
        for key in parameter.name.split("."):
            value = value.get(key, _MISSING) if isinstance(value, dict) else _MISSING
        value = overrides.get(parameter.name, value)
        if value is not _MISSING:
            found[parameter.name] = value
    return found


_MISSING = object()
