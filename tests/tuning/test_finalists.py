"""Finalists: which settings are trained again, with which seeds, and what they score on cases held out."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from reports import StudyTables, read_finalists, report_html
from tests.conftest import small_settings
from tests.toys import network, tiny_data
from tuning import Study, StudyConfig
from tuning.config import RetrainConfig
from tuning.errors import StudyConfigError
from tuning.finalists import finalists_config, given_trials
from tuning.record import StudyDirectory, open_journal
from tuning.record.retraining import retrainings

SETTINGS: dict[str, dict[str, Any]] = {
    "trial 3": {"training.lr": 0.1},
    "baseline dice": {"loss.weights": {"dice": 1.0}},
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, ray_session: None) -> Study:
    """A study that was searched, and its finalists."""
    del ray_session
    settings = small_settings(search={"trials": 3, "seed": 4}, training={"epochs": 2, "precision": "fp32"})
    found = Study(StudyConfig.load(settings), tmp_path_factory.mktemp("finalists") / "study")
    found.run()
    found.finalists(top=2, seeds=2)
    return found


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_setting_is_trained_with_each_seed() -> None:
    config = RetrainConfig(settings=SETTINGS, seeds=[1001, 1002], baseline="baseline dice")
    assert [(item.number, item.setting, item.seed) for item in retrainings(SETTINGS, [1001, 1002])] == [
        (-1, "trial 3", 1001),
        (-2, "baseline dice", 1001),
        (-3, "trial 3", 1002),
        (-4, "baseline dice", 1002),
    ]
    assert given_trials(config)[2].name == "trial 3, seed 1002"
    assert given_trials(config)[2].overrides == {"training.lr": 0.1, "training.seed": 1002}


def test_the_best_of_the_search_and_the_best_baseline_are_trained_again_beside_the_search(study: Study) -> None:
    entries = open_journal(study.directory).trials()
    ranked = sorted((entry for entry in entries if entry.best), key=lambda entry: -entry.best[1] if entry.best else 0)
    best = [entry.number for entry in ranked if entry.number >= 0][:2]
    usual = next(entry for entry in ranked if entry.number < 0)
    again = open_journal(study.directory.finalists).trials()
    config = RetrainConfig.model_validate(study.directory.finalists.read()["settings"]["retrain"])
    assert list(config.settings) == [*(f"trial {number}" for number in best), f"baseline {usual.baseline}"]
    assert config.settings[config.baseline] == usual.overrides
    assert config.searched[config.baseline] == (usual.best or (0, None))[1]
    assert [entry.state for entry in again] == ["complete"] * 6
    assert all(list(entry.dice) == [1, 2] for entry in again)
    assert [entry.number for entry in entries] == [-1, -2, -3, -4, 0, 1, 2]  # the search knows nothing of them


def test_a_finalist_is_scored_on_the_test_cases_with_its_best_checkpoint(study: Study) -> None:
    data, again = tiny_data(), study.directory.finalists
    best = again.trial(-1).best_checkpoint()
    assert best is not None
    model = network(1, 1, 2)
    model.load_state_dict(load_file(again.root / best["path"] / "model.safetensors"))
    model.eval()
    rows = rows_of(again.trial(-1).held_out)
    assert [row["case"] for row in rows] == list(data.test.cases)
    for row, image, mask in zip(rows, data.test.images, data.test.masks, strict=True):
        with torch.no_grad():
            predicted = model(torch.from_numpy(np.asarray(image))[None])[0, 0].numpy() > 0
        truth = np.asarray(mask).reshape(predicted.shape) > 0
        assert row["dice"] == pytest.approx(2 * (predicted & truth).sum() / (predicted.sum() + truth.sum()), abs=1e-6)


def test_run_again_nothing_is_trained_or_tested_again(study: Study) -> None:
    again = study.directory.finalists
    path = again.trial(-2).held_out
    before = path.read_text()
    path.write_text(before + "\n")
    try:
        study.finalists(top=2, seeds=2)
        assert path.read_text() == before + "\n"
        assert len([event for event in again.attempts() if event["event"] == "start"]) == 1
    finally:
        path.write_text(before)


def test_the_report_compares_what_was_tested(study: Study) -> None:
    found = read_finalists(StudyTables(study.directory.root))
    assert found is not None
    assert len(found.scores) == 6 * 3
    assert set(found.scores["seed"]) == {1001, 1002}
    assert found.retrained is not None
    assert len(found.retrained) == 6  # the search averages each training itself
    assert "no claim is made on 3 independent groups" in found.lines()[-1]
    page = report_html(study.directory.root)
    assert "Trained again" in page
    assert found.conclude().sentence in page


def test_others_than_were_chosen_are_refused(study: Study) -> None:
    with pytest.raises(StudyConfigError, match="was made for top 2 with 2 seeds"):
        study.finalists(top=1, seeds=2)


def test_finalists_are_not_extended(study: Study) -> None:
    with pytest.raises(StudyConfigError, match="none is drawn"):
        Study.open(study.directory.finalists.root).extend(1)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"data": {"cases": {"train": 4, "val": 2, "test": 0}}}, "the data have no test split"),
        ({"settings": {"script": {"path": "own.py"}}}, "only the script knows its test data"),
        ({}, "has a Dice. Hint: look at segtune status"),
    ],
)
def test_what_cannot_be_tested_is_refused(tmp_path: Path, changes: dict[str, Any], found: str) -> None:
    record = {"settings": StudyConfig.load(small_settings()).model_dump(), "data": {"cases": {"test": 3}}}
    for section, values in changes.items():
        record[section] = {**record[section], **values}
    directory = StudyDirectory(tmp_path)
    directory.create(yaml.safe_load(yaml.safe_dump(record)))
    with pytest.raises(StudyConfigError, match=found):
        finalists_config(directory, 3, 5)
