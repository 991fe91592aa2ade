"""kill -9 of the driver and all of Ray, then the same command: nothing lost, nothing doubled, the same numbers."""

import random
import time
from pathlib import Path
from typing import Any

import pytest

from tests.faults import killing

TOTAL_EPOCHS = 4 * 6 + 6  # the baselines' budget, and at least one epoch of each trial
PLACES = [
    "append_line:3:after",  # between the row of an epoch and its journal entry
    "report:9:after",  # between the journal entry and the index of its checkpoint
    "report:26:after",  # before ASHA's stop is noted
    "note_stop:1:after",  # decided, not yet told
    "note_stop:6:after",
    "finish:5:before",
    "finish:6:after",  # told, old checkpoints not yet removed
    "ask:2:after",  # a trial without parameters
    "set_overrides:3:after",
    "new_baseline:2:before",
    "replace_text:4:before",
    "prune:7:before",
]

pytestmark = pytest.mark.timeout(600)


def check(file: Path, study: Path, uninterrupted: dict[int, dict[str, Any]]) -> None:
    killing.finish(killing.start(file, study))
    killing.assert_tune_agrees(study)
    outcome = killing.outcome(study)
    assert list(outcome) == list(uninterrupted)
    for number, trial in uninterrupted.items():
        assert outcome[number] == trial, number
    killing.assert_no_orphans(study)


def kill_at_moments(file: Path, study: Path, moments: list[int]) -> None:
    pause = random.Random(sum(moments))
    for epochs in moments:
        process = killing.start(file, study)
        killing.wait_for_epochs(process, study, epochs)
        time.sleep(pause.uniform(0, 0.1))
        killing.kill_all(process)


def test_a_study_killed_twice_ends_as_the_uninterrupted_one(
    file: Path, tmp_path: Path, uninterrupted: dict[int, dict[str, Any]]
) -> None:
    kill_at_moments(file, tmp_path / "study", [8, 26])
    check(file, tmp_path / "study", uninterrupted)


@pytest.mark.faults
def test_a_study_killed_between_journal_and_index_ends_as_the_uninterrupted_one(
    file: Path, tmp_path: Path, uninterrupted: dict[int, dict[str, Any]]
) -> None:
    killed_at(file, tmp_path / "study", "report:9:after")
    check(file, tmp_path / "study", uninterrupted)


def killed_at(file: Path, study: Path, place: str) -> None:
    process = killing.start(file, study, kill_at=place)
    process.communicate(timeout=120)
    assert process.returncode == -9, f"{place} was not reached"


@pytest.mark.faults
@pytest.mark.parametrize("epochs", [1, 5, 12, 20, 27])
def test_a_study_killed_at_any_moment_ends_as_the_uninterrupted_one(
    file: Path, tmp_path: Path, uninterrupted: dict[int, dict[str, Any]], epochs: int
) -> None:
    kill_at_moments(file, tmp_path / "study", [epochs])
    check(file, tmp_path / "study", uninterrupted)


@pytest.mark.faults
@pytest.mark.parametrize("epochs", [3, 15, 27])
def test_with_two_trials_at_a_time_none_is_lost_or_doubled_and_every_epoch_is_the_same(
    file: Path, tmp_path: Path, uninterrupted: dict[int, dict[str, Any]], epochs: int
) -> None:
    study, two = tmp_path / "study", ("search.sampler=random", "resources.concurrent=2")
    process = killing.start(file, study, *two)
    killing.wait_for_epochs(process, study, epochs)
    killing.kill_all(process)
    killing.finish(killing.start(file, study, *two))
    outcome = killing.outcome(study)
    assert list(outcome) == list(uninterrupted)
    for number in (-1, -2, -3, -4):
        assert outcome[number] == uninterrupted[number]
    for trial in outcome.values():
        assert trial["state"] in ("complete", "pruned")
        assert list(trial["dice"]) == list(range(1, len(trial["dice"]) + 1))
        assert [row["val_dice"] for row in trial["rows"]] == list(trial["dice"].values())
    killing.assert_no_orphans(study)


@pytest.mark.faults
def test_a_study_killed_again_and_again_ends_as_the_uninterrupted_one(
    file: Path, tmp_path: Path, uninterrupted: dict[int, dict[str, Any]]
) -> None:
    kill_at_moments(file, tmp_path / "study", list(range(2, TOTAL_EPOCHS, 5)))
    check(file, tmp_path / "study", uninterrupted)


@pytest.mark.faults
@pytest.mark.parametrize("place", PLACES)
def test_a_study_killed_at_any_line_of_its_recording_ends_as_the_uninterrupted_one(
    file: Path, tmp_path: Path, uninterrupted: dict[int, dict[str, Any]], place: str
) -> None:
    killed_at(file, tmp_path / "study", place)
    check(file, tmp_path / "study", uninterrupted)
