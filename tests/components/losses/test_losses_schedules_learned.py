"""Weights by learned uncertainty: the total, the optimiser, and resuming bit for bit."""

import copy
import json
import math

import pytest
import torch
from torch import Tensor, nn

from components.errors import InvalidInputError
from components.losses import CombinedLoss, ConstantSchedule, UncertaintySchedule
from components.losses.schedules import UncertaintyWeighting
from components.training import build_optimizer
from tests.schedules import LOGITS, TARGET, combined


class Run:
    """A convolution that learns a tiny mask with learned weights."""

    def __init__(self, dice: float = 0.7, bce: float = 0.3) -> None:
        torch.manual_seed(0)
        self.model = nn.Conv2d(1, 1, 3, padding=1)
        self.loss = combined(dice, bce)
        self.schedule = UncertaintySchedule(self.loss)
        self.optimizer = build_optimizer(
            "adamw", self.model.parameters(), lr=0.05, weight_decay=0.1, undecayed=self.schedule.parameters()
        )

    def train(self, first: int, last: int) -> list[float]:
        totals = []
        for epoch in range(first, last + 1):
            for step in range(3):
                images = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(10 * epoch + step))
                total = self.loss(self.model(images), (images > 0.5).float())
                self.optimizer.zero_grad()
                total.backward()
                self.optimizer.step()
                totals.append(total.item())
            self.schedule.step(epoch, {})
        return totals

    @property
    def learned(self) -> Tensor:
        return self.schedule.parameters()[0]


def test_total_is_the_formula_of_kendall() -> None:
    loss = combined(0.7, 0.3)
    schedule = UncertaintySchedule(loss)
    with torch.no_grad():
        schedule.parameters()[0].copy_(torch.tensor([0.4, -1.0]))
    parts = loss.breakdown(LOGITS, TARGET)
    dice, bce = parts.terms["dice"].item(), parts.terms["bce"].item()
    expected = dice / (2 * math.exp(0.4)) + 0.4 / 2 + bce / (2 * math.exp(-1.0)) - 1.0 / 2
    assert parts.total.item() == pytest.approx(expected, rel=1e-6)
    assert schedule.step(1, {}) == pytest.approx({"dice": math.exp(-0.4) / 2, "bce": math.exp(1.0) / 2})


def test_it_begins_with_the_base_weights() -> None:
    plain, loss = combined(0.7, 0.3), combined(0.7, 0.3)
    schedule = UncertaintySchedule(loss)
    offset = sum(-math.log(2 * weight) / 2 for weight in (0.7, 0.3))
    assert loss(LOGITS, TARGET).item() == pytest.approx(plain(LOGITS, TARGET).item() + offset, rel=1e-5)
    assert schedule.step(1, {}) == pytest.approx({"dice": 0.7, "bce": 0.3})


def test_gradients_of_values_and_variances_match_finite_differences() -> None:
    weighting = UncertaintyWeighting({"dice": 0.7, "bce": 0.2}).double()
    values = [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (0.4, 1.3)]
    assert torch.autograd.gradcheck(
        lambda dice, bce, _: weighting({"dice": dice, "bce": bce}), (*values, weighting.log_variances)
    )


def test_training_moves_the_weights_and_they_belong_to_the_loss() -> None:
    run = Run()
    before = run.learned.detach().clone()
    run.train(1, 3)
    assert (run.learned - before).abs().min() > 0.01
    assert run.loss.weights == pytest.approx(
        dict(zip(("dice", "bce"), (torch.exp(-run.learned) / 2).tolist(), strict=True))
    )
    assert [name for name, _ in run.loss.named_parameters()] == ["weighting.log_variances"]
    assert "weighting.log_variances" in run.loss.state_dict()


def test_learned_variances_go_to_the_losses() -> None:
    weighting = UncertaintyWeighting({"one": 0.5, "two": 0.5})
    optimizer = build_optimizer("sgd", [], lr=0.1, weight_decay=0.0, undecayed=[weighting.log_variances])
    for _ in range(400):
        total = weighting({"one": torch.tensor(0.5), "two": torch.tensor(2.0)})
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    assert weighting.by_name() == pytest.approx({"one": math.log(0.5), "two": math.log(2.0)}, abs=1e-3)


def test_weight_decay_leaves_the_learned_weights_alone() -> None:
    groups = Run().optimizer.param_groups
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]
    assert [len(group["params"]) for group in groups] == [2, 1]
    assert len(build_optimizer("sgd", nn.Linear(1, 1).parameters(), lr=0.1, weight_decay=0.1).param_groups) == 1


@pytest.mark.parametrize("stop", [1, 3])
def test_resumed_training_equals_uninterrupted_bit_for_bit(stop: int) -> None:
    whole = Run()
    totals = whole.train(1, 6)

    first = Run()
    assert first.train(1, stop) == totals[: 3 * stop]
    resumed = Run()
    learned = resumed.learned
    resumed.model.load_state_dict(first.model.state_dict())
    resumed.optimizer.load_state_dict(copy.deepcopy(first.optimizer.state_dict()))
    resumed.schedule.load_state_dict(json.loads(json.dumps(first.schedule.state_dict())))
    assert resumed.learned is learned
    assert resumed.train(stop + 1, 6) == totals[3 * stop :]
    assert torch.equal(resumed.learned, whole.learned)
    assert resumed.loss.weights == whole.loss.weights


def test_a_term_of_weight_0_is_watched_and_not_learned() -> None:
    run = Run(1.0, 0.0)
    run.train(1, 1)
    assert run.learned.shape == (1,)
    assert run.loss.weights["bce"] == 0.0
    assert set(run.loss.breakdown(LOGITS, TARGET).terms) == {"dice", "bce"}


def test_a_loss_that_stays_0_does_not_send_its_weight_to_infinity() -> None:
    loss = combined()
    schedule = UncertaintySchedule(loss)
    with torch.no_grad():
        schedule.parameters()[0].fill_(-70.0)
    assert schedule.step(1, {}) == pytest.approx({"dice": math.exp(10) / 2, "bce": math.exp(10) / 2})
    assert schedule.parameters()[0].tolist() == [-10.0, -10.0]


def test_a_newer_schedule_takes_over() -> None:
    loss = combined(0.7, 0.3)
    UncertaintySchedule(loss)
    ConstantSchedule(loss)
    assert list(loss.parameters()) == []
    assert loss(LOGITS, TARGET).item() == combined(0.7, 0.3)(LOGITS, TARGET).item()


def test_a_state_of_other_terms_is_refused_and_changes_nothing() -> None:
    schedule = UncertaintySchedule(combined(0.7, 0.3))
    before = schedule.state_dict()
    with pytest.raises(InvalidInputError, match=r"found those of \['dice'\]; expected \['bce', 'dice'\]"):
        schedule.load_state_dict(UncertaintySchedule(combined(1.0, 0.0)).state_dict())
    state = before | {"base_weights": {"tversky": 1.0}, "log_variances": {"dice": 3.0, "bce": 3.0}}
    with pytest.raises(InvalidInputError, match="found 'tversky'"):
        schedule.load_state_dict(state)
    assert schedule.state_dict() == before


def test_the_loss_goes_through_its_state_dict() -> None:
    run, other = Run(), CombinedLoss(dict(combined().terms.items()))
    run.train(1, 2)
    schedule = UncertaintySchedule(other)
    other.load_state_dict(run.loss.state_dict())
    assert torch.equal(schedule.parameters()[0], run.learned)
    assert other.weights == run.loss.weights
