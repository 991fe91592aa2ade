"""`ignore_index` in a loss's configuration: it reaches every term, or the term is refused."""

import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from components.errors import InvalidInputError
from components.losses import EnhancedBCELoss, EnhancedDiceLoss, LossManager

LOGITS = torch.tensor([[[[1.0, -1.0], [0.5, 2.0]]]])
TARGET = torch.tensor([[[[1, 0], [255, 255]]]])
CLASS_LOGITS = torch.tensor([[[[1.0, 0.0]], [[0.0, 2.0]], [[-1.0, 1.0]]]])
CLASS_TARGET = torch.tensor([[[2, 255]]])


class Told(nn.Module):
    """A loss of one's own that is told which pixels to ignore."""

    def __init__(self, ignore_index: int = -100) -> None:
        super().__init__()
        self.ignore_index = ignore_index

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return logits[target != self.ignore_index].mean()


class Lenient(nn.Module):
    """A loss that takes whatever it is given."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = options


class Untold(nn.Module):
    """A loss that counts every pixel."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return logits.mean()


class HandsOn(nn.Module):
    """A loss that hands options on to a constructor that refuses them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(sys.modules, "own_losses", sys.modules[__name__])
    return "own_losses"


@pytest.mark.parametrize(
    "config",
    [
        {"ignore_index": 255},
        {"type": "combined", "dice_weight": 0.5, "bce_weight": 0.5, "ignore_index": 255},
        {"type": "combined", "weights": {"dice": 0.5, "bce": 0.5}, "ignore_index": 255},
        {"type": "combined", "terms": {"dice": {}, "pixels": {"kind": "bce"}}, "ignore_index": 255},
    ],
)
def test_it_reaches_every_term_of_each_form(config: dict[str, Any]) -> None:
    loss = LossManager.create_loss_function(config)
    half, truth = LOGITS[:, :, :1], TARGET[:, :, :1]
    expected = 0.5 * EnhancedDiceLoss()(half, truth) + 0.5 * EnhancedBCELoss()(half, truth)
    assert loss(LOGITS, TARGET).item() == pytest.approx(expected.item(), abs=1e-6)


@pytest.mark.parametrize("kind", LossManager.kinds())
def test_it_reaches_a_single_kind(kind: str) -> None:
    config = {"type": kind, "mode": "multiclass"}
    cut = LossManager.create_loss_function(config)(CLASS_LOGITS[..., :1], CLASS_TARGET[..., :1])
    loss = LossManager.create_loss_function({**config, "ignore_index": 255})
    assert loss(CLASS_LOGITS, CLASS_TARGET).item() == pytest.approx(cut.item(), abs=1e-6)


def test_it_reaches_ones_own_loss_that_names_it(own: str) -> None:
    loss = LossManager.create_loss_function({"type": f"{own}:Told", "ignore_index": 255})
    assert loss(LOGITS, TARGET).item() == pytest.approx(0.0)  # the mean of 1 and -1
    parts = LossManager.create_loss_function({"terms": {"my": {"kind": f"{own}:Told"}, "bce": {}}, "ignore_index": 255})
    assert parts.breakdown(LOGITS, TARGET).terms["my"].item() == pytest.approx(0.0)


def test_it_reaches_ones_own_loss_that_takes_any_option(own: str) -> None:
    term: Any = LossManager.create_loss_function({"type": f"{own}:Lenient", "ignore_index": 255}).terms["Lenient"]
    assert term.options == {"ignore_index": 255}


def test_it_reaches_a_loss_of_a_library() -> None:
    config = {"type": "torch.nn:CrossEntropyLoss", "mode": "multiclass", "ignore_index": 255}
    expected = nn.CrossEntropyLoss()(CLASS_LOGITS[..., :1], CLASS_TARGET[..., :1])
    found = LossManager.create_loss_function(config)(CLASS_LOGITS, CLASS_TARGET)
    assert found.item() == pytest.approx(expected.item())


@pytest.mark.parametrize("form", ["single", "terms"])
@pytest.mark.parametrize("path", ["own_losses:Untold", "own_losses:HandsOn", "torch.nn:SoftMarginLoss"])
@pytest.mark.usefixtures("own")
def test_ones_own_loss_that_cannot_take_it_is_refused(path: str, form: str) -> None:
    config: dict[str, Any] = {"type": path} if form == "single" else {"terms": {"dice": {}, "my": {"kind": path}}}
    assert LossManager.create_loss_function(config) is not None
    message = f"'{path}'.*Hint: add an `ignore_index` argument .pixels whose target equals it must not count"
    with pytest.raises(InvalidInputError, match=message):
        LossManager.create_loss_function({**config, "ignore_index": 255})


def test_none_ignores_nothing_and_asks_nothing_of_ones_own_loss(own: str) -> None:
    LossManager.create_loss_function({"type": f"{own}:Untold", "ignore_index": None})
    told: Any = LossManager.create_loss_function({"type": f"{own}:Told", "ignore_index": None}).terms["Told"]
    assert told.ignore_index == -100


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"ignore_index": 1}, "ignore_index: found 1, which is foreground"),
        ({"type": "dice", "ignore_index": "255"}, "ignore_index: found '255'"),
        ({"type": "combined", "ignore_indx": 255}, "did you mean 'ignore_index'"),
        ({"terms": {"dice": {}}, "ignore_indx": 255}, "did you mean 'ignore_index'"),
        ({"terms": {"dice": {"ignore_index": 255}}}, "loss kind 'dice': option: found 'ignore_index'"),
    ],
)
def test_mistakes_are_named(config: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        LossManager.create_loss_function(config)
