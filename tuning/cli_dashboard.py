"""The command `segtune dashboard`. Heavy imports stand inside the command."""

from pathlib import Path
from typing import Annotated

import typer

from tuning.cli_options import Debug


def dashboard(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="study directory, such as studies/brain")],
    host: Annotated[str, typer.Option(help="address to serve at")] = "localhost",
    port: Annotated[int, typer.Option(min=1, max=65535, help="port to serve at")] = 8080,
    debug: Debug = False,  # noqa: FBT002 - a flag
) -> None:
    """Show the study's journal in optuna-dashboard, while it runs and after (extra `dashboard`)."""
    del debug
    from components.errors import MissingExtraError  # noqa: PLC0415
    from tuning.errors import EngineError  # noqa: PLC0415
    from tuning.record import StudyDirectory, open_journal  # noqa: PLC0415

    try:
        from optuna_dashboard import run_server  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtraError("dashboard: needs the extra. Hint: pip install 'segtune[dashboard]'.") from error
    journal = open_journal(StudyDirectory(directory))
    typer.echo(f"http://{host}:{port}/dashboard/ shows {directory}; Ctrl-C ends it", err=True)
    try:
        run_server(journal.storage, host=host, port=port)
    except OSError as error:
        raise EngineError(f"dashboard: cannot serve at {host}:{port}: {error.strerror}. Hint: --port.") from error
