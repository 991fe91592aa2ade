"""Options that several commands have."""

from enum import StrEnum
from typing import Annotated

import typer


class TableFormat(StrEnum):
    """How a table is printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


Debug = Annotated[bool, typer.Option("--debug", help="show the traceback of an error")]
