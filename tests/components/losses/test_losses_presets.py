"""Presets: each builds where it says, learns, stays finite on empty masks; contradictions are refused."""

from typing import Any

import pytest
import torch
from torch import nn

from components.errors import InvalidInputError
from components.losses import LossManager
from components.losses.inputs import MODES, Mode

FITTING = [(name, mode) for name, preset in LossManager.presets().items() for mode in preset.modes]
UNFIT = [(name, mode) for name, preset in LossManager.presets().items() for mode in MODES if mode not in preset.modes]


def batch(mode: Mode) -> tuple[torch.Tensor, torch.Tensor]:
    """Images whose brightness tells the class, and their masks."""
    generator = torch.Generator().manual_seed(0)
    classes = torch.zeros(2, 16, 16, dtype=torch.int64)
    classes[:, 4:12, 7:9] = 1
    classes[:, 2, 2:14] = 2
    images = classes.unsqueeze(1) + 0.3 * torch.randn(2, 1, 16, 16, generator=generator)
    if mode == "multiclass":
        return images, classes
    named = (1,) if mode == "binary" else (1, 2)
    return images, torch.stack([classes == index for index in named], 1).float()


def channels(mode: Mode) -> int:
    return {"binary": 1, "multilabel": 2, "multiclass": 3}[mode]


@pytest.mark.parametrize(("name", "mode"), FITTING)
def test_a_preset_teaches_a_small_network(name: str, mode: Mode) -> None:
    torch.manual_seed(0)
    images, target = batch(mode)
    model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, channels(mode), 3, padding=1))
    loss = LossManager.create_loss_function({"preset": name, "mode": mode})
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    values = []
    for _ in range(12):
        optimizer.zero_grad()
        value = loss(model(images), target)
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < values[0] - 0.02 * abs(values[0])


@pytest.mark.parametrize(("name", "mode"), FITTING)
@pytest.mark.parametrize("level", [-20.0, 0.0, 20.0])
def test_a_preset_is_finite_on_empty_masks(name: str, mode: Mode, level: float) -> None:
    loss = LossManager.create_loss_function({"preset": name, "mode": mode})
    logits = torch.full((2, channels(mode), 16, 16), level, requires_grad=True)
    value = loss(logits, torch.zeros_like(batch(mode)[1]))
    (gradient,) = torch.autograd.grad(value, logits)
    assert torch.isfinite(value)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("name", LossManager.presets())
def test_a_preset_says_what_it_is_and_its_weights_add_up_to_one(name: str) -> None:
    preset = LossManager.presets()[name]
    assert preset.name == name
    assert all((preset.summary, preset.reason, preset.source, preset.modes))
    assert sum(preset.config["weights"].values()) == pytest.approx(1)
    assert preset.config["weights"].keys() == preset.config["terms"].keys()


@pytest.mark.parametrize(("name", "mode"), UNFIT)
def test_a_preset_that_does_not_fit_the_mode_says_why(name: str, mode: Mode) -> None:
    with pytest.raises(InvalidInputError, match=rf"preset '{name}' is not for mode '{mode}': .+ Hint: use 'balanced'"):
        LossManager.create_loss_function({"preset": name, "mode": mode})


def test_presets_print_one_line_each() -> None:
    lines = str(LossManager.presets()).splitlines()
    assert len(lines) == len(LossManager.presets())
    assert lines[0] == "balanced: foreground and background of like size; where to start: 0.5 dice + 0.5 bce"
    assert lines[6] == "empty_masks: many images have no foreground at all: 0.5 dice(batch=True) + 0.5 bce"


def test_weights_beside_a_preset_change_those_of_its_terms() -> None:
    loss = LossManager.create_loss_function({"preset": "thin_structures", "weights": {"skeleton_recall": 0.5}})
    assert loss.weights == pytest.approx({"dice": 1 / 3, "bce": 1 / 3, "skeleton_recall": 0.5})


def test_a_preset_leaves_out_ignored_pixels() -> None:
    loss = LossManager.create_loss_function({"preset": "balanced", "ignore_index": 255})
    logits = torch.tensor([[[[3.0, -2.0]]]], requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(logits, torch.tensor([[[[1, 255]]]])), logits)
    assert gradient.flatten()[1] == 0
    assert gradient.flatten()[0] < 0


def test_changing_a_built_loss_does_not_change_the_preset() -> None:
    LossManager.create_loss_function({"preset": "balanced"}).weights = {"dice": 1.0}
    assert LossManager.create_loss_function({"preset": "balanced"}).weights == {"dice": 0.5, "bce": 0.5}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"preset": "thin_structure"}, "loss: preset: found 'thin_structure'.*did you mean 'thin_structures'"),
        ({"preset": 3}, "loss: preset: found 3"),
        ({"preset": "balanced", "type": "dice"}, "'type' beside preset 'balanced'.*Hint: keep one"),
        ({"preset": "balanced", "terms": {"dice": {}}}, "'terms' beside preset 'balanced'.*Hint: keep one"),
        ({"preset": "balanced", "dice_weight": 1.0}, "'dice_weight' beside preset 'balanced'"),
        ({"preset": "balanced", "weights": {"focal": 1.0}}, "weights of preset 'balanced': term: found 'focal'"),
        ({"preset": "balanced", "weights": [1.0]}, "loss: weights: found .*expected a mapping"),
        ({"preset": "balanced", "mode": "multi"}, "loss: mode: found 'multi'"),
        ({"preset": "balanced", "colour": 1}, "loss: key: found 'colour'"),
    ],
)
def test_contradictions_are_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        LossManager.create_loss_function(config)
