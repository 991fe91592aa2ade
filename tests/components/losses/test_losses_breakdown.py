"""What a combined loss says about its terms: values, pull at the logits, and a reference that no weight changes."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from components.errors import InvalidInputError, NonFiniteLossError
from components.losses import CombinedLoss, EnhancedBCELoss, EnhancedDiceLoss, LossManager, ReferenceTerms, check_finite

TARGET = (torch.arange(2 * 64).reshape(2, 1, 8, 8) % 5 == 0).float()


def logits() -> Tensor:
    return torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()


def loss(**options: Any) -> CombinedLoss:
    weights = {"dice": 0.5, "bce": 0.25, "focal": 0.0}
    terms: dict[str, Any] = {name: {} for name in weights}
    made = LossManager.create_loss_function({"terms": terms, "weights": weights})
    for name, value in options.items():
        setattr(made, name, value)
    return made


def test_weighted_values_add_up_to_the_total() -> None:
    parts = loss().breakdown(logits(), TARGET)
    assert parts.weighted["dice"] == 0.5 * parts.terms["dice"]
    assert parts.weighted["focal"] == 0
    assert parts.terms["focal"] > 0
    torch.testing.assert_close(parts.total.detach(), parts.weighted["dice"] + parts.weighted["bce"])


def test_a_terms_gradient_norm_is_that_of_the_term_alone_and_shares_weigh_it() -> None:
    x = logits()
    parts = loss().breakdown(x, TARGET, gradients=True)
    norms = {}
    for name, term in (("dice", EnhancedDiceLoss()), ("bce", EnhancedBCELoss())):
        (gradient,) = torch.autograd.grad(term(x, TARGET), x)
        norms[name] = gradient.norm().item()
        assert parts.gradient_norms[name].item() == pytest.approx(norms[name], rel=1e-5)
    assert set(parts.gradient_norms) == {"dice", "bce"}  # a term without weight pulls at nothing
    pull = 0.5 * norms["dice"] + 0.25 * norms["bce"]
    assert parts.gradient_shares["dice"].item() == pytest.approx(0.5 * norms["dice"] / pull, rel=1e-5)
    assert sum(share.item() for share in parts.gradient_shares.values()) == pytest.approx(1)


def test_measuring_changes_no_gradient_that_trains() -> None:
    gradients: list[Tensor] = []
    for measured in (False, True):
        x = logits()
        gradients += torch.autograd.grad(loss().breakdown(x, TARGET, gradients=measured).total, x)
    assert torch.equal(gradients[0], gradients[1])


def test_gradients_are_measured_where_none_flow() -> None:
    x = logits().detach()
    with torch.no_grad():
        parts = loss().breakdown(x, TARGET, gradients=True)
    assert not parts.total.requires_grad
    assert parts.gradient_norms["dice"] > 0


def test_every_so_many_training_calls_of_an_epoch_are_measured() -> None:
    made = loss(gradient_interval=3)
    measured = [bool(made.breakdown(logits(), TARGET).gradient_norms) for _ in range(5)]
    assert measured == [True, False, False, True, False]
    with torch.no_grad():
        assert not made.breakdown(logits(), TARGET).gradient_norms
    once = loss().breakdown(logits(), TARGET, gradients=True).gradient_norms["dice"].item()
    assert made.epoch_gradient_norms()["dice"] == pytest.approx(once)
    made.reset_epoch_means()
    assert made.epoch_gradient_norms() == {}
    assert made.breakdown(logits(), TARGET).gradient_norms


@pytest.mark.parametrize("interval", [0, True, 2.0])
def test_an_interval_is_a_number_of_calls(interval: Any) -> None:
    with pytest.raises(InvalidInputError, match="gradient_interval"):
        CombinedLoss({"dice": EnhancedDiceLoss()}, gradient_interval=interval)


class Broken(nn.Module):
    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return logits.sum() * target.sum() * float("nan")


def test_an_error_names_the_term_and_describes_the_batch() -> None:
    made = CombinedLoss({"dice": EnhancedDiceLoss(), "mine": Broken()})
    x = logits().detach()
    x[0, 0, 0, :3] = float("inf")
    with pytest.raises(NonFiniteLossError) as caught:
        check_finite(made.breakdown(logits(), TARGET), 4, "batch 2", {"logits": x, "target": TARGET})
    text = str(caught.value)
    assert text.startswith("epoch 4, batch 2: loss term 'mine' is nan. logits: 2×1×8×8 float32, ")
    assert "3 of 128 not finite" in text
    assert "target: 2×1×8×8 float32, 0 to 1, mean 0.2031." in text


def test_the_reference_is_the_same_for_every_loss() -> None:
    reference = ReferenceTerms("binary")
    x = logits()
    reference.add(x[:1], TARGET[:1])
    reference.add(x[1:], TARGET[1:])
    assert reference.means() == pytest.approx(
        {"dice": EnhancedDiceLoss()(x, TARGET).item(), "bce": EnhancedBCELoss()(x, TARGET).item()}
    )


def test_the_reference_of_classes_is_softmax_and_leaves_ignored_pixels_out() -> None:
    reference = ReferenceTerms("multiclass", ignore_index=255)
    target = torch.tensor([[[0, 1], [255, 255]]])
    reference.add(torch.zeros(1, 4, 2, 2), target)
    assert reference.means()["ce"] == pytest.approx(torch.tensor(4.0).log().item())
