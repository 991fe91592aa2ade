"""Trials that print, raise and do what no study expects: each fails or goes on alone, with a clear reason."""

import ctypes
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from torch import Tensor, nn

from reports import StudyTables, write_report
from reports.files import write_tables
from reports.summary import conclusion_lines
from tests.commands import segtune_here
from tuning import Study, StudyConfig
from tuning.listener import Listener
from tuning.record import StudyDirectory, TrialEntry

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]
_BYTES = b"caf\xe9.png".decode("utf-8", "surrogateescape")


class NoText(Exception):  # noqa: N818 - as a stranger calls it
    def __str__(self) -> str:
        raise RuntimeError("no text")


def recurse() -> None:
    recurse()


def raise_(error: BaseException) -> None:
    raise error


class Nasty(nn.Conv2d):
    """Does what `mode` says in its second training step."""

    ACTS: ClassVar[dict[str, Callable[[], object]]] = {
        "prints bytes": lambda: sys.stdout.write(f"file {_BYTES}\n"),
        "prints much": lambda: [sys.stdout.write("x" * 1_000_000) for _ in range(100)],
        "closes stdout": lambda: sys.stdout.close(),  # noqa: PLW0108 - that of the moment
        "changes folder": lambda: os.chdir("/"),
        "raises bytes": lambda: raise_(ValueError(f"file {_BYTES}")),
        "raises escapes": lambda: raise_(ValueError("\x1b]0;TITLE\x07\x1b[2J\x1b[31mred <script>x</script>\r[fake]")),
        "raises much": lambda: raise_(ValueError("E" * 5_000_000)),
        "raises no text": lambda: raise_(NoText()),
        "recurses": recurse,
        "exits": lambda: sys.exit(3),
        "interrupts": lambda: raise_(KeyboardInterrupt()),
        "crashes": lambda: ctypes.string_at(0),
    }

    def __init__(self, in_channels: int, out_channels: int, spatial_dims: int, mode: str = "") -> None:
        del spatial_dims
        super().__init__(in_channels, out_channels, 3, padding=1)
        self.mode, self.steps = mode, 0

    def forward(self, images: Tensor) -> Tensor:
        self.steps += self.training
        if self.training and self.steps == 2 and self.mode:
            self.ACTS[self.mode]()
        return super().forward(images)


def nasty(study_config: Callable[..., StudyConfig], *modes: str) -> StudyConfig:
    points = [{"model.arguments.mode": mode} for mode in ("", *modes)]
    return study_config(
        model={"build": f"{__name__}:Nasty"},
        training={"epochs": 1},
        search={
            "trials": len(points),
            "baselines": False,
            "space": {"presets": [], "parameters": {"model.arguments.mode": {"choice": ["", *modes]}}},
            "try_first": points,
        },
        scheduler={"type": "none"},
        resources={"concurrent": 2, "retries": 0},
    )


def test_what_a_trial_prints_or_raises_costs_that_trial_alone(
    study_config: Callable[..., StudyConfig], folder: Path
) -> None:
    modes = list(Nasty.ACTS)
    result = Study(nasty(study_config, *modes), folder).run()
    study = StudyDirectory(folder)
    ends = {entry.settings["model.arguments.mode"]: (entry.state, entry.cause) for entry in result.trials}
    logs = {entry.settings["model.arguments.mode"]: study.trial(entry.number).log for entry in result.trials}
    good = ("", "prints bytes", "prints much", "closes stdout", "changes folder")
    assert [mode for mode, (state, _) in ends.items() if state == "complete"] == [m for m in ends if m in good]
    assert ends["raises bytes"][1].startswith(r"ValueError: file caf\xe9.png. Hint: it came from the network itself")
    assert ends["raises escapes"][1].startswith(r"ValueError: \x1b]0;TITLE\x07\x1b[2J\x1b[31mred <script>")
    assert "left out" in ends["raises much"][1]
    assert "NoText: (its text cannot be made: RuntimeError)" in ends["raises no text"][1]
    assert "RecursionError" in ends["recurses"][1]
    assert ends["exits"][1] == "the trial's code raised SystemExit, which ends a program: 3"
    assert "KeyboardInterrupt" in ends["interrupts"][1]
    assert "its worker died" in ends["crashes"][1]
    assert r"file caf\xe9.png" in logs["prints bytes"].read_text()
    assert "characters left out" in logs["prints much"].read_text()
    sizes = {mode: log.stat().st_size for mode, log in logs.items() if log.exists()}
    assert max(sizes.values()) < 1_000_000, sizes
    assert study.journal.stat().st_size < 200_000
    assert_harmless(folder)
    assert Study.open(folder).run().interrupted is False


def assert_harmless(folder: Path) -> None:
    """No file, table, page or line of a terminal holds a sequence that steers, or is large."""
    write_tables(folder)
    page = write_report(folder)
    lines = conclusion_lines(StudyDirectory(folder), [])
    said = segtune_here("status", str(folder)).stdout + "\n".join(lines)
    assert len(said) < 100_000
    assert "\x1b" not in said
    for path in [*folder.glob("report/*.csv"), *folder.glob("trials/*/*"), folder / "journal.log"]:
        assert b"\x1b" not in path.read_bytes(), path
    assert "<script>x" not in page.read_text(encoding="utf-8")
    assert len(StudyTables(folder).failures) == 8


class Failing(Listener):
    """Fails at a certain event."""

    def __init__(self, event: str, error: BaseException) -> None:
        self.event, self.error, self.heard = event, error, list[str]()

    def _hear(self, event: str) -> None:
        self.heard.append(event)
        if event == self.event:
            raise self.error

    def trial_started(self, number: int, baseline: str | None) -> None:
        self._hear("started")

    def epoch_done(self, number: int, row: dict[str, Any]) -> None:
        self._hear("epoch")

    def trial_ended(self, entry: TrialEntry) -> None:
        self._hear("ended")

    def tick(self) -> None:
        self._hear("tick")

    def close(self) -> None:
        self._hear("close")


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ("started", ZeroDivisionError("mine")),
        ("epoch", BrokenPipeError()),
        ("ended", SystemExit(1)),
        ("tick", UnicodeEncodeError("utf-8", "x", 0, 1, "no")),
        ("close", OSError("full")),
    ],
)
def test_a_listener_that_fails_is_left_out_once_and_the_study_goes_on(
    study_config: Callable[..., StudyConfig],
    folder: Path,
    caplog: pytest.LogCaptureFixture,
    event: str,
    error: BaseException,
) -> None:
    listener = Failing(event, error)
    config = study_config(training={"epochs": 1}, search={"trials": 2, "baselines": False})
    result = Study(config, folder).run(listener)
    assert {trial.state for trial in result.trials} == {"complete"}
    assert listener.heard[-1] == event
    assert caplog.text.count("Failing is left out from here on, the study goes on") == 1
