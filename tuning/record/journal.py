"""The journal: an Optuna journal file that holds every trial, its parameters, its Dice by epoch and how it ended.

Two Optuna studies share the file: the search itself, and the baselines, which the sampler must not see. Search trials
keep Optuna's number; baselines count down from -1, so that trial 7 is trial 7 in every Optuna tool.
"""

import logging
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from tuning.errors import JournalDamagedError, StudyMismatchError, StudyPlaceError
from tuning.record.entry import Clone, TrialEntry, make_entry
from tuning.record.journal_file import free_journal
from tuning.record.layout import StudyDirectory, trial_name
from tuning.record.storages import open_database, open_file

Direction = Literal["maximize", "minimize"]

_logger = logging.getLogger(__name__)

_BASELINES_SUFFIX = "/baselines"
_SHOWN_LOST = 3
_EARLIER_SUFFIX = "/earlier"
_AGAIN_SUFFIX = "/again"  # of trials that failed and were run again; what they were before stays where it was
_FAILED_BEFORE = "failed before"
_GENERATIONS = "generations of the population from trial {}"
_OPTUNA_STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
_STATES = {state: name for name, state in _OPTUNA_STATES.items()}


class Journal:
    """The journal of a study.

    Args:
        path: journal file, made when absent; or the URL of a database that Optuna knows.
        name: of the study.
        fold_epochs: epochs of each fold; 0 without folds.
        directions: of the objectives, the Dice first.
        to_read: whether a database is only read, and none is made.

    Raises:
        JournalDamagedError: the file cannot be read; names the line.
        StudyPlaceError: the database does not open.
    """

    def __init__(
        self,
        path: Path | str,
        name: str,
        fold_epochs: int = 0,
        directions: Sequence[Direction] = ("maximize",),
        *,
        to_read: bool = False,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._storage = open_database(path, to_read=to_read) if isinstance(path, str) else open_file(path.absolute())
        self._name, self._fold_epochs, self._directions = name, fold_epochs, list(directions)
        self._next: int | None = None  # counted here, since one process writes, and storages count by reading all

    @property
    def storage(self) -> BaseStorage:
        """The storage, for Optuna's own tools."""
        return self._storage

    def claim(self, owner: str) -> bool:
        """Note who owns the study, such as a directory's id; False when another one does."""
        if "owner" not in self._search.user_attrs:
            self._search.set_user_attr("owner", owner)
        return bool(self._search.user_attrs["owner"] == owner)

    def trials(self) -> list[TrialEntry]:
        """Baselines first, then the search, each in the order of its start.

        Raises:
            StudyPlaceError: the database holds no such journal.
        """
        try:
            baselines = [self._entry(frozen, baseline=True) for frozen in self._latest(self._name + _BASELINES_SUFFIX)]
            return baselines + [self._entry(frozen, baseline=False) for frozen in self._latest(self._name)]
        except StorageInternalError as error:
            raise StudyPlaceError(
                "storage.url: the database cannot be read as a journal of Optuna. Hint: was it made by another version?"
            ) from error

    def run_again(self, number: int) -> None:
        """Bring a failed trial back under its number, as it was before it failed.

        Optuna never changes a trial that has ended, so that it goes on as a trial of another study of the journal, and
        the failure stays where it was.
        """
        old = self._storage.get_trial(self._trial_id(number))
        kept = {name: value for name, value in old.user_attrs.items() if name not in ("stop", "deaths", "infeasible")}
        causes = [*kept.get(_FAILED_BEFORE, []), old.user_attrs.get("stop", {}).get("cause", "")]
        attributes = kept | {_FAILED_BEFORE: causes, "position": number if number >= 0 else -1 - number}
        template = FrozenTrial(
            number=-1,
            trial_id=-1,
            state=TrialState.RUNNING,
            value=None,
            datetime_start=old.datetime_start,
            datetime_complete=None,
            params=old.params,
            distributions=old.distributions,
            user_attrs=attributes,
            system_attrs=old.system_attrs,
            intermediate_values=old.intermediate_values,
        )
        name = (self._name if number >= 0 else self._name + _BASELINES_SUFFIX) + _AGAIN_SUFFIX
        study_id = self._storage.get_study_id_from_name(self._study(name).study_name)
        self._storage.create_new_trial(study_id, template_trial=template)

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
        if self._next is None:
            self._next = len(self._frozen(self._name))
        return self._next

    def ask(self, sampler: optuna.samplers.BaseSampler) -> Trial:
        """Add a search trial whose parameters `sampler` draws."""
        number = self.next_number()
        trial_id = self._storage.create_new_trial(self._storage.get_study_id_from_name(self._search.study_name))
        self._next = number + 1
        # A study of its own, which has nothing cached; `Study.ask` would look through all trials for one that waits.
        study = optuna.load_study(study_name=self._name, storage=self._storage, sampler=sampler)
        return Trial(study, trial_id)

    def bring_back(self, number: int, sampler: optuna.samplers.BaseSampler) -> Trial:
        """A search trial that was killed while its parameters were drawn, to go on drawing."""
        self._search.sampler = sampler
        return Trial(self._search, self._trial_id(number))

    def set_overrides(self, number: int, overrides: dict[str, Any]) -> None:
        """Note the settings of a search trial."""
        self._storage.set_trial_user_attr(self._trial_id(number), "overrides", overrides)

    def generations(self, population: int) -> dict[int, list[Clone]]:
        """What a population decided, by epoch; it is named by its first trial."""
        found = self._search.user_attrs.get(_GENERATIONS.format(population), {})
        return {int(epoch): [Clone(**clone) for clone in clones] for epoch, clones in found.items()}

    def note_generation(self, population: int, epoch: int, clones: Sequence[Clone]) -> None:
        """Note what a population decided, in one entry."""
        decided = {**self.generations(population), epoch: clones}
        facts = {str(at): [asdict(clone) for clone in found] for at, found in decided.items()}
        self._search.set_user_attr(_GENERATIONS.format(population), facts)

    def note_clone(self, clone: Clone) -> None:
        """Note that a trial has taken over another's checkpoint."""
        clones = [asdict(known) for known in self.entry(clone.number).clones]
        self._storage.set_trial_user_attr(self._trial_id(clone.number), "clones", [*clones, asdict(clone)])

    def report(self, number: int, epoch: int, dice: float) -> None:
        """Note the Dice of an epoch; an epoch that was trained again is noted again."""
        self._storage.set_trial_intermediate_value(self._trial_id(number), epoch, dice)

    def note_stop(self, number: int, state: str, cause: str, failure: str = "") -> None:
        """Note that and why a trial ends, at the moment of the decision; of a failure also its kind."""
        stop = {"state": state, "cause": cause} | ({"failure": failure} if failure else {})
        self._storage.set_trial_user_attr(self._trial_id(number), "stop", stop)

    def note_death(self, number: int) -> int:
        """Count a death of the trial's worker; returns how often it has died."""
        trial_id = self._trial_id(number)
        deaths = int(self._storage.get_trial(trial_id).user_attrs.get("deaths", 0)) + 1
        self._storage.set_trial_user_attr(trial_id, "deaths", deaths)
        return deaths

    def finish(
        self,
        number: int,
        *,
        others: Sequence[float] | None = (),
        violations: Mapping[str, float] | None = None,
        infeasible: Sequence[str] = (),
    ) -> None:
        """Tell the sampler how the trial ended: the best Dice when complete or pruned, nothing when failed.

        With several objectives, where Optuna knows no pruning, a pruned trial is told as complete with what it reached.

        Args:
            number: of the trial.
            others: values of the other objectives; None where one is missing, which fails a trial of the search.
            violations: by how much each constraint is missed.
            infeasible: the broken ones, in words.
        """
        several = len(self._directions) > 1 and number >= 0
        if others is None and several and self.entry(number).stop["state"] != "failed":
            self.note_stop(number, "failed", "an objective was not recorded")
        if infeasible:
            self._storage.set_trial_user_attr(self._trial_id(number), "infeasible", list(infeasible))
        if violations and number >= 0:
            trial = self.bring_back(number, optuna.samplers.RandomSampler())
            for metric, violation in violations.items():
                trial.set_constraint(metric, violation)
        entry = self.entry(number)
        state = _OPTUNA_STATES[entry.stop["state"]]
        values = [entry.best[1]] if entry.best and state is not TrialState.FAIL else None
        if values and several:
            values, state = [*values, *(others or ())], TrialState.COMPLETE
        self._storage.set_trial_state_values(self._trial_id(number), state, values)

    def has_earlier(self) -> bool:
        """Whether the trials of other studies were added."""
        return "whole" in self._earlier.user_attrs

    def add_earlier(self, trials: Sequence[FrozenTrial]) -> None:
        """Add trials of other studies; after a kill in between, those that are missing."""
        self._earlier.add_trials(trials[len(self._frozen(self._name + _EARLIER_SUFFIX)) :])
        self._earlier.set_user_attr("whole", value=True)

    def earlier(self) -> list[FrozenTrial]:
        """The trials of other studies."""
        return self._frozen(self._name + _EARLIER_SUFFIX)

    def entry(self, number: int) -> TrialEntry:
        """One trial."""
        frozen = copy(self._storage.get_trial(self._trial_id(number)))
        frozen.number = number if number >= 0 else -1 - number
        return self._entry(frozen, baseline=number < 0)

    @cached_property
    def _search(self) -> optuna.Study:
        return self._study(self._name)

    @cached_property
    def _baselines(self) -> optuna.Study:
        return self._study(self._name + _BASELINES_SUFFIX)

    @cached_property
    def _earlier(self) -> optuna.Study:
        return self._study(self._name + _EARLIER_SUFFIX)

    def _study(self, name: str) -> optuna.Study:
        several = name.removesuffix(_AGAIN_SUFFIX) == self._name
        directions = self._directions if several else self._directions[:1]
        return optuna.create_study(study_name=name, storage=self._storage, directions=directions, load_if_exists=True)

    def _latest(self, name: str) -> list[FrozenTrial]:
        """The trials of a study in order, each as it was run last, with its own number."""
        found = list(self._frozen(name))
        for again in self._frozen(name + _AGAIN_SUFFIX):
            position = again.user_attrs["position"]
            found[position] = copy(again)
            found[position].number = position
        return found

    def _frozen(self, name: str) -> list[FrozenTrial]:
        try:
            study_id = self._storage.get_study_id_from_name(name)
        except KeyError:
            return []
        return self._storage.get_all_trials(study_id, deepcopy=False)

    def _trial_id(self, number: int) -> int:
        name, position = (self._name, number) if number >= 0 else (self._name + _BASELINES_SUFFIX, -1 - number)
        for again in reversed(self._frozen(name + _AGAIN_SUFFIX)):
            if again.user_attrs["position"] == position:
                return again._trial_id  # noqa: SLF001 - Optuna's storages take nothing else
        return self._storage.get_trial_id_from_study_id_trial_number(
            self._storage.get_study_id_from_name(name), position
        )

    def _entry(self, frozen: FrozenTrial, *, baseline: bool) -> TrialEntry:
        return make_entry(
            -1 - frozen.number if baseline else frozen.number,
            _STATES.get(frozen.state, "running"),
            frozen.user_attrs,
            frozen.intermediate_values,
            self._fold_epochs,
        )


def open_journal(directory: StudyDirectory, *, to_read: bool = True) -> Journal:
    """The journal of a study, to read: the file in its directory, or the database that its settings name.

    Args:
        directory: study directory.
        to_read: whether a database is only read, and none is made.
    """
    settings = directory.read_whole()["settings"]
    url = (settings.get("storage") or {}).get("url")
    fold_epochs = settings["training"]["epochs"] if settings["data"].get("folds") else 0
    directions = list(settings["search"].get("objectives", {"": "maximize"}).values())
    return Journal(url or directory.journal, settings["name"], fold_epochs, directions, to_read=to_read)


def open_journal_exclusively(directory: StudyDirectory) -> Journal:
    """The journal of a study, for writing after a possible kill; the caller holds the study's lock.

    Raises:
        JournalDamagedError: it cannot be read, or lacks trials that have folders.
        StudyMismatchError: the database holds another directory's study of the same name.
    """
    record = directory.read()
    in_file = not (record["settings"].get("storage") or {}).get("url")
    if in_file and (cut := free_journal(directory.journal)):
        _logger.warning("cut a torn last line of %d bytes from %s", len(cut), directory.journal)
    journal = open_journal(directory, to_read=False)
    if not (in_file or journal.claim(record["id"])):
        raise StudyMismatchError(
            f"storage.url: the database holds a study {record['settings']['name']!r} of another directory already. "
            "Hint: give this study another name."
        )
    known = {trial_name(entry.number) for entry in journal.trials()}
    if lost := [name for name in directory.trial_names() if name not in known]:
        shown = ", ".join([*lost[:_SHOWN_LOST], *["…"][: len(lost) > _SHOWN_LOST]])
        raise JournalDamagedError(
            f"{directory.journal}: knows nothing of {shown}, which stand in trials/. "
            "Hint: restore the file from a copy, or move the folders elsewhere."
        )
    return journal
