"""Losses and schedules from configuration: every accepted form, and what refusals say."""

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from components.errors import InvalidInputError
from components.losses import (
    AdaptiveSchedule,
    CombinedLoss,
    ConstantSchedule,
    EnhancedBCELoss,
    EnhancedDiceLoss,
    LinearSchedule,
    LossManager,
)

LOGITS = torch.tensor([[[[1.0, -1.0], [0.5, 2.0]]]])
TARGET = torch.tensor([[[[1, 0], [1, 0]]]])
CLASS_LOGITS = torch.tensor([[[[1.0, 0.0]], [[0.0, 2.0]], [[-1.0, 1.0]]]])
CLASS_TARGET = torch.tensor([[[0, 2]]])


class OwnLoss(nn.Module):
    """A loss of one's own that is told the mode."""

    def __init__(self, mode: str, factor: float = 1.0) -> None:
        super().__init__()
        self.mode, self.factor = mode, factor

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return self.factor * logits.mean()


def make_number() -> int:
    return 3


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(sys.modules, "own_losses", sys.modules[__name__])
    return "own_losses"


def test_reference_snippet_of_the_combined_loss() -> None:
    loss_function = LossManager.create_loss_function({"type": "combined", "dice_weight": 0.7, "bce_weight": 0.3})
    assert loss_function.weights == {"dice": 0.7, "bce": 0.3}
    expected = 0.7 * EnhancedDiceLoss()(LOGITS, TARGET) + 0.3 * EnhancedBCELoss()(LOGITS, TARGET)
    assert loss_function(LOGITS, TARGET).item() == pytest.approx(expected.item(), abs=1e-6)


def test_reference_snippet_of_the_scheduler_in_a_foreign_loop() -> None:
    loss_function = LossManager.create_loss_function({"type": "combined", "dice_weight": 0.7, "bce_weight": 0.3})
    loss_scheduler = LossManager.create_loss_scheduler(loss_function, {"type": "adaptive"})
    logits = LOGITS.clone().requires_grad_()
    optimizer = torch.optim.SGD([logits], lr=1.0)
    for epoch in (1, 2, 3):
        optimizer.zero_grad()
        loss_function(logits, TARGET).backward()
        optimizer.step()
        weights = loss_scheduler.step(epoch, {"val_dice": 0.5})
    assert weights != {"dice": 0.7, "bce": 0.3}
    assert sum(weights.values()) == pytest.approx(1.0)


@pytest.mark.parametrize("config", [None, {}, {"type": "combined"}])
def test_default_is_dice_and_bce_half_each(config: dict[str, Any] | None) -> None:
    loss = LossManager.create_loss_function(config)
    assert loss.weights == {"dice": 0.5, "bce": 0.5}
    assert loss(LOGITS, TARGET).ndim == 0


def test_terms_have_names_kinds_options_and_weights() -> None:
    loss = LossManager.create_loss_function(
        {
            "type": "combined",
            "mode": "multiclass",
            "terms": {"dice": {}, "focal": {"gamma": 2.0}, "my": {"kind": "tversky", "alpha": 0.3}},
            "weights": {"dice": 0.6, "focal": 0.4},
        }
    )
    assert loss.weights == {"dice": 0.6, "focal": 0.4, "my": 0.0}
    mine = EnhancedDiceLoss("multiclass", "tversky", alpha=0.3)(CLASS_LOGITS, CLASS_TARGET)
    parts = loss.breakdown(CLASS_LOGITS, CLASS_TARGET)
    assert parts.terms["my"].item() == pytest.approx(mine.item(), abs=1e-7)
    expected = 0.6 * parts.terms["dice"] + 0.4 * parts.terms["focal"]
    assert parts.total.item() == pytest.approx(expected.item(), abs=1e-6)


def test_weights_alone_name_the_terms() -> None:
    loss = LossManager.create_loss_function({"type": "combined", "weights": {"jaccard": 0.2, "focal": 0.8}})
    assert loss.weights == {"jaccard": 0.2, "focal": 0.8}


def test_terms_without_weights_share_equally() -> None:
    assert LossManager.create_loss_function({"terms": {"dice": {}, "bce": None}}).weights == {"dice": 0.5, "bce": 0.5}


@pytest.mark.parametrize("kind", LossManager.kinds())
def test_every_kind_works_alone(kind: str) -> None:
    loss = LossManager.create_loss_function({"type": kind, "mode": "multiclass"})
    assert isinstance(loss, CombinedLoss)
    assert loss.weights == {kind: 1.0}
    assert torch.isfinite(loss(CLASS_LOGITS, CLASS_TARGET))


def test_options_of_a_single_kind_reach_it() -> None:
    loss = LossManager.create_loss_function({"type": "focal", "gamma": 1.0, "alpha": 0.25})
    expected = EnhancedBCELoss(variant="focal", gamma=1.0, alpha=0.25)(LOGITS, TARGET)
    assert torch.equal(loss(LOGITS, TARGET), expected)


def test_ce_and_bce_are_the_same_in_multiclass() -> None:
    ce, bce = (LossManager.create_loss_function({"type": kind, "mode": "multiclass"}) for kind in ("ce", "bce"))
    assert torch.equal(ce(CLASS_LOGITS, CLASS_TARGET), bce(CLASS_LOGITS, CLASS_TARGET))


def test_kinds_are_listed() -> None:
    regions = {"dice", "jaccard", "tversky", "focal_tversky", "squared_dice", "log_cosh_dice", "generalized_dice"}
    regions |= {"dice_semimetric", "mcc", "lovasz"}
    pixels = {"bce", "ce", "focal", "topk", "asymmetric_focal"}
    borders = {"hausdorff", "boundary", "cldice", "skeleton_recall"}
    assert set(LossManager.kinds()) == regions | pixels | borders | {"asymmetric_focal_tversky", "unified_focal"}


def test_ones_own_loss_is_found_by_its_dotted_path(own: str) -> None:
    config = {"mode": "multilabel", "terms": {"mine": {"kind": f"{own}:OwnLoss", "factor": 2.0}}}
    term: Any = LossManager.create_loss_function(config).terms["mine"]
    assert (term.mode, term.factor) == ("multilabel", 2.0)
    alone = LossManager.create_loss_function({"type": f"{own}:OwnLoss"})
    assert alone(LOGITS, TARGET).item() == pytest.approx(LOGITS.mean().item())


def test_a_loss_of_a_library_is_found_by_its_dotted_path() -> None:
    loss = LossManager.create_loss_function({"type": "torch.nn:SoftMarginLoss"})
    assert loss(LOGITS, 2.0 * TARGET - 1).item() == pytest.approx(nn.SoftMarginLoss()(LOGITS, 2.0 * TARGET - 1).item())


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"type": "dise"}, "loss: type: found 'dise'.*did you mean 'dice'"),
        ({"type": 3}, "loss: type: found 3"),
        ({"type": "dice", "mode": "multi"}, "loss: mode: found 'multi'"),
        ({"type": "dice", "gama": 2.0}, "loss kind 'dice': option: found 'gama'"),
        ({"type": "dice", "alpha": 0.3}, "loss kind 'dice': option: found 'alpha'"),
        ({"type": "focal", "gama": 2.0}, "did you mean 'gamma'"),
        ({"type": "ce"}, "softmax needs exclusive classes, mode is 'binary'. Hint: use 'bce'"),
        ({"type": "combined", "dice_wieght": 1.0}, "did you mean 'dice_weight'"),
        ({"type": "combined", "dice_weight": "much"}, "weights: dice: found 'much'"),
        ({"type": "combined", "dice_weight": 0.5, "weights": {}}, "weights beside <kind>_weight"),
        ({"type": "combined", "terms": {"dice": {}}, "wieghts": {}}, "did you mean 'weights'"),
        ({"type": "combined", "terms": {"my": {"kind": "tverski"}}}, "did you mean 'tversky'"),
        ({"type": "combined", "terms": {"my": {}}}, "loss kind: found 'my'"),
        ({"type": "combined", "terms": ["dice"]}, "loss: terms: found .*expected a mapping"),
        ({"type": "combined", "terms": {}}, "terms: found none"),
        ({"type": "combined", "terms": {"dice": {}}, "weights": {"bce": 1.0}}, "weights: term: found 'bce'"),
        ({"type": "no_such_package:Loss"}, "there is no module 'no_such_package'. Hint: is it installed"),
        ({"type": "torch.nn:NoSuchLoss"}, "NoSuchLoss"),
        ({"type": "torch.nn:SoftMarginLoss", "gama": 1}, "with options 'gama'"),
        ({"type": "math:pi"}, "found float; expected a class"),
    ],
)
def test_mistakes_in_a_loss_are_named(config: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        LossManager.create_loss_function(config)


def test_a_dotted_path_must_build_a_module(own: str) -> None:
    with pytest.raises(InvalidInputError, match=r"built int; expected a torch\.nn\.Module"):
        LossManager.create_loss_function({"type": f"{own}:make_number"})


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        (None, ConstantSchedule),
        ({"type": "constant"}, ConstantSchedule),
        ({"type": "linear", "end": {"bce": 1.0}, "epochs": 30}, LinearSchedule),
        ({"type": "adaptive"}, AdaptiveSchedule),
        ({"type": "adaptive", "strength": 2.0}, AdaptiveSchedule),
    ],
)
def test_schedules_are_built_by_type(config: dict[str, Any] | None, kind: type) -> None:
    assert type(LossManager.create_loss_scheduler(LossManager.create_loss_function(), config)) is kind


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"type": "adaptiv"}, "did you mean 'adaptive'"),
        ({"temperature": 2.0}, "loss schedule: type: found None"),
        ({"type": "adaptive", "strenght": 2.0}, "did you mean 'strength'"),
        ({"type": "linear", "end": {"bce": 1.0}}, "loss schedule 'linear': epochs is missing"),
    ],
)
def test_mistakes_in_a_schedule_are_named(config: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        LossManager.create_loss_scheduler(LossManager.create_loss_function(), config)


def test_a_loss_without_weights_has_no_schedule() -> None:
    with pytest.raises(InvalidInputError, match=r"EnhancedDiceLoss, which has no weights.*Hint: wrap it"):
        LossManager.create_loss_scheduler(EnhancedDiceLoss(), {"type": "adaptive"})


def test_importing_the_losses_does_not_import_monai_or_ray() -> None:
    code = "import sys, components.losses; print(sorted({'monai', 'ray', 'optuna', 'pandas'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
