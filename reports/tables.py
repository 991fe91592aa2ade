"""Tables of a study, read from its journal and its trial folders, while it runs and after."""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import yaml

from reports.exporting import guarded
from reports.study_tables import StudyTables

Directory = str | Path | StudyTables
Directories = Directory | Sequence[Directory]


def read_studies(directories: Directories) -> list[StudyTables]:
    """The tables of one study, or of several; those that are read already are taken as they are.

    Raises:
        StudyNotFoundError: a directory holds no study.
        StudyMismatchError: a study is of another format version.
    """
    several = [directories] if isinstance(directories, str | Path | StudyTables) else directories
    return [one if isinstance(one, StudyTables) else StudyTables(one) for one in several]


def readable_studies(directories: Sequence[Directory]) -> tuple[list[StudyTables], list[str]]:
    """The studies that can be read, and what is said of the others.

    Raises:
        StudyNotFoundError, StudyMismatchError: none can be read; the first error.
    """
    studies: list[StudyTables] = []
    errors: list[Exception] = []
    for directory in directories:
        try:
            studies += read_studies(directory)
        except (OSError, ValueError, yaml.YAMLError) as error:
            errors.append(error)
    if errors and not studies:
        raise errors[0]
    return studies, [str(error) for error in errors]


def load_trials(directories: Directories) -> pd.DataFrame:
    """A row a trial, baselines first.

    Args:
        directories: study directory, or several.

    Returns:
        Columns `study` (name of its directory), `number` (baselines count down from -1), `state`, `cause`, `best_dice`,
        `best_epoch`, `epochs`, `seconds` (training time), `checkpoint` (path of its best checkpoint that is still
        there), `params` (settings by dotted path, a dict), `baseline` (name, or None) and `infeasible` (the constraints
        that it breaks, or empty).

    Raises:
        StudyNotFoundError: there is no study.
        StudyMismatchError: it is of another format version.

    Example:
        >>> load_trials("studies/brain").sort_values("best_dice").tail(1)  # doctest: +SKIP
    """
    return together([study.trials for study in read_studies(directories)])


def epochs_table(directories: Directories) -> pd.DataFrame:
    """A row an epoch and trial, with every metric and loss term; columns a trial lacks are empty."""
    return together([study.epochs for study in read_studies(directories)])


def terms_table(directories: Directories) -> pd.DataFrame:
    """A row a loss term, epoch and trial.

    Returns:
        Columns `study`, `number`, `epoch`, `term`, and what the trial recorded of it: `loss` (its mean), `weight`,
        `weighted` (both multiplied), `gradient_norm` and `gradient_share`.
    """
    return together([study.terms for study in read_studies(directories)])


def checkpoints_table(directories: Directories) -> pd.DataFrame:
    """A row a checkpoint that was saved: `study`, `number`, `epoch`, `dice`, `bytes`, `path`, `kept` (or not)."""
    return together([study.checkpoints for study in read_studies(directories)])


def failures_table(directories: Directories) -> pd.DataFrame:
    """A row a failed trial: `study`, `number`, `baseline`, `cause`, `epochs` and the end of its `log`."""
    return together([study.failures for study in read_studies(directories)])


def cases_table(directories: Directories) -> pd.DataFrame:
    """A row a validation case and class, of the best epoch of each trial.

    Returns:
        Columns `study`, `number`, `baseline`, `epoch`, `case`, `group`, `class`, and each metric (NaN where undefined).
    """
    return together([study.cases for study in read_studies(directories)])


def trials_csv(directories: Directories) -> str:
    """The table of trials as CSV; `params` is JSON."""
    table = load_trials(directories)
    table["params"] = table["params"].map(json.dumps)
    return str(guarded(table).to_csv(index=False))


def together(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The rows of the same table of several studies in one."""
    filled = [table for table in tables if not table.empty]
    if len(filled) <= 1:
        return filled[0].copy() if filled else tables[0].copy()
    return pd.concat(filled, ignore_index=True)
