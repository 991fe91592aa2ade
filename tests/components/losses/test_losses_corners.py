"""Corners where losses used to disagree with themselves or with what a user may rightly pass."""

from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from torch import Tensor

from components.errors import InvalidInputError
from components.losses import CombinedLoss, DeepSupervisionLoss, EnhancedBCELoss, EnhancedDiceLoss
from components.losses.kinds import build_term
from components.losses.needs import Needs
from components.losses.sigmoid_sums import sigmoid_sums

torch.manual_seed(0)
CLASSES, LABELS = torch.randn(2, 3, 8, 8), torch.randint(0, 2, (2, 8, 8))
LOGITS, TARGET = torch.randn(2, 1, 8, 8), torch.randint(0, 2, (2, 1, 8, 8)).float()


@pytest.mark.parametrize("kind", ["ce", "focal"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("ignore", [None, 255])
def test_a_batch_without_a_weighted_pixel_costs_nothing(kind: str, smoothing: float, ignore: int | None) -> None:
    options = {"class_weights": [0.0, 1.0, 1.0], "label_smoothing": smoothing}
    term, x = build_term(kind, "multiclass", options, ignore), CLASSES.clone().requires_grad_()
    background = torch.zeros_like(LABELS)
    for loss in (term, CombinedLoss({"a": term, "b": EnhancedDiceLoss("multiclass", ignore_index=ignore)}, {"a": 1.0})):
        value = loss(x, background)
        assert value.item() == 0
        assert not torch.autograd.grad(value, x)[0].any()


def test_positive_weights_are_one_for_each_class_also_in_a_shared_pass() -> None:
    with pytest.raises(InvalidInputError, match="pos_weight: found 2 entries for 1 classes"):
        EnhancedBCELoss(pos_weight=[1.0, 3.0])
    term = EnhancedBCELoss("multilabel", pos_weight=[1.0, 3.0])
    with pytest.raises(InvalidInputError, match="pos_weight: found 2 entries for 1 classes"):
        CombinedLoss({"a": term, "b": EnhancedDiceLoss("multilabel")})(LOGITS, TARGET)


@pytest.mark.parametrize("weight", [2, 2.0, np.float32(2), torch.tensor(2.0)])
def test_one_positive_weight_may_be_any_kind_of_number(weight: Any) -> None:
    expected = EnhancedBCELoss(pos_weight=[2.0])(LOGITS, TARGET)
    assert EnhancedBCELoss(pos_weight=weight)(LOGITS, TARGET) == expected


def test_soft_masks_may_round_beyond_1_and_other_values_may_not() -> None:
    EnhancedDiceLoss()(LOGITS, TARGET * (1 + 1.2e-7))
    with pytest.raises(InvalidInputError, match=r"found the value 1\.001"):
        EnhancedDiceLoss()(LOGITS, TARGET * 1.001)
    with pytest.raises(InvalidInputError, match="found the value 255"):
        EnhancedDiceLoss()(LOGITS, TARGET * 255)


def test_a_target_that_changed_is_looked_at_again() -> None:
    masks = TARGET.numpy().copy()
    target, loss = torch.from_numpy(masks), EnhancedDiceLoss()
    loss(LOGITS, target)
    masks *= 255
    with pytest.raises(InvalidInputError, match="found the value 255"):
        loss(LOGITS, target)


@pytest.mark.parametrize("kind", ["dice", "ce", "focal"])
def test_a_class_may_be_masked_by_minus_infinity(kind: str) -> None:
    x = CLASSES.clone()
    x[:, 2] = -torch.inf
    x.requires_grad_()
    alone = build_term(kind, "multiclass", {})
    for loss in (alone, CombinedLoss({"a": alone, "b": EnhancedDiceLoss("multiclass")})):
        value = loss(x, LABELS)
        assert torch.isfinite(value)
        assert torch.isfinite(torch.autograd.grad(value, x)[0]).all()


@pytest.mark.parametrize("mode", ["multilabel", "multiclass"])
def test_nan_at_ignored_pixels_is_not_seen(mode: Any) -> None:
    target = LABELS.clone() if mode == "multiclass" else torch.randint(0, 2, CLASSES.shape)
    target[..., 0] = 255
    x = CLASSES.clone()
    x[..., 0] = torch.nan
    x.requires_grad_()
    cross_entropy = "ce" if mode == "multiclass" else "bce"
    terms = {name: build_term(name, mode, {}, 255) for name in ("dice", cross_entropy, "focal")}
    value = CombinedLoss(terms)(x, target)
    assert torch.isfinite(value)
    assert torch.isfinite(torch.autograd.grad(value, x)[0]).all()


@pytest.mark.parametrize("x", [-1e4, 1e4])
@pytest.mark.parametrize("g", [0.0, 1.0])
def test_a_large_logit_is_not_taken_for_an_ignored_pixel(x: float, g: float) -> None:
    sums = sigmoid_sums(torch.full((1, 1, 1, 2), x), torch.full((1, 1, 1, 2), g), Needs(even=True, gamma=2.0))
    assert sums.even is not None
    assert sums.even.item() == 1e4


def test_a_rare_false_alarm_is_not_lost_beside_many_misses() -> None:
    x = torch.cat([torch.full((512,), -20.0), torch.tensor([-9.0])]).view(1, 1, 1, -1)
    g = torch.cat([torch.ones(512), torch.zeros(1)]).view(1, 1, 1, -1)
    sums = sigmoid_sums(x, g, Needs(gamma=2.0))
    assert sums.focal_false is not None
    assert sums.focal_false.item() == pytest.approx(torch.tensor(-9.0).double().sigmoid().item() ** 3, rel=1e-3)


def test_deep_supervision_wants_a_scalar_and_skips_what_counts_nothing() -> None:
    with pytest.raises(InvalidInputError, match="expected a scalar"):
        DeepSupervisionLoss(EnhancedDiceLoss(reduction="none"))([LOGITS], TARGET)
    alone = EnhancedDiceLoss()(LOGITS, TARGET)
    skipping = DeepSupervisionLoss(EnhancedDiceLoss(), weights=[1.0, 0.0])
    assert skipping([LOGITS, torch.full_like(LOGITS, torch.nan)], TARGET) == alone


def test_a_stack_of_one_volume_is_one_output() -> None:
    volume, truth = torch.randn(1, 1, 4, 4, 4), torch.ones(1, 1, 4, 4, 4)
    loss = DeepSupervisionLoss(EnhancedDiceLoss())
    assert loss(volume.unsqueeze(1), truth) == loss([volume], truth)


@pytest.mark.parametrize("kind", ["dice", "ce", "focal"])
def test_tensors_that_carry_metadata_are_tensors(kind: str) -> None:
    loss = build_term(kind, "multiclass", {})
    assert loss(MetaTensor(CLASSES), MetaTensor(LABELS)).item() == loss(CLASSES, LABELS).item()


def test_a_default_device_changes_nothing() -> None:
    loss = CombinedLoss({"dice": EnhancedDiceLoss(), "focal": EnhancedBCELoss(variant="focal")})
    several = CombinedLoss({"dice": EnhancedDiceLoss("multiclass"), "ce": EnhancedBCELoss("multiclass")})
    expected = loss(LOGITS, TARGET).item(), several(CLASSES, LABELS).item()
    with torch.device("meta"):
        found = loss(LOGITS, TARGET).item(), several(CLASSES, LABELS).item()
    assert found == expected
    assert loss(LOGITS, TARGET).item() == expected[0]


def test_terms_of_different_modes_are_taken_one_by_one() -> None:
    terms = {"a": EnhancedDiceLoss("binary"), "b": EnhancedBCELoss("multilabel")}
    expected = sum(term(LOGITS, TARGET) for term in terms.values()) / 2
    torch.testing.assert_close(CombinedLoss(terms)(LOGITS, TARGET), expected)


@pytest.mark.parametrize("target", [TARGET.to(torch.uint16), TARGET.numpy(), TARGET.to(torch.complex64)])
def test_other_targets_are_refused_with_a_hint(target: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"target: found (dtype torch\.(uint16|complex64)|ndarray)"):
        EnhancedDiceLoss()(LOGITS, target)


@pytest.mark.parametrize("loss", [EnhancedDiceLoss(), CombinedLoss({"dice": EnhancedDiceLoss()})])
def test_logits_must_be_a_tensor(loss: Any) -> None:
    with pytest.raises(InvalidInputError, match="logits: found list"):
        loss([LOGITS], TARGET)


def test_gradients_in_inference_mode_are_refused() -> None:
    loss = CombinedLoss({"dice": EnhancedDiceLoss()})
    with torch.inference_mode(), pytest.raises(InvalidInputError, match="none in inference mode"):
        loss.breakdown(LOGITS, TARGET, gradients=True)


def test_a_term_that_was_replaced_is_compiled_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    # Nothing is compiled here; what would be is made from the terms of the moment.
    monkeypatch.setattr(torch, "compile", lambda function: function)
    loss = CombinedLoss({"dice": EnhancedDiceLoss()}, compile=True)
    loss(LOGITS, TARGET)
    loss.terms["dice"] = EnhancedDiceLoss(variant="jaccard")
    expected: Tensor = EnhancedDiceLoss(variant="jaccard")(LOGITS, TARGET)
    assert loss(LOGITS, TARGET) == expected
