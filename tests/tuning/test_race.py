"""The race on a real Ray: who waits at a rung, who goes on, and that nothing is trained twice."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reports import StudyTables
from reports.summary import status_lines
from tuning import Study, StudyConfig
from tuning.errors import StudyConfigError
from tuning.record import StudyDirectory, TrialEntry

Make = Callable[..., StudyConfig]
pytestmark = pytest.mark.usefixtures("ray_session")


def race(**scheduler: Any) -> dict[str, Any]:
    return {
        "training": {"epochs": 6},
        "search": {"trials": 5, "sampler": "random", "baselines": ["dice", "dice_bce"]},
        "scheduler": {"type": "race", "grace": 1, "reduction": 2, **scheduler},
    }


def expected(trials: list[TrialEntry], rungs: dict[int, int]) -> dict[int, set[int]]:
    """Who goes on from each rung by their Dice there: so many of the drawn trials."""
    drawn = {trial.number: trial.dice for trial in trials if trial.number >= 0}
    gone_on = {}
    for rung, count in rungs.items():
        drawn = {number: dice for number, dice in drawn.items() if rung in dice}
        ranked = sorted(drawn, key=lambda number: (-drawn[number][rung], number))
        gone_on[rung] = set(ranked[:count])
        drawn = {number: drawn[number] for number in ranked[:count]}
    return gone_on


def test_the_best_go_on_from_where_they_stand_and_baselines_always_do(study_config: Make, folder: Path) -> None:
    trials = Study(study_config(**race()), folder).run().trials
    study = StudyDirectory(folder)
    ends = {trial.number: max(trial.dice) for trial in trials}
    assert ends[-1] == ends[-2] == 6
    assert sorted(end for number, end in ends.items() if number >= 0) == [1, 1, 2, 4, 6]
    for rung, gone_on in expected(trials, {1: 3, 2: 2, 4: 1}).items():
        assert {number for number, end in ends.items() if number >= 0 and end > rung} == gone_on
    for trial in trials:
        assert sorted(trial.dice) == list(range(1, ends[trial.number] + 1))
        assert {epoch: row["val_dice"] for epoch, row in study.trial(trial.number).epochs().items()} == trial.dice
        if ends[trial.number] < 6:
            assert trial.state == "pruned"
            assert trial.cause.startswith(f"not promoted at epoch {ends[trial.number]}: Dice ")
        else:
            assert (trial.state, trial.cause) == ("complete", "budget of 6 epochs reached")
    assert [event["event"] for event in study.attempts()] == ["start", "end"]
    logs = "".join(path.read_text() for path in folder.glob("trials/*/log.txt"))
    assert logs.count("going on after epoch") == 2 * 3 + 3 + 2 + 1  # each from the checkpoint of its rung
    assert status_lines(StudyTables(folder), running=False)[2] == "trials    4 pruned, 3 complete"


def test_more_survivors_and_more_trials_later(study_config: Make, folder: Path) -> None:
    study = Study(study_config(**race(survivors=2)), folder)
    ends = {trial.number: max(trial.dice) for trial in study.run().trials}
    assert sorted(end for number, end in ends.items() if number >= 0) == [1, 1, 2, 6, 6]
    again = {trial.number: max(trial.dice) for trial in study.extend(2).trials}
    assert {number: end for number, end in again.items() if number in ends} == ends
    assert {again[5], again[6]} <= {1, 2, 4, 6}


def test_an_interrupted_race_decides_as_one_that_was_not(study_config: Make, tmp_path: Path) -> None:
    whole = Study(study_config(**race()), tmp_path / "whole").run().trials
    for epochs in (3, 9, 14, 20):  # of all trials together: within the first rung, at one, between two
        cut = Study(study_config(**race(), stop={"epochs": epochs}), tmp_path / "cut").run()
        assert cut.stopped.startswith("stop.epochs")
    ended = Study(study_config(**race()), tmp_path / "cut").run().trials
    assert [(t.number, t.state, t.dice) for t in ended] == [(t.number, t.state, t.dice) for t in whole]


def test_a_script_cannot_race() -> None:
    with pytest.raises(StudyConfigError, match=r"scheduler\.type: race pauses trials, and a script saves its"):
        StudyConfig.load({"name": "s", "script": {"path": "train.py"}, "scheduler": {"type": "race"}})
