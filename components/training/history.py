"""The epochs of a training: one line of JSON each, TensorBoard, and tables and a plot made of them."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.errors import InvalidInputError, MissingExtraError
from components.json_lines import Row, append_line, mend_lines, read_lines, rewrite_lines
from components.plain_text import guard_cell


class TrainingHistory:
    """Rows by epoch, in a file that grows by a line with each.

    A line that a kill left half written is cut, a damaged one is named and set aside (`.damaged-…` beside the file),
    and a later row of an epoch replaces an earlier one.

    Args:
        path: of the JSON lines; its folder is made.
        tensorboard: folder for TensorBoard's files; None writes none.

    Raises:
        MissingExtraError: TensorBoard is asked for and tensorboardX is not installed.
    """

    def __init__(self, path: Path, tensorboard: Path | None = None) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        mend_lines(path, is_whole=_is_epoch)
        self._rows: dict[int, Row] = {row["epoch"]: row for row in read_lines(path, is_whole=_is_epoch)}
        self._writer = None if tensorboard is None else _writer(tensorboard)

    @property
    def rows(self) -> list[Row]:
        """The epochs so far, in order."""
        return [self._rows[epoch] for epoch in sorted(self._rows)]

    def add(self, epoch: int, row: Mapping[str, Any]) -> None:
        """Write an epoch's row; what TensorBoard shows are its numbers."""
        self._rows[epoch] = {"epoch": epoch, **row}
        append_line(self._path, self._rows[epoch])
        if self._writer is not None:
            for name, value in row.items():
                if isinstance(value, int | float):
                    self._writer.add_scalar(name, value, epoch)
            self._writer.flush()

    def drop_after(self, epoch: int) -> None:
        """Forget later epochs, which are about to be trained again."""
        self._rows = {number: row for number, row in self._rows.items() if number <= epoch}
        rewrite_lines(self._path, self.rows)

    def export(self, path: str | Path) -> Path:
        """Write a table.

        Args:
            path: ending in `.csv` or `.json`.

        Raises:
            InvalidInputError: it ends in something else.
        """
        path = Path(path)
        if path.suffix not in (".csv", ".json"):
            raise InvalidInputError(f"{path}: found the ending {path.suffix!r}. Hint: .csv or .json.")
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".json":
            path.write_text(json.dumps(self.rows, indent=1) + "\n", encoding="utf-8")
            return path
        columns = dict.fromkeys(name for row in self.rows for name in row)
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, list(columns))
            writer.writeheader()
            writer.writerows({name: guard_cell(value) for name, value in row.items()} for row in self.rows)
        return path

    def plot(self, path: str | Path) -> Path:
        """Draw losses and metrics over the epochs into a self-contained HTML file.

        Raises:
            InvalidInputError: the path does not end in `.html`, or there is no epoch yet.
        """
        from plotly.graph_objects import Figure, Scatter  # noqa: PLC0415 - only who draws pays for it
        from plotly.subplots import make_subplots  # noqa: PLC0415

        path = Path(path)
        if path.suffix != ".html" or not self.rows:
            raise InvalidInputError(f"{path}: a plot needs a name that ends in .html, and an epoch or more.")
        figure: Figure = make_subplots(rows=1, cols=2, subplot_titles=("loss", "metrics"))
        epochs = [row["epoch"] for row in self.rows]
        for name in dict.fromkeys(name for row in self.rows for name in row):
            values = [row.get(name) for row in self.rows]
            kind, _, what = name.partition("_")
            if kind in ("train", "val") and all(isinstance(value, int | float | None) for value in values):
                column = 1 if what.startswith(("loss", "weighted")) else 2
                figure.add_trace(Scatter(x=epochs, y=values, name=name, mode="lines+markers"), row=1, col=column)
        figure.update_xaxes(title_text="epoch")
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.write_html(path, include_plotlyjs=True)
        return path

    def close(self) -> None:
        """End TensorBoard's file."""
        if self._writer is not None:
            self._writer.close()


def _is_epoch(row: Row) -> bool:
    return type(row.get("epoch")) is int


def _writer(folder: Path) -> Any:
    try:
        from tensorboardX import SummaryWriter  # noqa: PLC0415 - only who wants it needs it
    except ImportError as error:
        raise MissingExtraError("TensorBoard files need tensorboardX. Hint: pip install tensorboardX.") from error
    return SummaryWriter(str(folder))
