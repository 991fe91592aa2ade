"""Shows a running study: a live table on a terminal, else one plain line an event."""

import time
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tuning.duration import duration_text
from tuning.listener import Listener
from tuning.objective import OBJECTIVE
from tuning.plan import Plan
from tuning.record import Clone, TrialEntry, trial_label

_STYLES = {"complete": "green", "pruned": "yellow", "failed": "red", "running": "cyan"}
_REDRAW_S = 0.25
_SHOWN_ENDED = 12  # the best of those that ended; the tables have them all


@dataclass
class Line:
    """What is shown of one trial."""

    name: str
    state: str = "running"
    epoch: int = 0
    dice: float | None = None
    best: float = -1.0
    cause: str = ""
    feasible: bool = True


@dataclass
class Board:
    """What is known of the run so far."""

    total: int = 0
    epochs: int = 0
    finished_before: int = 0
    started: float = field(default_factory=time.monotonic)
    lines: dict[int, Line] = field(default_factory=dict)

    def ended(self) -> list[Line]:
        """Trials that ended in this run, best first."""
        ended = (line for line in self.lines.values() if line.state != "running")
        return sorted(ended, key=lambda line: (line.feasible, line.best), reverse=True)

    def done(self) -> int:
        """Trials of the study that have ended."""
        return self.finished_before + len(self.ended())

    def best(self) -> Line | None:
        """The trial with the best Dice of this run, a feasible one if there is any."""
        scored = [line for line in self.lines.values() if line.state != "failed" and line.best >= 0]
        return max(scored, key=lambda line: (line.feasible, line.best), default=None)

    def summary(self) -> str:
        """Counts, best so far and the time that is left."""
        counts = ", ".join(
            f"{count} {state}"
            for state in _STYLES
            if (count := sum(line.state == state for line in self.lines.values()))
        )
        best, done = self.best(), self.done()
        parts = [f"{done}/{self.total} done", counts]
        if best:
            parts.append(f"best {best.best:.4f} ({best.name})")
        if self.ended() and done < self.total:
            seconds = (time.monotonic() - self.started) / len(self.ended()) * (self.total - done)
            parts.append(f"about {duration_text(seconds)} left")
        return " · ".join(part for part in parts if part)


class PlainProgress(Listener):
    """One line an event."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.board = Board()

    def planned(self, plan: Plan) -> None:
        """Print the plan."""
        self.board = Board(plan.total, plan.epochs, plan.finished)
        self._say(*plan.lines)

    def trial_started(self, number: int, baseline: str | None) -> None:
        """Print that it started, or goes on."""
        name = trial_label(number, baseline)
        self._say(f"{name} {'goes on' if number in self.board.lines else 'started'}")
        self.board.lines.setdefault(number, Line(name))

    def trial_cloned(self, clone: Clone) -> None:
        """Print whose checkpoint it goes on from."""
        line = self.board.lines.setdefault(clone.number, Line(trial_label(clone.number), epoch=clone.epoch))
        line.cause = clone.describe()
        self._say(f"{line.name} takes over, {line.cause}")

    def epoch_done(self, number: int, row: dict[str, Any]) -> None:
        """Remember the epoch."""
        line = self.board.lines[number]
        best = row[OBJECTIVE] if row.get("fold_epoch") == 1 else max(line.best, row[OBJECTIVE])
        line.epoch, line.dice, line.best = row["epoch"], row[OBJECTIVE], best

    def trial_ended(self, entry: TrialEntry) -> None:
        """Print how it ended."""
        name = trial_label(entry.number, entry.baseline)
        line = self.board.lines.setdefault(entry.number, Line(name))  # its worker may have died before it started
        line.state, line.cause, line.feasible = entry.state, entry.cause, not entry.infeasible
        if entry.state == "running":
            self._say(f"{line.name} lost its worker and will go on")
            return
        best = f", best Dice {line.best:.4f}" if line.best >= 0 else ""
        leads = " (best so far)" if line is self.board.best() else ""
        self._say(f"[{self.board.done()}/{self.board.total}] {line.name} {entry.state}{best}{leads}; {entry.cause}")

    def warned(self, text: str) -> None:
        """Print the warning."""
        self._say(f"warning   {text}")

    def stopping(self, reason: str = "") -> None:
        """Say that the stop is under way."""
        self._say(_stopping_text(reason))

    def _say(self, *lines: str) -> None:
        for line in lines:
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)


class LiveProgress(PlainProgress):
    """A table that is redrawn in place."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._live = Live(console=console, auto_refresh=False, transient=False)
        self._drawn = 0.0

    def planned(self, plan: Plan) -> None:
        """Print the plan, then show the table."""
        super().planned(plan)
        if plan.finished < plan.total:
            self._live.start()

    def tick(self) -> None:
        """Redraw, at most a few times a second."""
        if time.monotonic() - self._drawn > _REDRAW_S:
            self._draw()

    def close(self) -> None:
        """Leave the last table standing."""
        if self._live.is_started:
            self._draw()
            self._live.stop()

    def warned(self, text: str) -> None:
        """Print the warning above the table."""
        self._live.console.print(f"warning   {text}", markup=False, highlight=False)

    def stopping(self, reason: str = "") -> None:
        """Say that the stop is under way, above the table."""
        self._live.console.print(_stopping_text(reason), markup=False, highlight=False)

    def _say(self, *lines: str) -> None:
        if not self._live.is_started:
            super()._say(*lines)

    def _draw(self) -> None:
        self._live.update(self._render(), refresh=True)
        self._drawn = time.monotonic()

    def _render(self) -> RenderableType:
        table = Table(box=None, header_style="bold", pad_edge=False)
        for heading, justify in (("trial", "left"), ("state", "left"), ("epoch", "right"), ("Dice", "right")):
            table.add_column(heading, justify=justify)  # type: ignore[arg-type]  # a literal, seen as str
        table.add_column("best", justify="right")
        table.add_column("why", overflow="ellipsis", no_wrap=True)
        running = [line for line in self.board.lines.values() if line.state == "running"]
        for line in self.board.ended()[:_SHOWN_ENDED] + running:
            table.add_row(
                line.name,
                Text(line.state, style=_STYLES[line.state]),
                f"{line.epoch}/{self.board.epochs}",
                "" if line.dice is None else f"{line.dice:.4f}",
                f"{line.best:.4f}" if line.best >= 0 else "",
                line.cause,
            )
        return Group(table, Text(self.board.summary(), style="bold"))


def make_progress(console: Console | None = None) -> PlainProgress:
    """The display that fits the console; by default that of stdout, or of a notebook's cell."""
    console = console or Console()
    return LiveProgress(console) if console.is_terminal else PlainProgress(console)


def usual_listener(console: Console | None = None) -> Listener:
    """Plain lines in a notebook, whose cell would else be empty for hours; silence in a program.

    Args:
        console: says where we are; by default found out.
    """
    in_notebook = (console or Console()).is_jupyter
    return PlainProgress(Console(force_jupyter=False)) if in_notebook else Listener()


def _stopping_text(reason: str) -> str:
    return f"stopping, {reason}" if reason else "stopping; press Ctrl-C once more to stop at once"
