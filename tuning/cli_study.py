"""Commands that go on with a study that is there already. Heavy imports stand inside them."""

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tuning.cli_options import Debug, Moved, Settings, StudyDir
from tuning.display import display_only

if TYPE_CHECKING:
    from tuning.config import FinalistsConfig
    from tuning.study import Study, StudyResult
    from tuning.study_file import StudyFile

OK, SOME_FAILED, NONE_SUCCEEDED, INTERRUPTED = 0, 1, 5, 130
_STOP_PATIENCE_S = 120.0  # an epoch's end is not waited for, but the workers' is
_POLL_S = 0.2


def resume(
    directory: StudyDir,
    settings: Settings = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="run the trials that failed again")] = False,  # noqa: FBT002
    debug: Debug = False,  # noqa: FBT002 - a flag
) -> None:
    """Go on with a study from its own record; no study file is needed."""
    del debug
    from tuning.dotted import make_working_directory_importable  # noqa: PLC0415
    from tuning.forks import start_early  # noqa: PLC0415
    from tuning.recorded import recorded_study  # noqa: PLC0415

    make_working_directory_importable()
    file = recorded_study(directory, settings)
    config = file.load()
    start_early(config)
    from tuning.study import Study  # noqa: PLC0415 - seconds, in which the workers' imports go on already

    launch(Study(config, directory), file, retry_failed=retry_failed)


def extend(
    directory: StudyDir,
    trials: Annotated[str, typer.Option(metavar="+N|N", help="so many more (+20), or so many in all (60)")],
    settings: Settings = None,
    debug: Debug = False,  # noqa: FBT002 - a flag
) -> None:
    """Go on with a study, finished or not, with more trials."""
    del debug
    from tuning.dotted import make_working_directory_importable  # noqa: PLC0415
    from tuning.forks import start_early  # noqa: PLC0415
    from tuning.recorded import recorded_study  # noqa: PLC0415

    number = trials.removeprefix("+")
    if not number.isdecimal() or not int(number):
        raise typer.BadParameter(f"found {trials!r}, expected +20 for more or 60 for all.", param_hint="--trials")
    make_working_directory_importable()
    file = recorded_study(directory, settings)
    config = file.load()
    more = int(number) if trials.startswith("+") else int(number) - config.search.trials
    if more < 1:
        raise typer.BadParameter(
            f"the study has {config.search.trials} trials already. Hint: --trials +{number} adds to them.",
            param_hint="--trials",
        )
    start_early(config)
    from tuning.study import Study  # noqa: PLC0415 - seconds, in which the workers' imports go on already

    launch(Study(config, directory).with_more_trials(more), file)


def stop(directory: StudyDir, debug: Debug = False) -> None:  # noqa: FBT002 - a flag
    """Ask the process that runs the study to stop cleanly, and wait until it has."""
    del debug
    from tuning.lock import ask_to_stop, is_running  # noqa: PLC0415
    from tuning.record import StudyDirectory  # noqa: PLC0415

    study = StudyDirectory(directory)
    study.read()
    owner = ask_to_stop(study)
    if owner is None:
        typer.echo(f"{directory}: no process runs the study")
        return
    typer.echo(f"stopping {owner}", err=True)
    deadline = time.monotonic() + _STOP_PATIENCE_S
    while is_running(study):
        if time.monotonic() > deadline:
            typer.echo(f"still saving after {_STOP_PATIENCE_S:.0f} s; see segtune status {directory}", err=True)
            raise typer.Exit(SOME_FAILED)
        time.sleep(_POLL_S)
    typer.echo(f"stopped; go on with: {resume_command(directory)}")


def finalists(
    directory: StudyDir,
    top: Annotated[int, typer.Option(min=1, help="best settings of the search")] = 3,
    seeds: Annotated[int, typer.Option(min=2, help="new seeds that each is trained with; two carry no claim")] = 5,
    tta: Annotated[bool, typer.Option("--tta", help="test over mirrored images")] = False,  # noqa: FBT002 - a flag
    settings: Moved = None,
    debug: Debug = False,  # noqa: FBT002 - a flag
) -> None:
    """Train the best settings and the best baseline again with new seeds, and score them on the test split."""
    del debug
    from tuning.config import FinalistsConfig  # noqa: PLC0415
    from tuning.dotted import make_working_directory_importable  # noqa: PLC0415
    from tuning.moving import move  # noqa: PLC0415
    from tuning.recorded import recorded_study  # noqa: PLC0415
    from tuning.study import Study  # noqa: PLC0415

    make_working_directory_importable()
    move(directory, settings)
    file = recorded_study(directory)
    study = Study(file.load(), directory)
    with file.placed():
        result = _train_again(study, FinalistsConfig(top=top, seeds=seeds, tta=tta))
    raise typer.Exit(exit_code(result))


def launch(study: "Study", file: "StudyFile", *, retry_failed: bool = False) -> None:
    """Run a study with the progress shown, print how it ended, and exit with the code for that.

    Where the study asks for finalists, they are trained once the search has ended.
    """
    from rich.console import Console  # noqa: PLC0415

    from tuning.progress import make_progress  # noqa: PLC0415

    wanted = None if study.config.retrain else study.config.finalists
    with file.placed():
        result = study.run(make_progress(Console(stderr=True)), retry_failed=retry_failed)
        with display_only():
            _conclude(result)
        if wanted and not result.interrupted and exit_code(result) != NONE_SUCCEEDED:
            result = _train_again(study, wanted)
    raise typer.Exit(exit_code(result))


def _train_again(study: "Study", wanted: "FinalistsConfig") -> "StudyResult":
    """Train and score the finalists, and print what may be said of them."""
    from rich.console import Console  # noqa: PLC0415

    from reports import StudyTables, read_finalists  # noqa: PLC0415
    from tuning.progress import make_progress  # noqa: PLC0415

    result = study.finalists(wanted.top, wanted.seeds, make_progress(Console(stderr=True)), tta=wanted.tta)
    root = study.directory.root
    if result.interrupted:
        numbers = ["--top", str(wanted.top), "--seeds", str(wanted.seeds), *(["--tta"] if wanted.tta else [])]
        again = shlex.join(["segtune", "finalists", str(root), *numbers])
        typer.echo(f"interrupted; go on with: {again}", err=True)
    elif found := read_finalists(StudyTables(root)):
        for line in found.lines():
            typer.echo(line)
        typer.echo(f"next      segtune report {shlex.quote(str(root))}")
    return result


def resume_command(directory: Path) -> str:
    """What one types to go on with a study."""
    return f"segtune resume {shlex.quote(str(directory))}"


def exit_code(result: "StudyResult") -> int:
    """What the command returns for how a run ended."""
    if result.interrupted:
        return INTERRUPTED
    states = {trial.state for trial in result.trials}
    if "failed" not in states:
        return OK
    return SOME_FAILED if states & {"complete", "pruned"} else NONE_SUCCEEDED


def _conclude(result: "StudyResult") -> None:
    """Write the tables and print how the study ended."""
    from reports import write_tables  # noqa: PLC0415
    from reports.summary import conclusion_lines  # noqa: PLC0415
    from tuning.record import StudyDirectory  # noqa: PLC0415

    problems: list[str] = []
    try:
        tables = write_tables(result.directory, problems=problems)
    except OSError as error:  # the work is done and recorded; tables can be made again
        tables, problems = [], [f"The tables: {error}"]
    for problem in problems:
        typer.echo(f"not written: {problem}", err=True)
    for line in conclusion_lines(StudyDirectory(result.directory), tables):
        typer.echo(line)
    if result.interrupted:
        typer.echo(f"interrupted; go on with: {resume_command(result.directory)}", err=True)
    elif result.stopped:
        typer.echo(f"stopped   {result.stopped}")
