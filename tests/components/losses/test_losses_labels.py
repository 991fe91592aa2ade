"""Target values that are no labels are refused, with the value found and the range."""

from typing import Any

import pytest
import torch
from torch import Tensor

from components.errors import InvalidInputError
from components.losses import LossManager
from components.losses.kinds import build_term, built_in, kinds

IMAGE = torch.zeros(1, 1, 2, 2)
CLASSES = torch.zeros(1, 3, 2, 2)


@pytest.mark.parametrize("kind", kinds())
def test_every_kind_refuses_what_is_no_label(kind: str) -> None:
    with pytest.raises(InvalidInputError, match="target: found the label 3; expected 0 to 2, as there are 3 classes"):
        build_term(kind, "multiclass", {})(CLASSES, torch.tensor([[[0, 1], [2, 3]]]))
    if "binary" in built_in(kind).modes:
        with pytest.raises(InvalidInputError, match="target: found the value 255; expected values between 0 and 1"):
            build_term(kind, "binary", {})(IMAGE, torch.tensor([[[[0, 255], [0, 0]]]]))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int64, torch.float32])
@pytest.mark.parametrize(
    ("mode", "values", "message"),
    [
        ("binary", [0, 1, 2, 0], "found the value 2;.*mask > 0"),
        ("binary", [0, 1, -1, 0], "found the value -1;"),
        ("binary", [0.0, float("nan"), 0, 0], "found the value nan;"),
        ("multiclass", [0, 3, 1, 1], "found the label 3; expected 0 to 2"),
        ("multiclass", [0, -1, 1, 1], "found the label -1; expected 0 to 2.*Hint: pixels without a label"),
    ],
)
def test_the_error_names_the_value(mode: Any, values: list[float], message: str, dtype: torch.dtype) -> None:
    if (min(values) < 0 and dtype == torch.uint8) or (dtype.is_floating_point and mode == "multiclass"):
        return
    if values[1] != values[1] and not dtype.is_floating_point:
        return
    shape = (1, 2, 2) if mode == "multiclass" else (1, 1, 2, 2)
    loss = LossManager.create_loss_function({"mode": mode, "terms": {"dice": {}, "focal": {}}})
    with pytest.raises(InvalidInputError, match=message):
        loss(CLASSES if mode == "multiclass" else IMAGE, torch.tensor(values).to(dtype).reshape(shape))


def test_ignored_pixels_may_hold_any_value() -> None:
    target = torch.tensor([[[0, 1], [2, 255]]], dtype=torch.uint8)
    assert torch.isfinite(build_term("dice", "multiclass", {}, 255)(CLASSES, target))
    with pytest.raises(InvalidInputError, match="found the label 255"):
        build_term("dice", "multiclass", {})(CLASSES, target)


def test_a_target_is_looked_at_again_after_it_was_written_to() -> None:
    loss = build_term("dice", "binary", {})
    target = torch.zeros(1, 1, 2, 2)
    loss(IMAGE, target)
    target[0, 0, 0, 0] = 7
    with pytest.raises(InvalidInputError, match="found the value 7"):
        loss(IMAGE, target)


def test_a_target_is_looked_at_again_for_fewer_classes() -> None:
    target = torch.tensor([[[0, 1], [2, 2]]])
    build_term("dice", "multiclass", {})(CLASSES, target)
    with pytest.raises(InvalidInputError, match="found the label 2; expected 0 to 1"):
        build_term("dice", "multiclass", {})(CLASSES[:, :2], target)


@torch.inference_mode()
def test_targets_of_inference_mode_are_looked_at_each_time() -> None:
    loss = build_term("dice", "binary", {})
    target: Tensor = torch.zeros(1, 1, 2, 2)
    loss(IMAGE, target)
    target[0, 0, 0, 0] = 7
    with pytest.raises(InvalidInputError, match="found the value 7"):
        loss(IMAGE, target)
