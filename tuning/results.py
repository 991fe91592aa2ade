"""The trials of a study as a table, and the best of them, for the Python API."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuning.record import StudyDirectory, TrialEntry, open_journal

if TYPE_CHECKING:
    import pandas as pd


_SHOWN = 10  # trials in a notebook


@dataclass(frozen=True)
class BestTrial:
    """The drawn trial with the best validation Dice.

    Attributes:
        number: of the trial.
        dice: its best validation Dice, of one seed and the best of many: no claim that it holds on new data.
        epoch: of that Dice.
        params: settings by dotted path.
        checkpoint: folder of its best checkpoint that is still there.
    """

    number: int
    dice: float
    epoch: int
    params: dict[str, Any]
    checkpoint: Path | None


def results_table(directory: StudyDirectory) -> "pd.DataFrame":
    """A row a trial, baselines first; see `Study.results`."""
    import pandas as pd  # noqa: PLC0415 - launching a study needs no pandas

    columns = ("number", "baseline", "state", "cause", "best_dice", "best_epoch", "epochs", "checkpoint", "params")
    rows = [_row(directory, entry) for entry in open_journal(directory).trials()]
    table = pd.DataFrame(rows, columns=list(columns), dtype=object)
    return table.astype({"number": int, "best_dice": float, "best_epoch": "Int64", "epochs": int})


def best_trial(directory: StudyDirectory) -> BestTrial | None:
    """The best of the trials that were drawn and did not fail, a feasible one if there is any; None without any."""
    entries = [entry for entry in open_journal(directory).trials() if entry.number >= 0 and entry.state != "failed"]
    entries = [entry for entry in entries if entry.best and not entry.infeasible] or entries
    found = max(((entry.best[1], -entry.number, entry.best[0], entry) for entry in entries if entry.best), default=None)
    if found is None:
        return None
    dice, _, epoch, entry = found
    return BestTrial(entry.number, dice, epoch, entry.settings, _checkpoint(directory, entry))


def trials_html(directory: StudyDirectory, title: str) -> str:
    """The states and the best trials, as a notebook shows them; those that break a constraint come last.

    Args:
        directory: of a study that was run.
        title: HTML.
    """
    table = results_table(directory).sort_values("best_dice", ascending=False)
    broken = {entry.number for entry in open_journal(directory).trials() if entry.infeasible}
    table = table.sort_values("number", key=lambda numbers: numbers.isin(broken), kind="stable")
    states = ", ".join(f"{count} {state}" for state, count in table["state"].value_counts().items())
    columns = ["number", "baseline", "state", "cause", "best_dice", "best_epoch", "params"]
    return f"<p>{title}: {states or 'no trial yet'}</p>{table[columns].head(_SHOWN).to_html(index=False)}"


def _row(directory: StudyDirectory, entry: TrialEntry) -> dict[str, Any]:
    epoch, dice = entry.best or (None, None)
    checkpoint = _checkpoint(directory, entry)
    return {
        "number": entry.number,
        "baseline": entry.baseline,
        "state": entry.state,
        "cause": entry.cause,
        "best_dice": dice,
        "best_epoch": epoch,
        "epochs": max(entry.dice, default=0),
        "checkpoint": None if checkpoint is None else str(checkpoint),
        "params": entry.settings,
    }


def _checkpoint(directory: StudyDirectory, entry: TrialEntry) -> Path | None:
    line = directory.trial(entry.number).best_checkpoint()
    return None if line is None else directory.root / line["path"]
