"""Commands to use before a run: what it would do, whether it works, and whether the machine does."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tuning.cli_options import Debug, Settings, TableFormat

if TYPE_CHECKING:
    from tuning.study import Study
    from tuning.study_file import StudyFile

_ENVIRONMENT = 4


def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="study file (YAML)")],
    settings: Settings = None,
    debug: Debug = False,  # noqa: FBT002 - a flag
) -> None:
    """Try a study: one real trial of a whole and a last batch, saved, killed and restored. Nothing stays of it."""
    del debug
    from tuning.dotted import make_working_directory_importable  # noqa: PLC0415
    from tuning.rehearsal import rehearse  # noqa: PLC0415
    from tuning.study_file import read_study_file  # noqa: PLC0415

    make_working_directory_importable()
    study_file = read_study_file(file, settings)
    config = study_file.load()
    with study_file.placed():
        rehearse(config, typer.echo)
    typer.echo(f"next      segtune run {file}")


def doctor(
    form: Annotated[TableFormat, typer.Option("--format", help="how the findings are printed")] = TableFormat.TABLE,
    folder: Annotated[Path, typer.Option("--dir", help="where studies are to be written")] = Path(),
    debug: Debug = False,  # noqa: FBT002 - a flag
) -> None:
    """Look at versions, processors, disks and Ray, and say what to do about what is found."""
    del debug
    import json  # noqa: PLC0415
    from dataclasses import asdict  # noqa: PLC0415

    from reports.text import as_csv, drawn  # noqa: PLC0415
    from tuning.doctor import PROBLEM, examine  # noqa: PLC0415

    if not folder.is_dir():
        raise typer.BadParameter(f"{folder.absolute()}: there is no such folder.", param_hint="--dir")
    findings = list(examine(folder.absolute()))
    rows = [asdict(finding) for finding in findings]
    if form is TableFormat.TABLE:
        typer.echo(drawn(list(rows[0]), [[str(value) for value in row.values()] for row in rows]))
    else:
        typer.echo(as_csv(rows) if form is TableFormat.CSV else json.dumps(rows, indent=2))
    if any(finding.state == PROBLEM for finding in findings):
        raise typer.Exit(_ENVIRONMENT)


def print_dry_run(file: "StudyFile", study: "Study") -> None:
    """What a run would do, to stdout."""
    from reports.summary import describe_settings  # noqa: PLC0415
    from tuning.dry_run import dry_run  # noqa: PLC0415

    with file.placed():
        found = dry_run(study.resolved(), study.directory.root)
    for line in found.lines(describe_settings):
        typer.echo(line)
