"""Cross-validation: a trial trains a fold at a time, and its objective is the mean over the folds so far."""

import shutil
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from components.checkpoints import CheckpointRecord, verify_checkpoint
from reports import load_trials
from tests.folders import png_folder
from tuning import Study, StudyConfig
from tuning.data import describe_data, load_data
from tuning.export import export_trial
from tuning.network_task import NetworkTask
from tuning.record import StudyDirectory
from tuning.store import TuneStore
from tuning.trial import Shared, trial_epochs

Make = Callable[..., StudyConfig]
EPOCHS, FOLDS = 3, 2


@pytest.fixture
def config(study_config: Make, tmp_path: Path) -> StudyConfig:
    return study_config(
        data={"root": str(png_folder(tmp_path / "discs")), "folds": FOLDS, "build": None},
        training={"epochs": EPOCHS},
        search={"trials": 2, "baselines": False},
        resources={"concurrent": 1},
    )


def train(config: StudyConfig, folder: Path, *, epochs: int | None = None) -> list[dict[str, Any]]:
    """Rows of trial 0 from the last checkpoint kept in `folder` on; its checkpoints are kept there."""
    folder.mkdir(exist_ok=True)
    records: list[CheckpointRecord] = [verify_checkpoint(path) for path in sorted(folder.glob("epoch_*"))]
    store = TuneStore(folder / "staging", records)
    shared = Shared(config, NetworkTask(load_data(config.data)), str(folder))
    rows = []
    for row, *_ in islice(trial_epochs({"number": 0, "overrides": {}, "checkpoints": []}, shared, store), epochs):
        if store.staged:
            shutil.copytree(store.staged.path, folder / f"epoch_{row['epoch']:03d}", dirs_exist_ok=True)
        rows.append({name: value for name, value in row.items() if name != "seconds"})
    return rows


def test_every_case_is_validated_in_one_fold_and_test_stays_apart(config: StudyConfig) -> None:
    folds = load_data(config.data)
    assert len(folds) == FOLDS
    validated = [case for fold in folds for case in fold.val.cases]
    assert len(validated) == len(set(validated)) == 8
    for fold in folds:
        assert set(fold.train.cases) == set(validated) - set(fold.val.cases)
        assert not set(fold.test.cases) & set(validated)
    assert (describe_data(folds)["folds"], describe_data(folds)["cases"]) == (FOLDS, {"folds": [4, 4], "test": 2})
    assert describe_data(folds)["fingerprint"] != folds[0].fingerprint


def test_the_objective_is_the_mean_of_the_best_of_each_fold_so_far(config: StudyConfig, tmp_path: Path) -> None:
    rows = train(config, tmp_path / "trial")
    assert [(row["epoch"], row["fold"], row["fold_epoch"]) for row in rows] == [
        (1, 1, 1),
        (2, 1, 2),
        (3, 1, 3),
        (4, 2, 1),
        (5, 2, 2),
        (6, 2, 3),
    ]
    dice = [row["fold_dice"] for row in rows]
    for index, row in enumerate(rows):
        so_far = [max(part) for part in (dice[:EPOCHS][: index + 1], dice[EPOCHS : index + 1]) if part]
        assert row["val_dice"] == fmean(so_far)
    assert rows[0]["lr"] == rows[EPOCHS]["lr"]  # each fold starts anew


@pytest.mark.parametrize("stopped_after", [1, 3, 4, 5])
def test_a_fold_that_was_interrupted_goes_on_as_if_it_had_not_been(
    config: StudyConfig, tmp_path: Path, stopped_after: int
) -> None:
    whole = train(config, tmp_path / "whole")
    first = train(config, tmp_path / "parts", epochs=stopped_after)
    rest = train(config, tmp_path / "parts")
    assert rest[0]["epoch"] <= stopped_after + 1
    again = {row["epoch"]: row for row in (*first, *rest)}
    assert [again[epoch] for epoch in sorted(again)] == whole


@pytest.mark.usefixtures("ray_session")
def test_a_study_with_folds_ranks_by_the_mean_and_hands_over_the_best_fold(
    config: StudyConfig, folder: Path, tmp_path: Path
) -> None:
    result = Study(config, folder).run()
    for trial in result.trials:
        rows = StudyDirectory(folder).trial(trial.number).epochs()
        last = rows[max(rows)]
        assert trial.best == (last["epoch"], last["val_dice"])
        if trial.state == "complete":
            assert last["epoch"] == EPOCHS * FOLDS
            bests = [max(row["fold_dice"] for row in rows.values() if row["fold"] == fold) for fold in (1, 2)]
            assert last["val_dice"] == fmean(bests)
        line = StudyDirectory(folder).trial(trial.number).best_checkpoint()
        assert line is not None
        assert line["dice"] == max(row["fold_dice"] for row in rows.values())
    assert load_trials(folder)["best_dice"].tolist() == [trial.best[1] for trial in result.trials if trial.best]
    export = export_trial(folder, tmp_path / "out")
    assert export.check["equal_masks"] == export.check["cases"] == 4
    assert export.check["dice"]["again"] == export.check["dice"]["recorded"]
