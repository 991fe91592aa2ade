"""What a running study shows."""

from io import StringIO

import pytest
from rich.console import Console

from tuning.listener import Listener
from tuning.plan import Plan
from tuning.progress import LiveProgress, PlainProgress, make_progress, usual_listener
from tuning.record import Clone, TrialEntry

PLAN = Plan(total=3, finished=1, epochs=4, lines=("study     toy", "now       1 kept"))


def play(progress: PlainProgress) -> None:
    progress.planned(PLAN)
    progress.trial_started(-2, "dice")
    progress.epoch_done(-2, {"epoch": 1, "val_dice": 0.75})
    progress.tick()
    progress.trial_ended(TrialEntry(-2, "complete", "budget of 4 epochs reached", {}, {1: 0.75}, baseline="dice"))
    progress.trial_started(0, None)
    progress.epoch_done(0, {"epoch": 1, "val_dice": 0.5})
    progress.epoch_done(0, {"epoch": 2, "val_dice": 0.25})
    progress.trial_ended(TrialEntry(0, "pruned", "asha at epoch 2", {}, {1: 0.5, 2: 0.25}))
    progress.close()


def test_without_a_terminal_each_event_is_a_plain_line() -> None:
    text = StringIO()
    progress = make_progress(Console(file=text, width=200))
    assert type(progress) is PlainProgress
    play(progress)
    assert text.getvalue().splitlines() == [
        "study     toy",
        "now       1 kept",
        "baseline dice started",
        "[2/3] baseline dice complete, best Dice 0.7500 (best so far); budget of 4 epochs reached",
        "trial 0 started",
        "[3/3] trial 0 pruned, best Dice 0.5000; asha at epoch 2",
    ]


def test_a_terminal_shows_a_table_with_the_best_first() -> None:
    text = StringIO()
    progress = make_progress(Console(file=text, force_terminal=True, width=120, color_system=None))
    assert isinstance(progress, LiveProgress)
    play(progress)
    last = text.getvalue().rpartition("trial ")[0].rpartition("state")[2] + text.getvalue().rpartition("state")[2]
    assert "baseline dice  complete    1/4  0.7500  0.7500  budget of 4 epochs reached" in last
    assert "trial 0        pruned      2/4  0.2500  0.5000  asha at epoch 2" in last
    assert "3/3 done · 1 complete, 1 pruned · best 0.7500 (baseline dice)" in last


@pytest.mark.parametrize("kind", [PlainProgress, LiveProgress])
def test_a_worker_that_died_is_told(kind: type[PlainProgress]) -> None:
    text = StringIO()
    progress = kind(Console(file=text, width=120))
    progress.trial_started(0, None)
    progress.trial_ended(TrialEntry(0, "running", "", {}, {}, deaths=1))
    assert "trial 0 lost its worker and will go on" in text.getvalue()


@pytest.mark.parametrize("kind", [PlainProgress, LiveProgress])
def test_a_worker_that_died_before_its_trial_started_is_told(kind: type[PlainProgress]) -> None:
    text = StringIO()
    progress = kind(Console(file=text, width=120))
    progress.trial_ended(TrialEntry(-1, "running", "", {}, {}, deaths=1, baseline="dice"))
    progress.trial_started(-1, "dice")
    assert text.getvalue().splitlines() == ["baseline dice lost its worker and will go on", "baseline dice goes on"]


def test_a_notebook_hears_plain_lines_and_a_program_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert type(usual_listener(Console(force_jupyter=False))) is Listener
    progress = usual_listener(Console(force_jupyter=True))
    assert isinstance(progress, PlainProgress)
    play(progress)
    assert capsys.readouterr().out.splitlines()[-1] == "[3/3] trial 0 pruned, best Dice 0.5000; asha at epoch 2"


def test_a_trial_that_takes_over_another_says_whose_and_goes_on() -> None:
    text = StringIO()
    progress = PlainProgress(Console(file=text, width=120))
    progress.trial_started(0, None)
    progress.epoch_done(0, {"epoch": 1, "val_dice": 0.5})
    progress.trial_cloned(Clone(0, 1, 3, 0.5, {}, {}))
    progress.trial_started(0, None)
    assert text.getvalue().splitlines() == [
        "trial 0 started",
        "trial 0 takes over, from trial 3's checkpoint of epoch 1",
        "trial 0 goes on",
    ]
    assert progress.board.lines[0].best == 0.5
