"""The command `segtune`. Heavy imports stand inside the commands, so that `--help` answers at once."""

import os
import signal
import sys
from enum import StrEnum
from itertools import takewhile
from pathlib import Path
from typing import Annotated

import typer

from tuning.cli_checkpoints import checkpoints
from tuning.cli_dashboard import dashboard
from tuning.cli_deploy import convert, export, predict
from tuning.cli_options import Debug, Settings, TableFormat
from tuning.cli_rehearsals import check, doctor, print_dry_run
from tuning.cli_report import report
from tuning.cli_status import status
from tuning.cli_study import INTERRUPTED, extend, finalists, launch, resume, stop
from tuning.display import steady_streams

app = typer.Typer(
    name="segtune",
    help="Tune how segmentation networks are trained: losses, weights, schedules and checkpoints.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

_LONGEST_ERROR = 20_000  # characters: a refusal of a folder names each of its files
_USAGE, _INTERNAL, _ENVIRONMENT, _NONE_SUCCEEDED = 2, 3, 4, 5


def _print_version(asked: bool) -> None:  # noqa: FBT001 - the signature of a callback of typer
    if asked:
        from importlib.metadata import version  # noqa: PLC0415

        typer.echo(f"segtune {version('segtune')}")
        raise typer.Exit


@app.callback()
def _segtune(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="print the version and exit")
    ] = False,
) -> None:
    """Tune how segmentation networks are trained: losses, weights, schedules and checkpoints."""
    del version


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="holds images/ and masks/, files of the same stem")],
    file: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="study file to write; default <name>.yaml")
    ] = None,
    budget: Annotated[
        str | None, typer.Option(metavar="TIME", help="time to spend, such as 30m or 2h; default a small, quick study")
    ] = None,
    debug: Debug = False,  # noqa: FBT002 - a flag
) -> None:
    """Look at a folder of images and masks, and write a study file that runs as it is."""
    del debug
    from tuning.data import data_warnings, load_data  # noqa: PLC0415
    from tuning.init import init_study  # noqa: PLC0415
    from tuning.serving import serving_notes  # noqa: PLC0415
    from tuning.study_file import read_study_file  # noqa: PLC0415

    written = init_study(folder, file, budget)
    for line in takewhile(lambda line: line.startswith("# "), written.read_text(encoding="utf-8").splitlines()):
        typer.echo(f"seen      {line.removeprefix('# ')}")
    typer.echo(f"written   {written}")
    study_file = read_study_file(written)
    with study_file.placed():
        config = study_file.load().data
        for line in data_warnings(load_data(config)):
            typer.echo(f"warning   {line}")
        for line in serving_notes(config):
            typer.echo(line)
    typer.echo(f"next      segtune run {written}")


@app.command()
def run(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="study file (YAML)")],
    directory: Annotated[Path | None, typer.Option("--dir", help="study directory; default studies/<name>")] = None,
    budget: Annotated[
        str | None, typer.Option(metavar="TIME", help="spend so much time: 30m, 2h, overnight, until 6:30")
    ] = None,
    settings: Settings = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what a run would do, and how long")] = False,  # noqa: FBT002
    debug: Debug = False,  # noqa: FBT002 - a flag
) -> None:
    """Launch a study, or go on with it: the same command on the same directory resumes."""
    del debug
    from tuning.dotted import make_working_directory_importable  # noqa: PLC0415
    from tuning.forks import start_early  # noqa: PLC0415
    from tuning.study_file import read_study_file  # noqa: PLC0415

    make_working_directory_importable()
    study_file = read_study_file(file, [*(settings or []), *([f"search.budget={budget}"] if budget else [])])
    config = study_file.load()
    if not dry_run:
        start_early(config)
    from tuning.study import Study  # noqa: PLC0415 - seconds, in which the workers' imports go on already

    study = Study(config, directory or Path("studies") / config.name)
    if dry_run:
        print_dry_run(study_file, study)
    else:
        launch(study, study_file)


app.command()(resume)
app.command()(extend)
app.command()(finalists)
app.command()(stop)
app.command()(check)
app.command()(doctor)
app.command()(status)


app.command()(report)


app.command()(export)
app.command()(convert)
app.command()(predict)


@app.command()
def losses(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="study file (YAML), whose masks and loss are looked at")],
    preset: Annotated[
        list[str] | None, typer.Option("--preset", metavar="NAME", help="preset to compare with; by default all")
    ] = None,
    form: Annotated[TableFormat, typer.Option("--format", help="how the table is printed")] = TableFormat.TABLE,
    plot: Annotated[Path | None, typer.Option("--plot", metavar="OUT.html", help="write a plot too")] = None,
    settings: Settings = None,
    debug: Debug = False,  # noqa: FBT002 - a flag
) -> None:
    """Compare the study's loss with the baselines and the presets on its masks, before any training."""
    del debug
    if plot is not None and not plot.absolute().parent.is_dir():
        raise typer.BadParameter(f"{plot.absolute().parent}: there is no such folder.", param_hint="--plot")
    from reports import plot_loss_evaluation  # noqa: PLC0415
    from reports.losses import rows_text  # noqa: PLC0415
    from tuning.dotted import make_working_directory_importable  # noqa: PLC0415
    from tuning.losses import evaluate_losses  # noqa: PLC0415
    from tuning.study_file import read_study_file  # noqa: PLC0415

    make_working_directory_importable()
    study_file = read_study_file(file, settings)
    config = study_file.load()
    with study_file.placed():
        evaluation = evaluate_losses(config, preset)
    typer.echo(evaluation if form is TableFormat.TABLE else rows_text(evaluation, form.value))
    if plot is not None:
        plot_loss_evaluation(evaluation).write_html(plot)
        typer.echo(f"written: {plot}", err=True)


app.add_typer(checkpoints, name="checkpoints", no_args_is_help=True)
app.command()(dashboard)


class SchemaFormat(StrEnum):
    """How the settings of a study file are described."""

    JSON = "json"
    MARKDOWN = "markdown"


@app.command()
def schema(
    form: Annotated[SchemaFormat, typer.Option("--format", help="for editors, or for people")] = SchemaFormat.JSON,
    debug: Debug = False,  # noqa: FBT002 - a flag
) -> None:
    """Print what a study file may say, as JSON Schema."""
    del debug
    from tuning.config.reference import json_schema, markdown  # noqa: PLC0415

    typer.echo(json_schema() if form is SchemaFormat.JSON else markdown(), nl=False)


def _exit_code(error: Exception) -> int | None:
    """Exit code of an error that a user can act on; None for one that only we can."""
    from components.errors import CheckpointError, ComponentError, DiskFullError, MissingExtraError  # noqa: PLC0415
    from search_spaces import SpaceError  # noqa: PLC0415
    from tuning.errors import EngineError, RehearsalError, StudyError, StudyPlaceError  # noqa: PLC0415

    if isinstance(error, RehearsalError):
        return _NONE_SUCCEEDED
    if isinstance(error, EngineError | MissingExtraError | StudyPlaceError | DiskFullError):
        return _ENVIRONMENT
    if isinstance(error, CheckpointError) and isinstance(error.__cause__, OSError):
        return _ENVIRONMENT
    if isinstance(error, StudyError | ComponentError | SpaceError):
        return _USAGE
    return _ENVIRONMENT if _is_of_system(error) else None


def _is_of_system(error: Exception) -> bool:
    """Whether the machine is the cause: a full disk, no rights, a folder in place of a file, a package that lacks."""
    from tuning.packages import ROOMS  # noqa: PLC0415

    if isinstance(error, ImportError):
        return (error.name or "").partition(".")[0] not in (*ROOMS, "tuning")
    return isinstance(error, OSError)


def _text_of(error: Exception, code: int | None) -> str:
    """What is printed of an error."""
    from components.plain_text import escape, shorten  # noqa: PLC0415
    from components.references import masked  # noqa: PLC0415

    if code is None:
        text = f"{error!r}\nThis should not happen. Hint: run again with --debug and report it."
    elif type(error).__module__ == "builtins" and isinstance(error, OSError) and error.strerror:
        places = " to ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
        text = f"{places or 'the system'}: {error.strerror}. Hint: make space, or mend rights or path, and try again."
    else:
        text = str(error)
    return shorten(escape(masked(text)), _LONGEST_ERROR)


def _interrupt(number: int, frame: object) -> None:
    """End the command; asked again while what it holds is cleared away, at once."""
    del number, frame
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    raise KeyboardInterrupt


def main() -> None:
    """Entry point: errors as one message with a hint, the traceback only with `--debug`."""
    steady_streams()
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else someone wants something else of it
        signal.signal(signal.SIGINT, _interrupt)
    try:
        from tuning.packages import check_own_packages  # noqa: PLC0415

        check_own_packages()
        try:
            app(prog_name="segtune")
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        code = _exit_code(error)
        print(f"error: {_text_of(error, code)}", file=sys.stderr)  # noqa: T201
        sys.exit(_INTERNAL if code is None else code)
