"""Options that several commands have."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class TableFormat(StrEnum):
    """How a table is printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


Debug = Annotated[bool, typer.Option("--debug", help="show the traceback of an error")]

StudyDir = Annotated[Path, typer.Argument(metavar="DIR", help="study directory, such as studies/brain")]
Moved = Annotated[
    list[str] | None,
    typer.Option("-s", "--set", metavar="KEY=PATH", help="where data lie now, such as data.root=/new/place; recorded"),
]
Settings = Annotated[
    list[str] | None, typer.Option("-s", "--set", metavar="KEY=VALUE", help="override, such as training.lr=1e-3")
]
