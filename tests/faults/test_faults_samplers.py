"""Every sampler and every scheduler survives kill -9 of the driver: the study ends as the uninterrupted one."""

from pathlib import Path

import pytest

from tests.faults import killing

pytestmark = [pytest.mark.timeout(600), pytest.mark.faults]
VARIANTS = {
    "random": ["search.sampler=random"],
    "gp": ["search.sampler=gp", "search.startup_trials=2"],
    "qmc": ["search.sampler=qmc"],
    "grid": ["search.sampler=grid", "search.space={parameters: {training.batch: {int: [1, 6]}}}"],
    "median": ["scheduler.type=median"],
    "hyperband": ["scheduler.type=hyperband"],
    "none": ["scheduler.type=none", "search.try_first=[{training.lr: 0.01}]"],
    "best": ["scheduler.score=best"],
    "smoothed": ["scheduler.score=smoothed", "search.constraints=['val_dice >= 0.3']"],
    "nsga2": ["search.sampler=nsga2", "search.objectives={val_dice: maximize, train_loss: minimize}"],
}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return killing.write_study_file(tmp_path_factory.mktemp("file"))


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_killed_study_ends_as_the_uninterrupted_one(file: Path, tmp_path: Path, variant: str) -> None:
    settings = ["search.baselines=false", *VARIANTS[variant]]
    killing.finish(killing.start(file, tmp_path / "whole", *settings))
    process = killing.start(file, tmp_path / "study", *settings)
    killing.wait_for_epochs(process, tmp_path / "study", 9)
    killing.kill_all(process)
    killing.finish(killing.start(file, tmp_path / "study", *settings))
    assert killing.outcome(tmp_path / "study") == killing.outcome(tmp_path / "whole")
    killing.assert_no_orphans(tmp_path / "study")
