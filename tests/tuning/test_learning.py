"""A network that cannot learn is named before the first trial, and a Dice that does not move while it runs."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks.toy import tiny_data
from search_spaces import Space
from tests.conftest import small_settings
from tuning import StudyConfig
from tuning.checks import check_study
from tuning.errors import StudyConfigError
from tuning.learning import final_activation, learning_notes
from tuning.listener import Listener
from tuning.record import TrialEntry
from tuning.stuck import StuckDice

HERE = "tests.tuning.test_learning"


def sigmoid_network(in_channels: int, out_channels: int, spatial_dims: int) -> nn.Module:
    del spatial_dims
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 3, padding=1), nn.Sigmoid())


class Squashed(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return 1 / (1 + torch.exp(-images))


def squashed_network(in_channels: int, out_channels: int, spatial_dims: int) -> nn.Module:
    del spatial_dims
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 3, padding=1), Squashed())


def pooled_network(in_channels: int, out_channels: int, spatial_dims: int) -> nn.Module:
    del spatial_dims
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1),
        nn.AdaptiveAvgPool2d(1),
        nn.BatchNorm2d(out_channels),
        nn.Upsample((32, 32)),
    )


def settings(build: str, **changes: Any) -> StudyConfig:
    return StudyConfig.load(small_settings(model={"build": f"{HERE}:{build}"}, **changes))


@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        (torch.sigmoid, "sigmoid"),
        (lambda x: nn.functional.interpolate(torch.sigmoid(x), scale_factor=2, mode="bilinear"), "sigmoid"),
        (lambda x: torch.softmax(x, 1)[:, :1], "softmax"),
        (torch.relu, "ReLU"),
        (lambda x: 2 * torch.sigmoid(x) - 1, ""),
        (lambda x: x, ""),
    ],
)
def test_the_last_activation_is_found_behind_what_only_moves_values(activation: Any, expected: str) -> None:
    assert final_activation(activation(nn.Conv2d(1, 2, 1)(torch.randn(1, 1, 4, 4)))) == expected


def test_a_network_that_ends_in_a_sigmoid_is_refused_with_what_to_do() -> None:
    with pytest.raises(StudyConfigError, match=r"model\.build: .*ends in a sigmoid, .*Hint: return logits"):
        check_study(settings("sigmoid_network"), tiny_data())


def test_outputs_that_are_all_between_0_and_1_are_worth_a_warning() -> None:
    config, data = settings("squashed_network"), tiny_data()
    assert isinstance(check_study(config, data), Space)
    (note,) = learning_notes(config, data)
    assert "gives outputs that are all in [0, 1]" in note
    assert learning_notes(StudyConfig.load(small_settings()), data) == []


def test_a_last_batch_of_one_is_said_and_a_batch_of_one_refused_where_the_network_cannot_train_on_it() -> None:
    data = tiny_data()
    batch = len(data.train) - 1
    (note,) = learning_notes(settings("pooled_network", training={"batch": batch}), data)
    assert note.startswith(f"batches   {batch + 1} cases in batches of {batch} leave one case over")
    with pytest.raises(StudyConfigError, match=r"training\.batch: found 1, .*Hint: set training\.batch to 2 or more"):
        check_study(settings("pooled_network", training={"batch": 1}), data)


class Heard(Listener):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warned(self, text: str) -> None:
        self.warnings.append(text)


@pytest.mark.parametrize(
    ("dice", "state", "said"),
    [
        ([0.27, 0.27], "complete", "trial 3 had the same val_dice, 0.2700, in all 2 epochs: its masks do not change."),
        ([0.0, 0.0], "pruned", "trial 3 had the same val_dice, 0.0000, in all 2 epochs: it predicts nothing."),
        ([0.27], "complete", None),
        ([0.27, 0.28], "complete", None),
        ([0.27, 0.27], "failed", None),
    ],
)
def test_a_dice_that_never_moves_is_said_at_the_end_of_a_trial(dice: list[float], state: str, said: str | None) -> None:
    heard = Heard()
    watch = StuckDice(heard)
    for number in (3, 4):  # said once
        watch.trial_ended(TrialEntry(number, state, "", {}, dict(enumerate(dice, 1))))
    assert [text[: len(said or "")] for text in heard.warnings] == ([said] if said else [])


def test_a_dice_that_never_moves_is_said_while_the_trial_runs() -> None:
    heard = Heard()
    watch = StuckDice(heard)
    for epoch in range(1, 8):
        watch.epoch_done(0, {"epoch": epoch, "val_dice": 0.5})
    assert len(heard.warnings) == 1


def test_a_study_joins_the_batch_and_trains(tmp_path: Path, ray_session: None) -> None:
    del ray_session
    from tuning import Study  # noqa: PLC0415 - Ray is imported where it runs

    data = len(tiny_data().train)
    config = settings("pooled_network", training={"batch": data - 1, "epochs": 2}, search={"trials": 1})
    heard = Heard()
    result = Study(config, tmp_path / "study").run(heard)
    assert {trial.state for trial in result.trials} <= {"complete", "pruned"}
    assert heard.warnings
