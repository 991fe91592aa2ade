"""The journal in a database, in place of a file in the study directory."""

from collections.abc import Callable
from pathlib import Path

import optuna
import pytest

from reports import load_trials
from tuning import Study, StudyConfig
from tuning.errors import StudyMismatchError

pytestmark = pytest.mark.usefixtures("ray_session")
Make = Callable[..., StudyConfig]


@pytest.fixture
def config(study_config: Make, tmp_path: Path) -> StudyConfig:
    return study_config(search={"trials": 2}, storage={"url": f"sqlite:///{tmp_path / 'studies.db'}"})


def test_a_study_in_a_database_is_the_same_study(config: StudyConfig, study_config: Make, tmp_path: Path) -> None:
    in_database = Study(config, tmp_path / "database").run()
    in_file = Study(study_config(search={"trials": 2}), tmp_path / "file").run()
    assert not (tmp_path / "database" / "journal.log").exists()
    assert [trial.overrides for trial in in_database.trials] == [trial.overrides for trial in in_file.trials]
    assert [trial.dice for trial in in_database.trials[:4]] == [trial.dice for trial in in_file.trials[:4]]
    assert list(load_trials(tmp_path / "database")["number"]) == [-1, -2, -3, -4, 0, 1]
    theirs = optuna.load_study(study_name="small", storage=config.storage.url)
    assert len(theirs.trials) == 2
    assert Study(config, tmp_path / "database").run().trials == in_database.trials


def test_a_name_that_another_directory_has_in_the_database_is_refused(config: StudyConfig, tmp_path: Path) -> None:
    before = Study(config, tmp_path / "one").run().trials
    with pytest.raises(
        StudyMismatchError, match=r"storage\.url: the database holds a study 'small' of another directory"
    ):
        Study(config, tmp_path / "two").run()
    assert Study(config, tmp_path / "one").run().trials == before
