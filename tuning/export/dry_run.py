"""What an export would hand over, read from the study's record alone: no code runs and nothing is written."""

from pathlib import Path

from tuning.drift import foreign_code
from tuning.export.finalists import best_finalist, best_of_each, trained_seeds
from tuning.export.handover import choose_trial
from tuning.record import StudyDirectory, TrialEntry, open_journal, trial_label
from tuning.recorded import recorded_settings


def describe_trial(directory: Path, number: int | None) -> list[str]:
    """The lines of a dry run for a trial.

    Args:
        directory: study directory.
        number: of the trial; None takes the one with the best Dice.

    Raises:
        ExportError: there is no such trial.
        StudyNotFoundError: there is no study.
    """
    study = StudyDirectory(directory)
    entry = choose_trial(open_journal(study).trials(), number, study)
    return [_line(study, entry), *_code(study)]


def describe_finalists(directory: Path, *, every: bool, ensemble: bool) -> list[str]:
    """The lines of a dry run for the best finalist, the best of every setting, or all seeds of the best one.

    Raises:
        ExportError: there are no finalists.
        StudyNotFoundError: there is no study.
    """
    searched = StudyDirectory(directory)
    if every:
        study, chosen = best_of_each(searched)
        entries = list(chosen.values())
    elif ensemble:
        study, entries = trained_seeds(searched)
    else:
        study, entry = best_finalist(searched)
        entries = [entry]
    return [*(_line(study, entry) for entry in entries), *_code(study)]


def _line(study: StudyDirectory, entry: TrialEntry) -> str:
    epoch, dice = entry.best or (0, 0.0)
    checkpoint = study.trial(entry.number).best_checkpoint()
    where = study.root / checkpoint["path"] if checkpoint else "no checkpoint is left"
    return f"model     {trial_label(entry.number, entry.baseline)}: Dice {dice:.4f} at epoch {epoch}, from {where}"


def _code(study: StudyDirectory) -> list[str]:
    code = foreign_code(recorded_settings(study))
    return [f"code      an export would run {', '.join(code)}"] if code else []
