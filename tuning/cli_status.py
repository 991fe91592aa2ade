"""The command `segtune status`. Heavy imports stand inside it."""

import time
from pathlib import Path
from typing import Annotated

import typer

from tuning.cli_options import Debug, StudyDir, TableFormat

_INTERVAL_S = 2.0


def status(
    directory: StudyDir,
    watch: Annotated[bool, typer.Option("--watch", help="show it again until no process runs the study")] = False,  # noqa: FBT002 - a flag
    form: Annotated[TableFormat, typer.Option("--format", help="json and csv are for programs")] = TableFormat.TABLE,
    debug: Debug = False,  # noqa: FBT002 - a flag
) -> None:
    """Say how far a study is, while it runs and after."""
    del debug
    if form is not TableFormat.TABLE:
        if watch:
            raise typer.BadParameter("--watch is for people. Hint: call status again.", param_hint="--format")
        _print_facts(directory, form)
    elif watch:
        _watch(directory)
    else:
        typer.echo("\n".join(_lines(directory)[0]))


def _watch(directory: Path) -> None:
    """Redraw on a terminal; in a pipe, print what has changed."""
    from rich.console import Console  # noqa: PLC0415
    from rich.live import Live  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console()
    if console.is_terminal:
        with Live(console=console, auto_refresh=False) as live:
            running = True
            while running:
                lines, running = _lines(directory)
                live.update(Text("\n".join(lines)), refresh=True)
                time.sleep(_INTERVAL_S if running else 0)
        return
    shown: list[str] = []
    running = True
    while running:
        lines, running = _lines(directory)
        for line in lines:
            if line not in shown:
                typer.echo(line)
        shown = lines
        time.sleep(_INTERVAL_S if running else 0)


def _print_facts(directory: Path, form: TableFormat) -> None:
    import json  # noqa: PLC0415

    from reports import StudyTables  # noqa: PLC0415
    from reports.summary import best_row  # noqa: PLC0415
    from reports.text import as_csv  # noqa: PLC0415
    from tuning.lock import is_running  # noqa: PLC0415

    tables = StudyTables(directory)
    study, settings = tables.directory, tables.settings
    running, states = is_running(study), [entry.state for entry in tables.entries]
    best = best_row(tables.trials[tables.trials["baseline"].isna()])
    facts = {
        "name": settings["name"],
        "directory": str(study.root),
        "running": running,
        "attempts": sum(event["event"] == "start" for event in study.attempts()),
        "complete": states.count("complete"),
        "pruned": states.count("pruned"),
        "failed": states.count("failed"),
        "unfinished": states.count("running"),
        "best_trial": None if best is None else int(best.number),
        "best_dice": None if best is None else float(best.best_dice),
    }
    _say_problems(tables.problems)
    typer.echo(as_csv([facts]) if form is TableFormat.CSV else json.dumps(facts, indent=2))


def _say_problems(problems: list[str]) -> None:
    for problem in problems:
        typer.echo(f"damaged: {problem}", err=True)


def _lines(directory: Path) -> tuple[list[str], bool]:
    from reports import StudyTables  # noqa: PLC0415
    from reports.summary import status_lines  # noqa: PLC0415
    from tuning.lock import is_running  # noqa: PLC0415
    from tuning.record import StudyDirectory  # noqa: PLC0415

    running = is_running(StudyDirectory(directory))  # before the table, so that the last one shown is of the end
    return status_lines(StudyTables(directory), running=running), running
