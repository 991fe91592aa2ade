"""What each trial's checkpoint strategy cost and kept, and how averages of its weights compare."""

from statistics import fmean
from typing import Any

import pandas as pd

from reports.rows import rows_of
from reports.study_tables import StudyTables
from reports.tables import Directories, Directory, read_studies, together
from reports.text import drawn
from tuning.record import trial_label

_MIB = 1 << 20
_DICE_OF = "dice_of_"  # begins the columns of an epoch's row that compare averages
_COLUMNS = (
    "trial",
    "averaging",
    "strategy",
    "best Dice",
    "saves",
    "MiB written",
    "waited %",
    "kept",
    "MiB kept",
    "soup",
)
TABLE_COLUMNS = (
    "study",
    "number",
    "baseline",
    "averaging",
    "strategy",
    "best_dice",
    "saves",
    "mib_written",
    "waited_percent",
    "kept",
    "mib_kept",
    "soup_size",
)
_NAMES = {"raw": "network", "ema": "EMA", "swa": "SWA", "soup": "soup"}


def strategies_table(directories: Directories) -> pd.DataFrame:
    """A row a trial: its strategy, what saving cost, what is kept.

    Args:
        directories: study directory, or several.

    Returns:
        Columns `study`, `number`, `baseline`, `averaging`, `strategy` (with its interval), `best_dice`, `saves`,
        `mib_written`, `waited_percent` (of training, for saving), `kept` (checkpoints still there), `mib_kept` and
        `soup_size` (1 where a soup gained nothing, empty where none was tried).

    Raises:
        StudyNotFoundError: there is no study.
    """
    return together([_strategies(study) for study in read_studies(directories)])


def _strategies(study: StudyTables) -> pd.DataFrame:
    sizes = study.epochs.groupby("number")["soup_size"].max() if "soup_size" in study.epochs else pd.Series(dtype=float)
    there = study.checkpoints[study.checkpoints["kept"]]
    count, size = (there.groupby("number")["bytes"].agg(how).to_dict() for how in ("size", "sum"))
    saves = {row.number: row for row in rows_of(study.saves)}
    rows = [
        _row(study.settings, trial, saves[trial.number], (count.get(trial.number, 0), size.get(trial.number, 0.0)))
        | {"study": study.name, "soup_size": sizes.get(trial.number)}
        for trial in rows_of(study.trials)
    ]
    return pd.DataFrame(rows, columns=list(TABLE_COLUMNS))


def averages_table(directory: Directory) -> pd.DataFrame:
    """Best and last epoch of each trial beside the averages of the same training at its end.

    Returns:
        Columns `number`, `best` and `last` (Dice of the network itself), and those of `ema`, `swa` and `soup` that were
        compared; only trials that were trained to the end. Empty without `checkpoint.compare_averages`.
    """
    (study,) = read_studies(directory)
    epochs, trials = study.epochs, study.trials
    if f"{_DICE_OF}raw" not in epochs:
        return pd.DataFrame()
    rows = []
    for number in trials[trials["state"] == "complete"]["number"]:
        own = epochs[epochs["number"] == number]
        last = own.iloc[-1]
        averages = {name: last.get(f"{_DICE_OF}{name}") for name in ("ema", "swa", "soup")}
        found = {name: value for name, value in averages.items() if value is not None}
        rows.append({"number": number, "best": own[f"{_DICE_OF}raw"].max(), "last": last[f"{_DICE_OF}raw"], **found})
    return pd.DataFrame(rows)


def strategies_text(directory: Directory) -> str:
    """Both tables for a terminal; empty where the study neither searched strategies nor compared averages."""
    (study,) = read_studies(directory)
    trials = study.trials
    searched = any(name.startswith("checkpoint.") for params in trials["params"] for name in params)
    parts = []
    if searched:
        rows = strategies_table(study).sort_values("best_dice", ascending=False)
        parts.append("checkpoint strategies\n" + drawn(_COLUMNS, [_cells(row) for row in rows_of(rows)]))
    averages = averages_table(study)
    if not averages.empty:
        parts.append("averages of the same training, Dice at its end\n" + _averages_text(averages, trials))
    return "\n\n".join(parts)


def _row(study_settings: dict[str, Any], trial: Any, saves: Any, kept: tuple[int, float]) -> dict[str, Any]:
    chosen = {name.removeprefix("checkpoint."): value for name, value in trial.params.items() if "checkpoint." in name}
    settings = study_settings["checkpoint"] | chosen
    interval = f" of {settings['interval']}" if settings["strategy"] == "interval" else ""
    decay = f" {settings['ema_decay']:.3g}" if settings["averaging"] == "ema" else ""
    seconds = saves.waited + saves.trained
    return {
        "number": trial.number,
        "baseline": trial.baseline,
        "averaging": settings["averaging"] + decay,
        "strategy": settings["strategy"] + interval,
        "best_dice": trial.best_dice,
        "saves": saves.saves,
        "mib_written": saves.bytes / _MIB,
        "waited_percent": 100 * saves.waited / seconds if seconds else 0.0,
        "kept": kept[0],
        "mib_kept": kept[1] / _MIB,
    }


def _cells(row: Any) -> list[str]:
    return [
        trial_label(row.number, row.baseline),
        row.averaging,
        row.strategy,
        "" if pd.isna(row.best_dice) else f"{row.best_dice:.4f}",
        str(row.saves),
        f"{row.mib_written:.1f}",
        f"{row.waited_percent:.2f}",
        str(row.kept),
        f"{row.mib_kept:.1f}",
        "" if pd.isna(row.soup_size) else f"{row.soup_size:.0f}",
    ]


def _averages_text(averages: pd.DataFrame, trials: pd.DataFrame) -> str:
    columns, rows = averages_rows(averages, trials)
    return drawn(columns, [[str(label), *map(_short, values)] for label, *values in rows])


def averages_rows(averages: pd.DataFrame, trials: pd.DataFrame) -> tuple[list[str], list[list[Any]]]:
    """What `averages_table` gives, for people: heads of columns, and a row a trial with their means as the last."""
    labels = {
        number: trial_label(number, name) for number, name in zip(trials["number"], trials["baseline"], strict=True)
    }
    names = [name for name in averages.columns if name != "number"]
    rows = [[labels[row["number"]], *(row[name] for name in names)] for _, row in averages.iterrows()]
    means = [fmean(averages[name].dropna()) if averages[name].notna().any() else None for name in names]
    return ["trial", *(_NAMES.get(name, f"{name} epoch") for name in names)], [*rows, ["mean", *means]]


def _short(value: Any) -> str:
    return "" if value is None or pd.isna(value) else f"{value:.4f}"
