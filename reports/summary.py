"""A study in a few lines of text: how far it is, and how it ended."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from components.plain_text import escape
from reports.rows import contenders
from reports.study_tables import StudyTables
from reports.tables import Directories, load_trials, trials_csv
from tuning.record import StudyDirectory, trial_label

_WIDTH = 160  # of the table when the output is no terminal
_LOG_LINES = 5


def status_lines(tables: StudyTables, *, running: bool) -> list[str]:
    """How far the study is: states, best so far, running trials, and what of its record is damaged."""
    settings, trials, study = tables.settings, tables.trials, tables.directory
    states = ", ".join(f"{count} {state}" for state, count in trials["state"].value_counts().items()) or "no trial yet"
    events = study.attempts()
    attempts = sum(event["event"] == "start" for event in events)
    word = "running" if running else "not running"
    ended = "" if running else _how_ended(events)
    lines = [
        f"study     {settings['name']} in {study.root}",
        f"now       {word}; {attempts} attempt{'' if attempts == 1 else 's'} so far{ended}",
        f"trials    {states}",
    ]
    unfinished = trials[trials["state"] == "running"]
    verb = "at" if running else "interrupted at"
    budget = settings["training"]["epochs"] * (settings["data"].get("folds") or 1)
    clones = {entry.number: f", {entry.clones[-1].describe()}" for entry in tables.entries if entry.clones}
    lines += [
        f"          {_label(row)} {verb} epoch {row.epochs} of {budget}{clones.get(row.number, '')}"
        for row in _rows(unfinished)
    ]
    lines += _best_lines(trials) + [f"damaged   {problem}" for problem in tables.problems]
    return [escape(line) for line in lines]


def conclusion_lines(study: StudyDirectory, tables: list[Path]) -> list[str]:
    """How the study ended: best trial beside the best baseline, its checkpoint, failures, tables."""
    tables_of = StudyTables(study.root)
    trials = tables_of.trials
    lines = _best_lines(trials)
    best = best_row(trials[trials["baseline"].isna()])
    if best is not None:
        lines.append(f"settings  {json.dumps(best.params)}")
        lines.append(f"model     {best.checkpoint or 'no checkpoint was saved'}")
    failures = {entry.number: entry.failure for entry in tables_of.entries}
    for row in _rows(trials[trials["state"] == "failed"]):
        kind = f" ({failures[row.number]})" if failures.get(row.number) else ""
        lines.append(f"failed    {_label(row)}{kind}: {row.cause}")
        tail = study.trial(row.number).log_tail(_LOG_LINES)
        lines += [f"            {line}" for line in tail.splitlines()]
    if tables:
        lines.append(f"tables    {tables[0].parent}: {', '.join(path.name for path in tables)}")
    return [escape(line) for line in lines]


def _how_ended(events: list[dict[str, Any]]) -> str:
    last = events[-1] if events else {}
    how = "killed" if last.get("event") == "start" else last.get("how")
    reason = f", {last['reason']}" if "reason" in last else ""
    return f"; the last one {how}{reason}" if how in ("interrupted", "stopped", "killed") else ""


def trials_text(directory: Directories, form: str) -> str:
    """The table of trials as `table`, `csv` or `json`."""
    if form == "csv":
        return trials_csv(directory)
    trials = load_trials(directory)
    if form == "json":
        rows = [
            {key: None if pd.isna(value) is True else value for key, value in row.items()} for row in _records(trials)
        ]
        return json.dumps(rows, indent=2) + "\n"
    return _draw(trials)


def best_row(trials: pd.DataFrame) -> Any:
    """The row of the best trial; None where none has a Dice."""
    scored = contenders(trials)
    return None if scored.empty else _rows(scored.sort_values("best_dice", ascending=False, kind="stable"))[0]


def _best_lines(trials: pd.DataFrame) -> list[str]:
    best, baseline = best_row(trials[trials["baseline"].isna()]), best_row(trials[trials["baseline"].notna()])
    lines = [
        f"{name:<9} {row.baseline or _label(row)}: Dice {row.best_dice:.4f} at epoch {row.best_epoch}"
        for name, row in (("best", best), ("baseline", baseline))
        if row is not None
    ]
    if best is not None and baseline is not None:
        lines.append(
            f"{'':<9} difference {best.best_dice - baseline.best_dice:+.4f} on validation, one seed, "
            "best of many: no claim that it holds on new data"
        )
    return lines


def _records(trials: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        dict(zip(trials.columns, row, strict=True)) for row in trials.astype(object).itertuples(index=False, name=None)
    ]


def _label(row: Any) -> str:
    return trial_label(row.number, row.baseline)


def _rows(trials: pd.DataFrame) -> list[Any]:
    return list(trials.itertuples())


def _draw(trials: pd.DataFrame) -> str:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("trial", "state", "best Dice", "epoch", "epochs", "seconds", "settings", "cause"):
        table.add_column(name, justify="right" if name in ("best Dice", "epoch", "epochs", "seconds") else "left")
    for row in _rows(trials.sort_values("best_dice", ascending=False)):
        table.add_row(
            _label(row),
            row.state,
            "" if pd.isna(row.best_dice) else f"{row.best_dice:.4f}",
            "" if pd.isna(row.best_epoch) else str(row.best_epoch),
            str(row.epochs),
            f"{row.seconds:.1f}",
            "" if row.baseline else describe_settings(row.params),
            row.cause,
        )
    text = StringIO()
    console = Console(file=text, width=_WIDTH)
    console.print(table)
    return text.getvalue()


def describe_settings(params: dict[str, Any]) -> str:
    """Sampled settings in one short line."""
    return ", ".join(f"{path.rpartition('.')[2]} {_short(value)}" for path, value in params.items())


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key}={_short(part)}" for key, part in value.items() if part != 0)
    return f"{value:.3g}" if isinstance(value, float) else str(value)
