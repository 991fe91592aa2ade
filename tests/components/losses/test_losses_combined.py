"""The weighted sum: values, weights, state, breakdown, epoch means and the check for NaN."""

import io
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from components.errors import InvalidInputError, NonFiniteLossError
from components.losses import (
    CombinedLoss,
    EnhancedBCELoss,
    EnhancedDiceLoss,
    LossBreakdown,
    check_finite,
)

LOGITS = torch.tensor([[[[1.0, -1.0], [0.5, 2.0]]]])
TARGET = torch.tensor([[[[1, 0], [1, 0]]]])


class Counted(nn.Module):
    """Returns `value` times the mean logit and counts its calls."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value
        self.calls = 0

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        self.calls += 1
        return self.value * logits.mean()


def two_terms(weights: dict[str, float] | None = None) -> CombinedLoss:
    return CombinedLoss({"one": Counted(1.0), "ten": Counted(10.0)}, weights)


def test_value_is_the_weighted_sum_of_the_terms() -> None:
    dice, bce = EnhancedDiceLoss(), EnhancedBCELoss()
    combined = CombinedLoss({"dice": dice, "bce": bce}, {"dice": 0.7, "bce": 0.3})
    expected = 0.7 * dice(LOGITS, TARGET) + 0.3 * bce(LOGITS, TARGET)
    assert combined(LOGITS, TARGET).item() == pytest.approx(expected.item(), abs=1e-6)


def test_without_weights_all_terms_share_equally() -> None:
    assert two_terms().weights == {"one": 0.5, "ten": 0.5}


def test_weights_are_handed_out_as_a_copy() -> None:
    combined = two_terms()
    combined.weights["one"] = 9.0
    assert combined.weights["one"] == 0.5


def test_a_term_left_out_of_the_weights_has_weight_0() -> None:
    assert two_terms({"ten": 0.2}).weights == {"one": 0.0, "ten": 0.2}


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"one": 0.0, "ten": 0.0}, "at least one above 0"),
        ({}, "at least one above 0"),
        ({"tenn": 1.0}, "found 'tenn'.*did you mean 'ten'"),
        ({"one": -0.1, "ten": 1.0}, "weights: one: found -0.1"),
        ({"one": math.nan, "ten": 1.0}, "weights: one: found nan"),
        ({"one": math.inf, "ten": 1.0}, "weights: one: found inf"),
    ],
)
def test_weights_that_do_not_fit_are_refused_and_leave_the_old(weights: dict[str, float], message: str) -> None:
    combined = two_terms()
    with pytest.raises(InvalidInputError, match=message):
        combined.weights = weights
    assert combined.weights == {"one": 0.5, "ten": 0.5}


@pytest.mark.parametrize("name", ["", "a.b", "values", "type", "2d"])
def test_names_that_torch_cannot_hold_are_refused(name: str) -> None:
    with pytest.raises(InvalidInputError, match=f"found the name '{name}'"):
        CombinedLoss({name: Counted(1.0)})


def test_terms_must_be_modules_and_at_least_one() -> None:
    with pytest.raises(InvalidInputError, match="terms: found none"):
        CombinedLoss({})
    with pytest.raises(InvalidInputError, match=r"dice is str; expected a torch\.nn\.Module"):
        CombinedLoss({"dice": "dice"})  # type: ignore[dict-item]


def test_a_term_that_is_not_reduced_is_refused() -> None:
    class PerPixel(nn.Module):
        def forward(self, logits: Tensor, target: Tensor) -> Tensor:
            return logits - target

    with pytest.raises(InvalidInputError, match=r"'own' returned shape.*reduction='mean'"):
        CombinedLoss({"own": PerPixel()})(LOGITS, TARGET)


def test_forward_skips_terms_of_weight_0_and_breakdown_watches_them() -> None:
    combined = two_terms({"one": 1.0})
    watched: Any = combined.terms["ten"]
    combined(LOGITS, TARGET)
    assert watched.calls == 0
    assert set(combined.breakdown(LOGITS, TARGET, watched=False).terms) == {"one"}
    assert watched.calls == 0
    parts = combined.breakdown(LOGITS, TARGET)
    assert watched.calls == 1
    assert parts.terms["ten"].item() == pytest.approx(10 * LOGITS.mean().item())
    assert parts.total.item() == pytest.approx(LOGITS.mean().item())


def test_breakdown_carries_the_gradient_in_its_total_only() -> None:
    logits = LOGITS.clone().requires_grad_()
    parts = two_terms({"one": 1.0, "ten": 0.5}).breakdown(logits, TARGET)
    assert not any(value.requires_grad for value in parts.terms.values())
    parts.total.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert torch.allclose(logits.grad, torch.full_like(logits, (1 + 5) / 4))


def test_state_dict_restores_the_weights_through_a_file() -> None:
    trained = two_terms({"one": 0.1, "ten": 0.9})
    file = io.BytesIO()
    torch.save(trained.state_dict(), file)
    file.seek(0)
    resumed = two_terms()
    resumed.load_state_dict(torch.load(file, weights_only=True))
    assert resumed.weights == {"one": 0.1, "ten": 0.9}


def test_state_dict_of_other_terms_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="weights: term: found 'one'"):
        CombinedLoss({"dice": EnhancedDiceLoss()}).load_state_dict(two_terms().state_dict())


def test_epoch_means_count_cases_and_training_calls_only() -> None:
    combined = two_terms()
    combined(torch.ones(1, 1, 2, 2), TARGET)
    combined(torch.full((3, 1, 2, 2), 5.0), TARGET)
    with torch.no_grad():
        combined(torch.full((9, 1, 2, 2), 100.0), TARGET)
    assert combined.epoch_means() == {"one": 4.0, "ten": 40.0}  # (1 + 3 * 5) / 4
    combined.reset_epoch_means()
    assert combined.epoch_means() == {}


def test_terms_are_computed_in_fp32_under_autocast() -> None:
    class Matmul(nn.Module):
        def forward(self, logits: Tensor, target: Tensor) -> Tensor:
            product = logits[0, 0] @ logits[0, 0]
            assert product.dtype == torch.float32
            return product.mean()

    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert CombinedLoss({"own": Matmul()})(LOGITS.bfloat16(), TARGET).dtype == torch.float32


def test_combined_gradient_matches_finite_differences() -> None:
    combined = CombinedLoss({"dice": EnhancedDiceLoss(), "bce": EnhancedBCELoss()}, {"dice": 2.0, "bce": 0.5})
    logits = LOGITS.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: combined(x, TARGET), (logits,))


def breakdown(total: float, **terms: float) -> LossBreakdown:
    return LossBreakdown(torch.tensor(total), {name: torch.tensor(value) for name, value in terms.items()}, {})


def test_check_finite_passes_numbers() -> None:
    check_finite(breakdown(1.0, dice=0.5, bce=0.5), epoch=1, where="batch 1")


def test_check_finite_names_term_value_epoch_and_place() -> None:
    with pytest.raises(
        NonFiniteLossError, match=r"epoch 3, batch 7: loss term 'bce' is nan, 'focal' is inf\. Hint"
    ) as info:
        check_finite(breakdown(math.nan, dice=0.5, bce=math.nan, focal=math.inf), epoch=3, where="batch 7")
    assert "'dice'" not in str(info.value)
    assert "'total'" not in str(info.value)


def test_check_finite_names_the_total_when_only_it_overflowed() -> None:
    with pytest.raises(NonFiniteLossError, match="'total' is inf"):
        check_finite(breakdown(math.inf, dice=0.5), epoch=1, where="batch 1")
