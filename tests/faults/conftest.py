"""What the tests of killed studies share: the study file, and what the study comes to without a kill."""

from pathlib import Path
from typing import Any

import pytest

from tests.faults import killing


@pytest.fixture(scope="session")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return killing.write_study_file(tmp_path_factory.mktemp("file"))


@pytest.fixture(scope="session")
def uninterrupted(file: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Any]]:
    study = tmp_path_factory.mktemp("whole") / "study"
    killing.finish(killing.start(file, study))
    outcome = killing.outcome(study)
    assert list(outcome) == [-1, -2, -3, -4, 0, 1, 2, 3, 4, 5]
    assert {trial["state"] for trial in outcome.values()} == {"complete", "pruned"}
    return outcome
