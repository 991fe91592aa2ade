"""Every built-in kind passes the shipped checks, and each check bites on a loss that breaks just its rule."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from components.errors import InvalidInputError
from components.losses import EnhancedBCELoss
from components.losses.conformance import CHECKS, ConformanceError, check_loss
from components.losses.inputs import Mode
from components.losses.kinds import built_in, kinds

IGNORED = 255
REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "losses.md"
pytestmark = pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's tracing


@pytest.mark.parametrize("kind", kinds())
def test_every_kind_conforms(kind: str) -> None:
    found = built_in(kind)
    check_loss(found.build, found.modes, soft_labels=found.soft_labels)


class Broken(nn.Module):
    """Cross-entropy with one fault."""

    def __init__(self, mode: Mode, ignore_index: int | None, fault: "Fault") -> None:
        super().__init__()
        self.mode, self.ignore_index, self.fault = mode, ignore_index, fault
        self.sound = EnhancedBCELoss(mode, ignore_index=ignore_index)

    def value(self, logits: Tensor, target: Tensor) -> Tensor:
        value: Tensor = self.sound(logits, target)
        return value

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return self.fault(self, logits, target)


Fault = Callable[[Broken, Tensor, Tensor], Tensor]


def not_reduced(loss: Broken, logits: Tensor, target: Tensor) -> Tensor:
    return loss.value(logits, target).reshape(1)


def writes_to_the_target(loss: Broken, logits: Tensor, target: Tensor) -> Tensor:
    value = loss.value(logits, target)
    target.zero_()
    return value


def doubled_gradient(loss: Broken, logits: Tensor, target: Tensor) -> Tensor:
    value = loss.value(logits, target)
    return value + (value - value.detach())


def rewards_errors(loss: Broken, logits: Tensor, target: Tensor) -> Tensor:
    return -loss.value(logits, target)


def counts_ignored_as_background(loss: Broken, logits: Tensor, target: Tensor) -> Tensor:
    return loss.value(logits, target.masked_fill(target == IGNORED, 0))


def doubles_when_it_may_ignore(loss: Broken, logits: Tensor, target: Tensor) -> Tensor:
    return loss.value(logits, target) * (1 if loss.ignore_index is None else 2)


def never_below_a_half(loss: Broken, logits: Tensor, target: Tensor) -> Tensor:
    return loss.value(logits, target) + 0.5


def divides_by_the_foreground(loss: Broken, logits: Tensor, target: Tensor) -> Tensor:
    return loss.value(logits, target) / target.float().mean()


def overflows(loss: Broken, logits: Tensor, target: Tensor) -> Tensor:
    return loss.value(logits, target) + 0 * (2 * logits.clamp(-60, 60)).exp().sum()


def keeps_half_precision(loss: Broken, logits: Tensor, target: Tensor) -> Tensor:
    return loss.value(logits, target).to(logits.dtype)


def follows_autocast(loss: Broken, logits: Tensor, target: Tensor) -> Tensor:
    value = loss.value(logits, target)
    return (value.view(1, 1) @ torch.ones_like(value.view(1, 1))).view(())


def counts_axes(loss: Broken, logits: Tensor, target: Tensor) -> Tensor:
    return loss.value(logits, target) * logits.ndim


def prefers_later_classes(loss: Broken, logits: Tensor, target: Tensor) -> Tensor:
    if loss.mode == "binary":
        return loss.value(logits, target)
    weights = [1.0 + channel for channel in range(logits.shape[1])]
    weighted: Tensor = EnhancedBCELoss(loss.mode, class_weights=weights, ignore_index=loss.ignore_index)(logits, target)
    return weighted


def prefers_the_first_sample(loss: Broken, logits: Tensor, target: Tensor) -> Tensor:
    return loss.value(logits, target) + loss.value(logits[:1], target[:1])


def sums_over_samples(loss: Broken, logits: Tensor, target: Tensor) -> Tensor:
    return loss.value(logits, target) * len(logits)


def doubles_on_cuda(loss: Broken, logits: Tensor, target: Tensor) -> Tensor:
    return loss.value(logits, target) * (2 if logits.is_cuda else 1)


def cuts_labels(loss: Broken, logits: Tensor, target: Tensor) -> Tensor:
    if loss.mode != "multiclass":
        target = torch.where(target == IGNORED, IGNORED, (target > 0.5).to(target))
    return loss.value(logits, target)


def branches_on_values(loss: Broken, logits: Tensor, target: Tensor) -> Tensor:
    return 0 * logits.sum() if (target == IGNORED).all() else loss.value(logits, target)


FAULTS: dict[str, Fault] = {
    "scalar": not_reduced,
    "inputs": writes_to_the_target,
    "gradient": doubled_gradient,
    "direction": rewards_errors,
    "ignored gradient": counts_ignored_as_background,
    "unused index": doubles_when_it_may_ignore,
    "all ignored": never_below_a_half,
    "empty and full": divides_by_the_foreground,
    "extreme logits": overflows,
    "half precision": keeps_half_precision,
    "autocast": follows_autocast,
    "depth 1": counts_axes,
    "class order": prefers_later_classes,
    "sample order": prefers_the_first_sample,
    "repeated batch": sums_over_samples,
    "pickle": lambda loss, logits, target: loss.value(logits, target),  # a lambda has no name to be found by
    "cuda": doubles_on_cuda,
    "soft labels": cuts_labels,
    "compile": branches_on_values,
}


def broken(name: str) -> Callable[..., nn.Module]:
    return lambda mode, ignore_index: Broken(mode, ignore_index, FAULTS[name])


needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
NAMES = [pytest.param(name, marks=needs_cuda) if name == "cuda" else name for name in CHECKS]


@pytest.mark.parametrize("name", NAMES)
def test_a_check_names_the_loss_that_breaks_its_rule(name: str) -> None:
    with pytest.raises(ConformanceError, match=f"^{name}: mode '"):
        check_loss(broken(name), soft_labels=True)


@pytest.mark.parametrize("name", NAMES)
def test_a_check_needs_no_other_to_find_its_fault(name: str) -> None:
    with pytest.raises(ConformanceError, match=f"^{name}: mode '"):
        check_loss(broken(name), soft_labels=True, skip=set(CHECKS) - {name})


def test_a_rule_that_is_skipped_may_be_broken() -> None:
    check_loss(broken("direction"), soft_labels=True, skip=["direction"])


def test_a_loss_that_raises_is_told_from_one_that_is_wrong() -> None:
    def build(mode: Mode, ignore_index: int | None) -> nn.Module:
        raise ValueError(f"no such mode as {mode}: {ignore_index}")

    with pytest.raises(ConformanceError, match=r"^scalar: mode 'binary'.*raised ValueError: no such mode as binary"):
        check_loss(build)


def test_only_the_given_modes_are_checked() -> None:
    def build(mode: Mode, ignore_index: int | None) -> nn.Module:
        if mode != "multiclass":
            raise ValueError(mode)
        return EnhancedBCELoss(mode, ignore_index=ignore_index)

    check_loss(build, ["multiclass"])


def test_a_rule_that_does_not_exist_cannot_be_skipped() -> None:
    with pytest.raises(InvalidInputError, match=r"skip: found 'gradeint'.*did you mean 'gradient'"):
        check_loss(EnhancedBCELoss, skip=["gradeint"])


def test_the_reference_names_every_kind_once() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", REFERENCE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted(kinds())
