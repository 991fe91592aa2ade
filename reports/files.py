"""The files that a report leaves in the study."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from reports.exporting import SUFFIXES, write_table
from reports.strategies import strategies_table
from reports.tables import (
    Directories,
    cases_table,
    checkpoints_table,
    epochs_table,
    failures_table,
    load_trials,
    read_studies,
    terms_table,
)

TABLES: dict[str, Callable[[Directories], pd.DataFrame]] = {
    "trials": load_trials,
    "epochs": epochs_table,
    "terms": terms_table,
    "checkpoints": checkpoints_table,
    "failures": failures_table,
    "cases": cases_table,
    "strategies": strategies_table,
}


def write_tables(
    directories: Directories,
    folder: Path | None = None,
    form: str = "csv",
    *,
    problems: list[str] | None = None,
) -> list[Path]:
    """Write every table of a study, or of several into the same files.

    They are `trials`, `epochs`, `terms`, `checkpoints`, `failures`, `cases` and `strategies`.

    Args:
        directories: study directory, or several.
        folder: made when absent; by default `report` in the (first) study.
        form: `csv`, `json`, `markdown`, `latex` or `parquet`.
        problems: what cannot be made or written is added, and the others are written; without it, it is raised.

    Returns:
        The files.

    Example:
        >>> write_tables("studies/brain")  # doctest: +SKIP
        [PosixPath('studies/brain/report/trials.csv'), ...]
    """
    studies = read_studies(directories)
    target = folder or studies[0].directory.reports
    target.mkdir(parents=True, exist_ok=True)
    written = []
    for name, make in TABLES.items():
        try:
            written.append(write_table(make(studies), target / f"{name}.{SUFFIXES[form]}", form))
        except Exception as error:  # one table that cannot be made must not cost the others
            if problems is None:
                raise
            problems.append(f"The table of {name}: {type(error).__name__}: {error}")
    return written
