"""The sums that losses share: their values, gradients and pieces, and that sharing changes no loss."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import one_hot, softplus

from components.losses import CombinedLoss, LossManager
from components.losses import pieces as pieces_module
from components.losses import sigmoid_sums as sigmoid_module
from components.losses import softmax_sums as softmax_module
from components.losses.kinds import build_term
from components.losses.needs import ClassNeeds, Needs
from components.losses.shared_sums import MadeOfSums, term_values
from components.losses.sigmoid_sums import SigmoidSums, sigmoid_sums
from components.losses.softmax_sums import SoftmaxSums, softmax_sums

EVERYTHING = Needs(regions=True, squares=True, entropy=True, positive=True, even=True, gamma=2.0)
EVERY_CLASS = ClassNeeds(regions=True, squares=True, entropy=True, plain=True, gamma=2.0)


def sigmoid_by_hand(x: Tensor, g: Tensor, v: Tensor, gamma: float) -> SigmoidSums:
    p, s, r = x.sigmoid(), softplus(x), softplus(-x)

    def over(values: Tensor) -> Tensor:
        return (values * v).flatten(2).sum(2)

    return SigmoidSums(
        over(p * g),
        over(p),
        over(g),
        over(p * p),
        over(s - x * g),
        over(g * r),
        over(s - x / 2),
        over(g * (1 - p) ** gamma * r),
        over((1 - g) * p**gamma * s),
    )


def softmax_by_hand(x: Tensor, t: Tensor, v: Tensor, gamma: float) -> SoftmaxSums:
    log_p = x.log_softmax(1)
    p, true = log_p.exp(), one_hot(t, x.shape[1]).movedim(-1, 1).to(x)

    def over(values: Tensor) -> Tensor:
        return (values * v).flatten(2).sum(2)

    return SoftmaxSums(
        over(p * true),
        over(p),
        over(true),
        over(p * p),
        over(-log_p * true),
        over(-log_p),
        over(-((1 - p) ** gamma) * log_p * true),
    )


def close(ours: Any, by_hand: Any) -> None:
    for name, value in vars(by_hand).items():
        torch.testing.assert_close(getattr(ours, name), value, msg=name)


@pytest.fixture(params=["pieces of 7", "pieces", "whole"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How the sums are taken: on a CPU in pieces, as for a compiler or another device at once."""
    if request.param == "pieces of 7":
        monkeypatch.setattr(pieces_module, "PIECE", 7)
    if request.param == "whole":
        for module in (sigmoid_module, softmax_module):
            monkeypatch.setattr(module, "in_pieces", lambda _: False)
    return str(request.param)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("labels", ["soft", "hard"])
@pytest.mark.parametrize("gamma", [0.5, 2.0, 3.0])
def test_sigmoid_sums_are_those_written_out(gamma: float, labels: str) -> None:
    torch.manual_seed(0)
    x, g = 3 * torch.randn(3, 2, 4, 5, dtype=torch.double), torch.rand(3, 2, 4, 5, dtype=torch.double)
    g = g.round() if labels == "hard" else g
    v = torch.rand(x.shape) < 0.7
    needs = Needs(regions=True, squares=True, entropy=True, positive=True, even=True, gamma=gamma)
    close(sigmoid_sums(x, torch.where(v, g, 0), needs, v), sigmoid_by_hand(x, g, v, gamma))
    close(sigmoid_sums(x, g, needs), sigmoid_by_hand(x, g, torch.ones_like(v), gamma))


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_softmax_sums_are_those_written_out(gamma: float) -> None:
    torch.manual_seed(0)
    x, t = 3 * torch.randn(2, 4, 5, 3, dtype=torch.double), torch.randint(0, 4, (2, 5, 3))
    v = torch.rand(2, 1, 5, 3) < 0.7
    needs = ClassNeeds(regions=True, squares=True, entropy=True, plain=True, gamma=gamma)
    close(softmax_sums(x, t, needs, v), softmax_by_hand(x, t, v, gamma))
    close(softmax_sums(x, t, needs), softmax_by_hand(x, t, torch.ones_like(v), gamma))


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("labels", ["soft", "hard"])
def test_the_gradients_written_out_are_right(labels: str) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 3, 4, dtype=torch.double, requires_grad=True)
    g, t = torch.rand(2, 3, 3, 4, dtype=torch.double), torch.randint(0, 3, (2, 3, 4))
    g = g.round() if labels == "hard" else g
    v, w = torch.rand(2, 3, 3, 4) < 0.7, torch.rand(2, 1, 3, 4) < 0.7
    assert torch.autograd.gradcheck(
        lambda z: tuple(vars(sigmoid_sums(z, torch.where(v, g, 0), EVERYTHING, v)).values()), x
    )
    assert torch.autograd.gradcheck(lambda z: tuple(vars(softmax_sums(z, t, EVERY_CLASS, w)).values()), x)


@pytest.mark.usefixtures("path")
def test_a_pixel_that_is_nearly_right_keeps_its_tiny_loss() -> None:
    """A difference of large sums would leave nothing of it."""
    x = torch.tensor([[[[30.0, -30.0, 30.0]]]])
    sums = sigmoid_sums(x, (x > 0).float(), EVERYTHING)
    assert sums.entropy is not None
    assert sums.positive is not None
    assert sums.entropy.item() == pytest.approx(3 * 9.3576e-14, rel=1e-4)
    assert sums.positive.item() == pytest.approx(2 * 9.3576e-14, rel=1e-4)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("gamma", [None, 2.0])
@pytest.mark.parametrize("labels", ["soft", "hard"])
def test_many_ignored_pixels_cost_no_digits(gamma: float | None, labels: str) -> None:
    torch.manual_seed(0)
    x, g = torch.randn(1, 1, 24, 24), torch.rand(1, 1, 24, 24)
    g = g.round() if labels == "hard" else g
    v = torch.rand(x.shape) < 0.02
    needs = Needs(regions=True, squares=True, entropy=True, positive=True, even=True, gamma=gamma)
    found = sigmoid_sums(x, torch.where(v, g, 0), needs, v)
    exact = sigmoid_by_hand(x.double(), g.double(), v, gamma or 1.0)
    for name, value in vars(found).items():
        if value is not None:
            torch.testing.assert_close(value.double(), getattr(exact, name), rtol=2e-6, atol=0, msg=name)


def test_temporary_memory_is_used_again_and_does_not_leak_into_results() -> None:
    x, g = torch.randn(2, 1, 8, 8), torch.randint(0, 2, (2, 1, 8, 8)).float()
    with torch.inference_mode():
        before = sigmoid_sums(x, g, EVERYTHING)
    after = sigmoid_sums(-3 * x.requires_grad_(), g, EVERYTHING)
    again = sigmoid_sums(x, g, EVERYTHING)
    assert after.entropy is not None
    torch.autograd.grad(after.entropy.sum(), x)
    close(again, before)


BINARY: dict[str, dict[str, Any]] = {
    "dice": {},
    "jaccard": {"batch": True},
    "tversky": {},
    "focal_tversky": {},
    "bce": {"pos_weight": 3.0},
    "focal": {"alpha": 0.3},
}
CLASSES: dict[str, dict[str, Any]] = {
    "dice": {"include_background": False},
    "tversky": {"batch": True},
    "ce": {"class_weights": [1.0, 2.0, 0.5], "label_smoothing": 0.1},
    "focal": {"gamma": 1.5, "class_weights": [1.0, 2.0, 0.5]},
}


@pytest.mark.parametrize("mode", ["binary", "multiclass"])
@pytest.mark.parametrize("ignore", [None, 255])
@given(seed=st.integers(0, 1000))
def test_losses_that_share_a_pass_are_the_losses_alone(mode: Any, ignore: int | None, seed: int) -> None:
    torch.manual_seed(seed)
    kinds = BINARY if mode == "binary" else CLASSES
    terms = {name: build_term(name, mode, options, ignore) for name, options in kinds.items()}
    x = (4 * torch.randn(2, 1 if mode == "binary" else 3, 6, 5)).requires_grad_()
    target = torch.randint(0, 2, (2, 1, 6, 5)).float() if mode == "binary" else torch.randint(0, 3, (2, 6, 5))
    if ignore is not None:
        target[torch.rand(target.shape) < 0.3] = ignore
    assert all(isinstance(term, MadeOfSums) for term in terms.values())
    shared = term_values(terms, x, target)
    for name, term in terms.items():
        alone = term(x, target)
        torch.testing.assert_close(shared[name], alone, rtol=1e-4, atol=1e-6)
        ours, theirs = (torch.autograd.grad(value, x, retain_graph=True)[0] for value in (shared[name], alone))
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-6)


def test_losses_that_differ_in_what_they_need_are_taken_one_by_one() -> None:
    x, g = torch.randn(2, 1, 4, 4), torch.randint(0, 2, (2, 1, 4, 4)).float()
    terms = {"a": build_term("focal", "binary", {"gamma": 1.0}, None), "b": build_term("focal", "binary", {}, None)}
    values = term_values(terms, x, g)
    assert values["a"] == terms["a"](x, g)
    assert values["b"] == terms["b"](x, g)


def test_a_combined_loss_is_the_weighted_sum_of_its_terms() -> None:
    torch.manual_seed(0)
    x, g = torch.randn(2, 1, 8, 8), torch.randint(0, 2, (2, 1, 8, 8)).float()
    loss = LossManager.create_loss_function({"weights": {"dice": 0.2, "bce": 0.5, "focal": 0.3}})
    assert isinstance(loss, CombinedLoss)
    parts = {name: term(x, g) for name, term in loss.terms.items()}
    expected = sum(weight * parts[name] for name, weight in loss.weights.items())
    torch.testing.assert_close(loss(x, g), expected)
