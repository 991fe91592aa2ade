"""A killed population ends as the uninterrupted one, however many of its trials run at a time."""

from pathlib import Path
from typing import Any

import pytest

from tests.faults import killing

pytestmark = [pytest.mark.timeout(600), pytest.mark.faults]
PBT = ("search.baselines=false", "scheduler={type: pbt, population: 3, interval: 2}")
TWO = (*PBT, "resources.concurrent=2")
PLACES = [
    "note_generation:1:after",  # decided, nothing copied
    "note_clone:1:before",  # copied and recorded, but for the journal
    "note_clone:3:after",
]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return killing.write_study_file(tmp_path_factory.mktemp("file"))


@pytest.fixture(scope="module")
def uninterrupted(file: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Any]]:
    study = tmp_path_factory.mktemp("whole") / "study"
    killing.finish(killing.start(file, study, *PBT))
    outcome = killing.outcome(study)
    assert sum(trial["cause"].count("from trial") for trial in outcome.values()) == 4  # two populations, epochs 2 and 4
    return outcome


@pytest.mark.parametrize("place", PLACES)
def test_a_population_killed_while_it_decides_ends_as_the_uninterrupted_one(
    file: Path, tmp_path: Path, uninterrupted: dict[int, dict[str, Any]], place: str
) -> None:
    process = killing.start(file, tmp_path / "study", *TWO, kill_at=place)
    process.communicate(timeout=120)
    assert process.returncode == -9
    check(file, tmp_path / "study", uninterrupted)


@pytest.mark.parametrize("epochs", [4, 9, 20])
def test_a_population_killed_at_any_moment_ends_as_the_uninterrupted_one(
    file: Path, tmp_path: Path, uninterrupted: dict[int, dict[str, Any]], epochs: int
) -> None:
    process = killing.start(file, tmp_path / "study", *TWO)
    killing.wait_for_epochs(process, tmp_path / "study", epochs)
    killing.kill_all(process)
    check(file, tmp_path / "study", uninterrupted)


def check(file: Path, study: Path, uninterrupted: dict[int, dict[str, Any]]) -> None:
    killing.finish(killing.start(file, study, *TWO))
    outcome = killing.outcome(study)
    assert list(outcome) == list(uninterrupted)
    for number, trial in uninterrupted.items():
        assert outcome[number] == trial, number
    killing.assert_no_orphans(study)
