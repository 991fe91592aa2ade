"""A study killed while its finalists are trained or tested ends as the uninterrupted one."""

from pathlib import Path
from typing import Any

import pytest

from tests.faults import killing
from tuning.record import StudyDirectory

pytestmark = [pytest.mark.timeout(600), pytest.mark.faults]
WITH_FINALISTS = ("search.trials=2", "finalists={top: 1, seeds: 2}")


def outcome(study: Path) -> tuple[dict[int, dict[str, Any]], list[str]]:
    again = StudyDirectory(study).finalists
    tested = [again.trial(number).held_out.read_text() for number in (-1, -2, -3, -4)]
    return killing.outcome(again.root), tested


@pytest.fixture(scope="module")
def without_a_kill(file: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[int, dict[str, Any]], list[str]]:
    study = tmp_path_factory.mktemp("whole") / "study"
    killing.finish(killing.start(file, study, *WITH_FINALISTS))
    found = outcome(study)
    assert list(found[0]) == [-1, -2, -3, -4]
    assert all(found[1])
    return found


@pytest.mark.parametrize("epochs", [4, 20])
def test_killed_finalists_go_on_and_end_as_the_uninterrupted_ones(
    file: Path, tmp_path: Path, without_a_kill: tuple[dict[int, dict[str, Any]], list[str]], epochs: int
) -> None:
    again = StudyDirectory(tmp_path / "study").finalists
    process = killing.start(file, tmp_path / "study", *WITH_FINALISTS)
    killing.wait_for_epochs(process, again.root, epochs)
    killing.kill_all(process)
    said = killing.finish(killing.start(file, tmp_path / "study", *WITH_FINALISTS))
    assert "claim     " in said
    assert outcome(tmp_path / "study") == without_a_kill
    killing.assert_no_orphans(again.root)
