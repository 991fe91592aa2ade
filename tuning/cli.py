"""The command `segtune`. Heavy imports stand inside the commands, so that `--help` answers at once."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tuning.cli_checkpoints import checkpoints
from tuning.cli_options import Debug, TableFormat

if TYPE_CHECKING:
    from tuning.study import StudyResult

app = typer.Typer(
    name="segtune",
    help="Tune how segmentation networks are trained: losses, weights, schedules and checkpoints.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

_OK, _SOME_FAILED, _USAGE, _INTERNAL, _ENVIRONMENT, _NONE_SUCCEEDED, _INTERRUPTED = 0, 1, 2, 3, 4, 5, 130


_Study = Annotated[Path, typer.Argument(metavar="DIR", help="study directory, such as studies/brain")]


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="holds images/ and masks/, files of the same stem")],
    file: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="study file to write; default <name>.yaml")
    ] = None,
    debug: Debug = False,  # noqa: FBT002 - a flag
) -> None:
    """Look at a folder of images and masks, and write a study file that runs as it is."""
    del debug
    from tuning.data import data_warnings, load_data  # noqa: PLC0415
    from tuning.init import init_study  # noqa: PLC0415
    from tuning.study_file import read_study_file  # noqa: PLC0415

    written = init_study(folder, file)
    for line in written.read_text(encoding="utf-8").splitlines()[:2]:
        typer.echo(f"seen      {line.removeprefix('# ')}")
    typer.echo(f"written   {written}")
    study_file = read_study_file(written)
    with study_file.placed():
        for line in data_warnings(load_data(study_file.load().data)):
            typer.echo(f"warning   {line}")
    typer.echo(f"next      segtune run {written}")


@app.command()
def run(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="study file (YAML)")],
    directory: Annotated[Path | None, typer.Option("--dir", help="study directory; default studies/<name>")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("-s", "--set", metavar="KEY=VALUE", help="override, such as training.lr=1e-3")
    ] = None,
    debug: Debug = False,  # noqa: FBT002 - a flag
) -> None:
    """Launch a study, or go on with it: the same command on the same directory resumes."""
    del debug
    from rich.console import Console  # noqa: PLC0415

    from tuning.dotted import make_working_directory_importable  # noqa: PLC0415
    from tuning.progress import make_progress  # noqa: PLC0415
    from tuning.study import Study  # noqa: PLC0415
    from tuning.study_file import read_study_file  # noqa: PLC0415

    make_working_directory_importable()
    study_file = read_study_file(file, settings)
    config = study_file.load()
    study = Study(config, directory or Path("studies") / config.name)
    with study_file.placed():
        result = study.run(make_progress(Console(stderr=True)))
    raise typer.Exit(_conclude(result, " ".join(["segtune", *sys.argv[1:]])))


@app.command()
def status(directory: _Study, debug: Debug = False) -> None:  # noqa: FBT002 - a flag
    """Say how far a study is, while it runs and after."""
    del debug
    from reports import load_trials  # noqa: PLC0415
    from reports.summary import status_lines  # noqa: PLC0415
    from tuning.lock import is_running  # noqa: PLC0415
    from tuning.record import StudyDirectory  # noqa: PLC0415

    study = StudyDirectory(directory)
    trials = load_trials(study.root)
    for line in status_lines(study, trials, running=is_running(study)):
        typer.echo(line)


@app.command()
def report(
    directory: _Study,
    form: Annotated[
        TableFormat, typer.Option("--format", help="how the table of trials is printed")
    ] = TableFormat.TABLE,
    debug: Debug = False,  # noqa: FBT002 - a flag
) -> None:
    """Print the table of trials, and write the tables into the study."""
    del debug
    from reports import write_tables  # noqa: PLC0415
    from reports.strategies import strategies_text  # noqa: PLC0415
    from reports.summary import trials_text  # noqa: PLC0415

    typer.echo(trials_text(directory, form.value), nl=False)
    if form is TableFormat.TABLE and (strategies := strategies_text(directory)):
        typer.echo(f"\n{strategies}")
    for path in write_tables(directory):
        typer.echo(f"written: {path}", err=True)


@app.command()
def export(
    directory: _Study,
    folder: Annotated[Path, typer.Option("--to", metavar="OUT", help="folder to make")],
    trial: Annotated[int | None, typer.Option(help="number of a trial; by default that with the best Dice")] = None,
    debug: Debug = False,  # noqa: FBT002 - a flag
) -> None:
    """Write the best trial's weights, configuration and metrics, checked in a fresh process."""
    del debug
    from tuning.dotted import make_working_directory_importable  # noqa: PLC0415
    from tuning.export import export_trial  # noqa: PLC0415

    make_working_directory_importable()
    for line in export_trial(directory, folder, trial).lines():
        typer.echo(line)


@app.command()
def losses(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="study file (YAML), whose masks and loss are looked at")],
    preset: Annotated[
        list[str] | None, typer.Option("--preset", metavar="NAME", help="preset to compare with; by default all")
    ] = None,
    form: Annotated[TableFormat, typer.Option("--format", help="how the table is printed")] = TableFormat.TABLE,
    plot: Annotated[Path | None, typer.Option("--plot", metavar="OUT.html", help="write a plot too")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("-s", "--set", metavar="KEY=VALUE", help="override, as of run")
    ] = None,
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


def _conclude(result: "StudyResult", command: str) -> int:
    """Write the tables, print how the study ended and give the exit code."""
    from reports import write_tables  # noqa: PLC0415
    from reports.summary import conclusion_lines  # noqa: PLC0415
    from tuning.record import StudyDirectory  # noqa: PLC0415

    for line in conclusion_lines(StudyDirectory(result.directory), write_tables(result.directory)):
        typer.echo(line)
    if result.interrupted:
        typer.echo(f"interrupted; go on with: {command}", err=True)
        return _INTERRUPTED
    failed = sum(trial.state == "failed" for trial in result.trials)
    if failed == len(result.trials):
        return _NONE_SUCCEEDED
    return _SOME_FAILED if failed else _OK


def _exit_code(error: Exception) -> int | None:
    """Exit code of an error that a user can act on; None for one that only we can."""
    from components.errors import ComponentError, MissingExtraError  # noqa: PLC0415
    from search_spaces import SpaceError  # noqa: PLC0415
    from tuning.errors import EngineError, StudyError  # noqa: PLC0415

    if isinstance(error, EngineError | MissingExtraError):
        return _ENVIRONMENT
    return _USAGE if isinstance(error, StudyError | ComponentError | SpaceError) else None


def main() -> None:
    """Entry point: errors as one message with a hint, the traceback only with `--debug`."""
    from tuning.packages import check_own_packages  # noqa: PLC0415

    try:
        check_own_packages()
        app(prog_name="segtune")
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    except Exception as error:
        if "--debug" in sys.argv:
            raise
        code = _exit_code(error)
        hint = "" if code is not None else "\nThis should not happen. Hint: run again with --debug and report it."
        print(f"error: {error if code is not None else repr(error)}{hint}", file=sys.stderr)  # noqa: T201
        sys.exit(_INTERNAL if code is None else code)
