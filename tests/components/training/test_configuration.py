"""The sections `training` and `loss` are one thing in a study file and in a configuration in Python."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from components import TrainingConfiguration
from components.errors import InvalidInputError
from components.training_settings import TrainingSettings
from tuning.config import StudyConfig, TrainingConfig
from tuning.errors import StudyConfigError
from tuning.study_file import read_study_file

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.yaml"))
SEARCH = " Hint: choices and ranges belong to a study's search.space."
SAMPLES: tuple[Any, ...] = (
    *(-1, 0, 0.5, 1, 1.5, 2, True, None, "", "auto", "whole", "per_trial", "sgd", "cosine", "bf16", "eager"),
    *([], [64, 64], [0, 64], [64.0], float("nan"), {"a": 1}),
)


def accepted_by_a_study(section: str, settings: dict[str, Any]) -> bool:
    others = {"model": {"divisor": 1}, "data": {"build": "a:b"}, "scheduler": {"type": "none"}}
    try:
        StudyConfig.load({"name": "x", **others, section: settings})
    except StudyConfigError:
        return False
    return True


def accepted_alone(section: str, settings: dict[str, Any]) -> bool:
    try:
        TrainingConfiguration.from_mapping({section: settings})
    except InvalidInputError:
        return False
    return True


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_sections_of_every_example_load(path: Path, tmp_path: Path) -> None:
    study, text = read_study_file(path).settings, path.read_text(encoding="utf-8")
    alone = tmp_path / "training.yaml"  # with its text as it is: `1e-2` is a number there, too
    alone.write_text("\n".join(re.findall(r"^(?:training|loss):\n(?:  .*\n)+", text, flags=re.MULTILINE)))
    found, expected = TrainingConfiguration.load(alone), StudyConfig.load(study)
    assert vars(found.training) == expected.training.model_dump(exclude={"recipe"})
    assert found.loss.schedule == expected.loss.schedule


def test_names_and_defaults_are_those_of_a_study() -> None:
    of_study = TrainingConfig().model_dump()
    assert of_study.pop("recipe") is None  # it names the network too, which a configuration leaves to its user
    assert of_study == vars(TrainingSettings())


@pytest.mark.parametrize("name", sorted(TrainingConfig.model_fields.keys() - {"recipe"}))
def test_a_value_is_accepted_where_a_study_accepts_it(name: str) -> None:
    beside = {"crop": 32} if name == "foreground" else {}
    for value in SAMPLES:
        if name == "augment" and isinstance(value, str):
            continue  # a study looks at the name only with its data at hand
        settings = beside | {name: value}
        assert accepted_alone("training", settings) == accepted_by_a_study("training", settings), (name, value)


@pytest.mark.parametrize("settings", [{"policy": {"empty": "skip"}}, {"compile": True}, {"weights": {"dice": 1}}])
def test_a_loss_is_accepted_where_a_study_accepts_it(settings: dict[str, Any]) -> None:
    assert accepted_by_a_study("loss", settings)
    assert accepted_alone("loss", settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"policy": {"empty": "skipp"}},
        {"policy": {"blank": "skip"}},
        {"compile": "yes"},
        {"weights": {"dice": -1.0}},
        {"weights": {"dice": "1"}},
        {"weights": [1]},
        {"weights": {"dice": 0.0}},
        {"preset": "balanced", "terms": {"dice": {}}},
        {"schedule": "constant"},
    ],
)
def test_a_loss_is_refused_where_a_study_refuses_it(settings: dict[str, Any]) -> None:
    assert not accepted_by_a_study("loss", settings)
    assert not accepted_alone("loss", settings)


def test_a_policy_reaches_every_term_and_survives_a_file(tmp_path: Path) -> None:
    configuration = TrainingConfiguration.from_mapping(
        {"loss": {"policy": {"empty": "skip"}}, "training": {"crop": [32, 48], "seed": "per_trial", "compile": "eager"}}
    )
    configuration.save(tmp_path / "training.yaml")
    again = TrainingConfiguration.load(tmp_path / "training.yaml")
    assert again == configuration
    assert again.diff(TrainingConfiguration())["loss.policy"] == ({"empty": "skip"}, None)
    wrong, empty = torch.full((1, 1, 4, 4), 5.0), torch.zeros(1, 1, 4, 4)
    losses = [settings.loss.build() for settings in (again, TrainingConfiguration())]
    skipped, counted = (loss.breakdown(wrong, empty).terms["dice"] for loss in losses)
    assert skipped == 0 < counted


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"epochs": 2.5}, "training.epochs: found 2.5, must be an integer."),
        ({"batch": 1.5}, "training.batch: found 1.5, must be an integer."),
        ({"momentum": -0.1}, "training.momentum: found -0.1, must be at least 0."),
        ({"crop": [32, 0]}, "training.crop: found [32, 0], must be at least 1."),
        ({"foreground": 0.3}, "training.foreground: is of crops, and training.crop is not set. Hint: set it."),
        (
            {"lr": {"float": [1e-3, 1e-1]}},
            f"training.lr: found {{'float': [0.001, 0.1]}}, must be a finite number.{SEARCH}",
        ),
        ({"batch": [4, 8]}, f"training.batch: found [4, 8], must be an integer.{SEARCH}"),
    ],
)
def test_what_does_not_fit_is_said_with_setting_and_value(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        TrainingConfiguration.from_mapping({"training": settings})
    assert str(caught.value) == problem
