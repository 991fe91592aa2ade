"""Tables of a study, read from its journal and its trial folders, while it runs and after."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from tuning.record import StudyDirectory, TrialEntry, open_journal

TRIAL_COLUMNS = (
    "number",
    "state",
    "cause",
    "best_dice",
    "best_epoch",
    "epochs",
    "seconds",
    "checkpoint",
    "params",
    "baseline",
)


def load_trials(directory: str | Path) -> pd.DataFrame:
    """A row a trial, baselines first.

    Args:
        directory: study directory.

    Returns:
        Columns `number` (baselines count down from -1), `state`, `cause`, `best_dice`, `best_epoch`, `epochs`,
        `seconds` (training time), `checkpoint` (path of its best checkpoint that is still there), `params` (settings by
        dotted path, a dict) and `baseline` (name, or None).

    Raises:
        StudyNotFoundError: there is no study.
        StudyMismatchError: it is of another format version.

    Example:
        >>> load_trials("studies/brain").sort_values("best_dice").tail(1)  # doctest: +SKIP
    """
    study = StudyDirectory(Path(directory))
    rows = [_trial_row(study, entry) for entry in _entries(study)]
    table = pd.DataFrame(rows, columns=list(TRIAL_COLUMNS), dtype=object)
    return table.astype({"number": int, "epochs": int, "best_epoch": "Int64", "best_dice": float, "seconds": float})


def epochs_table(directory: str | Path) -> pd.DataFrame:
    """A row an epoch and trial, with every metric and loss term; columns a trial lacks are empty."""
    study = StudyDirectory(Path(directory))
    rows = [
        {"number": entry.number, **row}
        for entry in _entries(study)
        for _, row in sorted(study.trial(entry.number).epochs().items())
    ]
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=["number", "epoch", "val_dice"])


def trials_csv(directory: str | Path) -> str:
    """The table of trials as CSV; `params` is JSON."""
    table = load_trials(directory)
    table["params"] = table["params"].map(json.dumps)
    return str(table.to_csv(index=False))


def _entries(study: StudyDirectory) -> list[TrialEntry]:
    return open_journal(study).trials()


def _trial_row(study: StudyDirectory, entry: TrialEntry) -> dict[str, Any]:
    trial = study.trial(entry.number)
    epochs = trial.epochs()
    checkpoint = trial.best_checkpoint()
    best_epoch, best_dice = entry.best or (None, None)
    return {
        "number": entry.number,
        "state": entry.state,
        "cause": entry.cause,
        "best_dice": best_dice,
        "best_epoch": best_epoch,
        "epochs": max(entry.dice, default=0),
        "seconds": sum(row["seconds"] for row in epochs.values()),
        "checkpoint": str(study.root / checkpoint["path"]) if checkpoint else None,
        "params": entry.overrides,
        "baseline": entry.baseline,
    }
