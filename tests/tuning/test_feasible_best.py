"""A trial that breaks a constraint is never called the best while another one keeps to it."""

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from reports import StudyTables, load_trials
from reports.sentences import best_of
from reports.summary import conclusion_lines, status_lines
from tests.report_studies import StudyWriter, checkpoint_path
from tuning import StudyConfig
from tuning.engine import StopFlag
from tuning.listener import Listener
from tuning.plan import Plan
from tuning.progress import make_progress
from tuning.record import StudyDirectory, TrialEntry
from tuning.results import best_trial, trials_html
from tuning.retention import GIB, over_budget
from tuning.stop_rules import StopRules

BROKEN = ("seconds 9, must be <= 5",)
INFEASIBLE = TrialEntry(0, "complete", "", {}, {1: 0.9}, infeasible=BROKEN)
FEASIBLE = TrialEntry(1, "complete", "", {}, {1: 0.6})


@pytest.fixture
def study(tmp_path: Path) -> StudyDirectory:
    writer = StudyWriter(tmp_path / "study", epochs=1)
    writer.add([0.9], more={"infeasible": BROKEN})
    writer.add([0.6])
    writer.add([0.5])
    writer.add([0.6])  # of equal ones the first is the best, wherever it is said
    return StudyDirectory(writer.write())


def test_the_best_trial_keeps_to_the_constraints(study: StudyDirectory) -> None:
    best = best_trial(study)
    assert best is not None
    assert (best.number, best.dice) == (1, 0.6)
    html = trials_html(study, "written")
    assert html.startswith("<p>written: 4 complete</p>")
    assert html.index("0.6") < html.index("0.5") < html.index("0.9")
    trials = load_trials(study.root)
    assert list(trials["infeasible"]) == [*BROKEN, "", "", ""]
    assert best_of(trials, baseline=False).number == 1
    assert "best      trial 1: Dice 0.6000 at epoch 1" in status_lines(StudyTables(study.root), running=False)
    assert "best      trial 1: Dice 0.6000 at epoch 1" in conclusion_lines(study, [])
    assert trials["cause"][0] == f"budget reached; infeasible: {BROKEN[0]}"


def test_where_none_keeps_to_them_the_best_is_still_named(tmp_path: Path) -> None:
    writer = StudyWriter(tmp_path / "study", epochs=1)
    writer.add([0.9], more={"infeasible": BROKEN})
    best = best_trial(StudyDirectory(writer.write()))
    assert best is not None
    assert best.number == 0


def test_the_progress_names_a_feasible_one() -> None:
    text = StringIO()
    progress = make_progress(Console(file=text, width=200))
    progress.planned(Plan(total=2, finished=0, epochs=1, lines=()))
    for entry in (FEASIBLE, INFEASIBLE):
        progress.trial_started(entry.number, None)
        progress.epoch_done(entry.number, {"epoch": 1, "val_dice": entry.dice[1]})
        progress.trial_ended(entry)
    assert "(best so far)" not in text.getvalue().splitlines()[-1]
    assert progress.board.summary() == "2/2 done · 2 complete · best 0.6000 (trial 1)"
    assert [line.name for line in progress.board.ended()] == ["trial 1", "trial 0"]


def test_the_feasible_best_keeps_its_checkpoint(study: StudyDirectory) -> None:
    for number in (0, 1):
        (study.root / checkpoint_path(number, 1)).mkdir(parents=True)
    given_up = over_budget(study, [INFEASIBLE, FEASIBLE], max_gib=1 / GIB)
    assert [line["path"] for line in given_up] == [checkpoint_path(0, 1)]


@pytest.mark.parametrize(("entry", "reached"), [(INFEASIBLE, False), (FEASIBLE, True)])
def test_only_a_feasible_trial_reaches_the_target(tmp_path: Path, entry: TrialEntry, reached: bool) -> None:  # noqa: FBT001
    settings = {"name": "x", "data": {"root": "x"}, "stop": {"dice": 0.5}, "search": {"constraints": ["seconds <= 5"]}}
    stop = StopFlag()
    rules = StopRules(StudyConfig.load(settings), StudyDirectory(tmp_path), [], stop, Listener())
    rules.epoch_done(entry.number, {"epoch": 1, "val_dice": entry.dice[1], "seconds": 1.0})
    assert not stop.is_set  # whether it counts is not known yet
    rules.trial_ended(entry)
    assert stop.is_set == reached


def test_an_infeasible_trial_is_no_gain(tmp_path: Path) -> None:
    settings = {"name": "x", "data": {"root": "x"}, "stop": {"plateau": 1}, "search": {"constraints": ["seconds <= 5"]}}
    stop, better = StopFlag(), TrialEntry(2, "complete", "", {}, {1: 0.95}, infeasible=BROKEN)
    rules = StopRules(StudyConfig.load(settings), StudyDirectory(tmp_path), [INFEASIBLE, FEASIBLE], stop, Listener())
    rules.trial_ended(better)
    assert stop.reason == "stop.plateau: 1 trials since trial 1 brought no gain over its Dice 0.6000"
