"""Which of the finalists are handed over; validation chooses, so that their test scores stay clean."""

from pathlib import Path
from statistics import fmean

from tuning.errors import ExportError
from tuning.export.ensembles import LEAST_MEMBERS, joined, refuse_folds
from tuning.export.handover import Handover, handover_of
from tuning.record import StudyDirectory, TrialEntry, open_journal
from tuning.record.retraining import retrainings
from tuning.recorded import recorded_settings


def best_finalist(searched: StudyDirectory) -> tuple[StudyDirectory, TrialEntry]:
    """The study of the finalists, and of its best setting the best seed.

    Raises:
        ExportError: there are no finalists, or none has a Dice.
        StudyNotFoundError: there is no study.
    """
    study, trained = _trained(searched)
    return study, max(_best_setting(trained)[1], key=_dice)


def best_of_each(searched: StudyDirectory) -> tuple[StudyDirectory, dict[str, TrialEntry]]:
    """The study of the finalists, and the best seed of every setting.

    Raises:
        As `best_finalist`.
    """
    study, trained = _trained(searched)
    return study, {name: max(entries, key=_dice) for name, entries in trained.items()}


def trained_seeds(searched: StudyDirectory) -> tuple[StudyDirectory, list[TrialEntry]]:
    """The study of the finalists, and all seeds of its best setting.

    Raises:
        As `best_finalist`.
    """
    study, trained = _trained(searched)
    return study, _best_setting(trained)[1]


def ensemble_of(searched: StudyDirectory, copies: Path) -> Handover:
    """The seeds of the best setting as one network.

    Args:
        searched: the study.
        copies: as `handover_of`.

    Raises:
        ExportError: there is one seed only, or the data are in folds; further as `best_finalist`.
        StudyNotFoundError: there is no study.
    """
    study, trained = _trained(searched)
    name, entries = _best_setting(trained)
    if len(entries) < LEAST_MEMBERS:
        raise ExportError(f"--ensemble: {name} has {len(entries)} trained seed; an ensemble needs two at least.")
    parts = [(handover_of(study, entry, "best", copies / str(entry.number)), entry) for entry in entries]
    refuse_folds(parts[0][0].settings)
    return joined(study, f"{name}, ensemble of {len(parts)} seeds", parts)


def _trained(searched: StudyDirectory) -> tuple[StudyDirectory, dict[str, list[TrialEntry]]]:
    """The study of the finalists, and what has been trained to its end of each setting."""
    searched.read()
    study = searched.finalists
    if not study.exists():
        raise ExportError(
            f"{searched.root}: has no finalists. "
            f"Hint: segtune finalists {searched.root}, or --trial for one of the search."
        )
    entries = {entry.number: entry for entry in open_journal(study).trials()}
    config = recorded_settings(study)["retrain"]
    found: dict[str, list[TrialEntry]] = {}
    for item in retrainings(config["settings"], config["seeds"]):
        entry = entries.get(item.number)
        if entry is not None and entry.best is not None and entry.state == "complete":
            found.setdefault(item.setting, []).append(entry)
    if not found:
        raise ExportError(
            f"{study.root}: no finalist has been trained to its end. Hint: segtune finalists {searched.root}"
        )
    return study, found


def _best_setting(trained: dict[str, list[TrialEntry]]) -> tuple[str, list[TrialEntry]]:
    """Of those with all seeds that any has, the best mean: one lucky seed must not beat five."""
    most = max(map(len, trained.values()))
    whole = {name: entries for name, entries in trained.items() if len(entries) == most}
    return max(whole.items(), key=lambda pair: fmean(map(_dice, pair[1])))


def _dice(entry: TrialEntry) -> float:
    return entry.best[1] if entry.best else 0.0
