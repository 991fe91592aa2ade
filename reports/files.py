"""The files that a report leaves in the study."""

from pathlib import Path

from reports.strategies import strategies_table
from reports.tables import epochs_table, trials_csv
from tuning.record import StudyDirectory
from tuning.record.jsonl import replace_text


def write_tables(directory: str | Path) -> list[Path]:
    """Write `trials.csv`, `epochs.csv` and `checkpoints.csv` into the study's report folder and return their paths."""
    study = StudyDirectory(Path(directory))
    study.reports.mkdir(exist_ok=True)
    written = []
    tables = {"epochs": epochs_table, "checkpoints": strategies_table}
    texts = {name: table(study.root).to_csv(index=False) for name, table in tables.items()}
    for name, text in {"trials": trials_csv(study.root), **texts}.items():
        path = study.reports / f"{name}.csv"
        replace_text(path, text)
        written.append(path)
    return written
