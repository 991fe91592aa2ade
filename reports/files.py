"""The files that a report leaves in the study."""

from collections.abc import Sequence
from pathlib import Path

from reports.exporting import write_table
from reports.strategies import strategies_table
from reports.study_tables import StudyTables
from reports.tables import (
    Directory,
    cases_table,
    checkpoints_table,
    epochs_table,
    failures_table,
    load_trials,
    read_studies,
    terms_table,
)

_TABLES = {
    "trials": load_trials,
    "epochs": epochs_table,
    "terms": terms_table,
    "checkpoints": checkpoints_table,
    "failures": failures_table,
    "cases": cases_table,
}


def write_tables(directory: Directory) -> list[Path]:
    """Write `trials.csv`, `epochs.csv` and `checkpoints.csv` into the study's report folder and return their paths."""
    (study,) = read_studies(directory)
    folder = study.directory.reports
    folder.mkdir(exist_ok=True)
    tables = {"trials": study.trials, "epochs": study.epochs, "checkpoints": strategies_table(study)}
    return [write_table(table, folder / f"{name}.csv", "csv") for name, table in tables.items()]


def write_parquet(studies: Sequence[StudyTables], folder: Path | None = None) -> list[Path]:
    """Write every table of the studies as Parquet and return the paths.

    Args:
        studies: their rows stand in the same files.
        folder: made when absent; by default the (first) study's report folder.
    """
    target = folder or studies[0].directory.reports
    target.mkdir(parents=True, exist_ok=True)
    return [write_table(make(studies), target / f"{name}.parquet", "parquet") for name, make in _TABLES.items()]
