"""The journal: an Optuna journal file that holds every trial, its parameters, its Dice by epoch and how it ended.

Two Optuna studies share the file: the search itself, and the baselines, which the sampler must not see. Search trials
keep Optuna's number; baselines count down from -1, so that trial 7 is trial 7 in every Optuna tool.
"""

import logging
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from tuning.errors import StudyMismatchError
from tuning.record.jsonl import cut_torn_tail
from tuning.record.layout import StudyDirectory

_logger = logging.getLogger(__name__)

_BASELINES_SUFFIX = "/baselines"
_OPTUNA_STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
_STATES = {state: name for name, state in _OPTUNA_STATES.items()}


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
        fold_epochs: epochs of each fold; 0 without folds.
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

    @property
    def best(self) -> tuple[int, float] | None:
        """Epoch and value of the best Dice; of equal ones the later epoch.

        With folds the Dice is a mean over the folds so far, so that only the epochs of the last one are comparable.
        """
        last = max(self.dice, default=0)
        start = (last - 1) // self.fold_epochs * self.fold_epochs if self.fold_epochs else 0
        reached = {epoch: dice for epoch, dice in self.dice.items() if epoch > start}
        return max(reached.items(), key=lambda item: (item[1], item[0]), default=None)


class Journal:
    """The journal of a study.

    Args:
        path: journal file, made when absent; or the URL of a database that Optuna knows.
        name: of the study.
        fold_epochs: epochs of each fold; 0 without folds.
    """

    def __init__(self, path: Path | str, name: str, fold_epochs: int = 0) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        file = None if isinstance(path, str) else JournalFileBackend(str(path.absolute()))
        self._storage: BaseStorage = JournalStorage(file) if file else RDBStorage(str(path))
        self._name, self._fold_epochs = name, fold_epochs

    def claim(self, owner: str) -> bool:
        """Note who owns the study, such as a directory's id; False when another one does."""
        if "owner" not in self._search.user_attrs:
            self._search.set_user_attr("owner", owner)
        return bool(self._search.user_attrs["owner"] == owner)

    def trials(self) -> list[TrialEntry]:
        """Baselines first, then the search, each in the order of its start."""
        baselines = [self._entry(frozen, baseline=True) for frozen in self._frozen(self._name + _BASELINES_SUFFIX)]
        return baselines + [self._entry(frozen, baseline=False) for frozen in self._frozen(self._name)]

    def new_baseline(self, name: str, overrides: dict[str, Any]) -> int:
        """Add a baseline and return its number."""
        number = -1 - self._baselines.ask().number
        self.describe_baseline(number, name, overrides)
        return number

    def describe_baseline(self, number: int, name: str, overrides: dict[str, Any]) -> None:
        """Note name and settings of a baseline."""
        self._storage.set_trial_user_attr(self._trial_id(number), "baseline", name)
        self._storage.set_trial_user_attr(self._trial_id(number), "overrides", overrides)

    def count_baselines(self) -> int:
        """Baselines added so far."""
        return len(self._frozen(self._name + _BASELINES_SUFFIX))

    def next_number(self) -> int:
        """The number that the next search trial gets."""
        return len(self._frozen(self._name))

    def ask(self, sampler: optuna.samplers.BaseSampler) -> Trial:
        """Add a search trial whose parameters `sampler` draws."""
        self._search.sampler = sampler
        return self._search.ask()

    def bring_back(self, number: int, sampler: optuna.samplers.BaseSampler) -> Trial:
        """A search trial that was killed while its parameters were drawn, to go on drawing."""
        self._search.sampler = sampler
        return Trial(self._search, self._trial_id(number))

    def set_overrides(self, number: int, overrides: dict[str, Any]) -> None:
        """Note the settings of a search trial."""
        self._storage.set_trial_user_attr(self._trial_id(number), "overrides", overrides)

    def report(self, number: int, epoch: int, dice: float) -> None:
        """Note the Dice of an epoch; an epoch that was trained again is noted again."""
        self._storage.set_trial_intermediate_value(self._trial_id(number), epoch, dice)

    def note_stop(self, number: int, state: str, cause: str) -> None:
        """Note that and why a trial ends, at the moment of the decision."""
        self._storage.set_trial_user_attr(self._trial_id(number), "stop", {"state": state, "cause": cause})

    def note_death(self, number: int) -> int:
        """Count a death of the trial's worker; returns how often it has died."""
        trial_id = self._trial_id(number)
        deaths = int(self._storage.get_trial(trial_id).user_attrs.get("deaths", 0)) + 1
        self._storage.set_trial_user_attr(trial_id, "deaths", deaths)
        return deaths

    def finish(self, number: int) -> None:
        """Tell the sampler how the trial ended: the best Dice when complete or pruned, nothing when failed."""
        entry = self.entry(number)
        state = _OPTUNA_STATES[entry.stop["state"]]
        values = [entry.best[1]] if entry.best and state is not TrialState.FAIL else None
        self._storage.set_trial_state_values(self._trial_id(number), state, values)

    def entry(self, number: int) -> TrialEntry:
        """One trial."""
        return self._entry(self._storage.get_trial(self._trial_id(number)), baseline=number < 0)

    @cached_property
    def _search(self) -> optuna.Study:
        return self._study(self._name)

    @cached_property
    def _baselines(self) -> optuna.Study:
        return self._study(self._name + _BASELINES_SUFFIX)

    def _study(self, name: str) -> optuna.Study:
        return optuna.create_study(study_name=name, storage=self._storage, direction="maximize", load_if_exists=True)

    def _frozen(self, name: str) -> list[FrozenTrial]:
        try:
            study_id = self._storage.get_study_id_from_name(name)
        except KeyError:
            return []
        return self._storage.get_all_trials(study_id, deepcopy=False)

    def _trial_id(self, number: int) -> int:
        name, position = (self._name, number) if number >= 0 else (self._name + _BASELINES_SUFFIX, -1 - number)
        return self._storage.get_trial_id_from_study_id_trial_number(
            self._storage.get_study_id_from_name(name), position
        )

    def _entry(self, frozen: FrozenTrial, *, baseline: bool) -> TrialEntry:
        attributes = frozen.user_attrs
        stop = attributes.get("stop", {})
        state = _STATES.get(frozen.state, "running")
        return TrialEntry(
            number=-1 - frozen.number if baseline else frozen.number,
            state=state,
            cause="" if state == "running" else stop.get("cause", ""),
            overrides=attributes.get("overrides", {}),
            dice=dict(sorted(frozen.intermediate_values.items())),
            baseline=attributes.get("baseline"),
            stop=stop,
            deaths=int(attributes.get("deaths", 0)),
            fold_epochs=self._fold_epochs,
        )


def open_journal(directory: StudyDirectory) -> Journal:
    """The journal of a study, to read: the file in its directory, or the database that its settings name."""
    settings = directory.read()["settings"]
    url = settings.get("storage", {}).get("url")
    fold_epochs = settings["training"]["epochs"] if settings["data"].get("folds") else 0
    return Journal(url or directory.journal, settings["name"], fold_epochs)


def open_journal_exclusively(directory: StudyDirectory) -> Journal:
    """The journal of a study, for writing after a possible kill; the caller holds the study's lock.

    Raises:
        StudyMismatchError: the database holds another directory's study of the same name.
    """
    record = directory.read()
    journal = open_journal(directory)
    if not record["settings"].get("storage", {}).get("url"):
        cut = free_journal(directory.journal)
        if cut:
            _logger.warning("cut a torn last line of %d bytes from %s", len(cut), directory.journal)
    elif not journal.claim(record["id"]):
        raise StudyMismatchError(
            f"storage.url: the database holds a study {record['settings']['name']!r} of another directory already. "
            "Hint: give this study another name."
        )
    return journal


def free_journal(path: Path) -> bytes:
    """Make a journal file writable again after a kill; returns the torn last line that was cut off."""
    path.with_name(path.name + ".lock").unlink(missing_ok=True)
    return cut_torn_tail(path)
