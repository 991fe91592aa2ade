"""Accumulating, clipping, warming up, leaving out bad steps, ending early."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from components.errors import InvalidInputError, NonFiniteLossError
from components.losses import CombinedLoss, LossManager
from components.training import Stepper, TrainingLimits, build_lr_schedule, build_optimizer, train_epoch
from components.training.guard import DeferredGuard
from components.training.memory import memory_hint

Batch = tuple[Tensor, Tensor]


def cases(count: int, seed: int = 0) -> Batch:
    """Images, and masks that say where they are positive."""
    images = torch.randn(count, 1, 6, 6, generator=torch.Generator().manual_seed(seed))
    return images, (images > 0).float()


def model_of(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Conv2d(1, 1, 1)


def bce() -> CombinedLoss:
    return LossManager.create_loss_function({"type": "combined", "mode": "binary", "weights": {"bce": 1.0}})


def sgd(model: nn.Module, *, fused: bool = True) -> torch.optim.Optimizer:
    return build_optimizer("sgd", model.parameters(), lr=0.5, weight_decay=0.0, momentum=0.0, fused=fused)


def weights(model: nn.Module) -> list[float]:
    return [float(value) for parameter in model.parameters() for value in parameter.detach().flatten()]


def trained(batches: list[Batch], **options: Any) -> nn.Module:
    model = model_of()
    optimizer = sgd(model)
    train_epoch(model, bce(), optimizer, batches, epoch=1, stepper=Stepper(optimizer, **options))
    return model


def test_accumulated_batches_give_the_step_of_the_whole_batch_however_they_are_cut() -> None:
    images, masks = cases(7)
    whole = trained([(images, masks)])
    parts = [(images[first:last], masks[first:last]) for first, last in ((0, 3), (3, 4), (4, 7))]
    assert weights(trained(parts, accumulate=3)) == pytest.approx(weights(whole), abs=1e-6)
    assert weights(trained(parts, accumulate=1)) != pytest.approx(weights(whole), abs=1e-3)


def test_a_last_group_that_is_smaller_is_a_step_of_its_own() -> None:
    batches = [cases(2, seed) for seed in range(5)]
    model, steps = model_of(), list[int]()
    optimizer = sgd(model)
    stepper = Stepper(optimizer, accumulate=2)
    train_epoch(model, bce(), optimizer, batches, epoch=1, stepper=stepper, after_step=lambda: steps.append(1))
    assert len(steps) == 3


def test_a_gradient_is_clipped_to_its_norm() -> None:
    model, batch = model_of(), cases(4)
    before = weights(model)
    optimizer = sgd(model)
    train_epoch(model, bce(), optimizer, [batch], epoch=1, stepper=Stepper(optimizer, clip_norm=1e-3))
    moved = math.dist(weights(model), before)
    assert moved == pytest.approx(0.5 * 1e-3, rel=1e-3)


def with_nan(batch: Batch) -> Batch:
    images = batch[0].clone()
    images[0, 0, 0, 0] = float("nan")
    return images, batch[1]


def deferred(optimizer: torch.optim.Optimizer, most: int) -> Stepper:
    """A stepper as on a GPU, which is not waited for."""
    stepper = Stepper(optimizer)
    stepper.guard = DeferredGuard(optimizer, most)
    return stepper


STEPPERS: list[Callable[[torch.optim.Optimizer, int], Stepper]] = [
    lambda optimizer, most: Stepper(optimizer, max_bad_steps=most),
    deferred,
]


@pytest.mark.parametrize("make", STEPPERS, ids=["at once", "deferred"])
def test_a_bad_step_is_left_out_and_the_others_are_taken(make: Callable[..., Stepper]) -> None:
    good = [cases(4, seed) for seed in range(3)]
    expected = trained(good)
    model = model_of()
    optimizer = sgd(model)
    row = train_epoch(
        model, bce(), optimizer, [good[0], with_nan(good[1]), *good[1:]], epoch=1, stepper=make(optimizer, 1)
    )
    assert weights(model) == weights(expected)
    assert row["bad_steps"] == 1


@pytest.mark.parametrize("make", STEPPERS, ids=["at once", "deferred"])
def test_one_bad_step_too_many_fails_with_the_term_and_leaves_the_weights(make: Callable[..., Stepper]) -> None:
    model = model_of()
    optimizer = sgd(model)
    before = weights(model)
    bad = [with_nan(cases(4, seed)) for seed in range(3)]
    with pytest.raises(NonFiniteLossError, match=r"epoch 2, .*batch 3.*'bce'.*Hint: lower the learning rate"):
        train_epoch(model, bce(), optimizer, bad, epoch=2, stepper=make(optimizer, 2))
    assert weights(model) == before


def test_bad_steps_are_counted_anew_in_each_epoch() -> None:
    model = model_of()
    optimizer = sgd(model)
    stepper = Stepper(optimizer, max_bad_steps=1)
    for epoch in (1, 2, 3):
        row = train_epoch(model, bce(), optimizer, [with_nan(cases(2)), cases(2)], epoch=epoch, stepper=stepper)
        assert row["bad_steps"] == 1


def test_a_gradient_that_is_not_finite_is_a_bad_step_where_its_norm_is_taken() -> None:
    class Network(nn.Conv2d):
        def forward(self, input: Tensor) -> Tensor:  # noqa: A002
            result: Tensor = super().forward(input)
            result.register_hook(lambda gradient: gradient * float("inf"))  # type: ignore[no-untyped-call]
            return result

    model = Network(1, 1, 1)
    optimizer = sgd(model)
    before = weights(model)
    stepper = Stepper(optimizer, clip_norm=1.0, max_bad_steps=1)
    assert train_epoch(model, bce(), optimizer, [cases(2)], epoch=1, stepper=stepper)["bad_steps"] == 1
    assert weights(model) == before
    with pytest.raises(NonFiniteLossError, match="the gradient is not finite"):
        train_epoch(model, bce(), optimizer, [cases(2)] * 2, epoch=1, stepper=stepper)


def test_deferred_needs_a_fused_optimiser() -> None:
    with pytest.raises(InvalidInputError, match="only a fused one"):
        DeferredGuard(sgd(model_of(), fused=False))


def test_fp16_scales_the_loss_and_learns() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 1), nn.ReLU(), nn.Conv2d(4, 1, 1))
    optimizer = build_optimizer("adamw", model.parameters(), lr=0.05, weight_decay=0.0)
    stepper = Stepper(optimizer, precision="fp16", clip_norm=1.0)
    rows = [
        train_epoch(model, bce(), optimizer, [cases(8)], epoch=epoch, precision="fp16", stepper=stepper)
        for epoch in range(1, 31)
    ]
    assert stepper.scaler is not None
    assert stepper.scaler.get_scale() >= 1
    assert rows[-1]["train_loss"] < 0.6 * rows[0]["train_loss"]


@pytest.mark.parametrize("options", [{"clip_norm": 0.0}, {"clip_norm": math.nan}, {"accumulate": 0}])
def test_what_cannot_be_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match="found"):
        Stepper(sgd(model_of()), **options)
    with pytest.raises(InvalidInputError, match="max_bad_steps: found -1"):
        Stepper(sgd(model_of()), max_bad_steps=-1)


def rates(name: str, epochs: int, warmup: int) -> Iterator[float]:
    optimizer = sgd(model_of())
    schedule = build_lr_schedule(name, optimizer, epochs=epochs, warmup=warmup)
    for _ in range(epochs):
        yield optimizer.param_groups[0]["lr"]
        optimizer.step()
        schedule.step()


def test_the_learning_rate_rises_evenly_then_follows_its_schedule() -> None:
    assert list(rates("constant", 5, 3)) == pytest.approx([0.125, 0.25, 0.375, 0.5, 0.5])
    cosine = [0.5 * (1 + math.cos(math.pi * step / 4)) / 2 for step in range(4)]
    assert list(rates("cosine", 6, 2)) == pytest.approx([1 / 6, 1 / 3, *cosine])


def test_a_trapezoid_stays_level_and_cools_down_over_the_last_fifth() -> None:
    level = [0.5] * 8
    cooling = [0.5 * (1 - math.sqrt(step / 3)) for step in (1, 2)]
    assert list(rates("trapezoid", 10, 0)) == pytest.approx(level + cooling)
    assert list(rates("trapezoid", 1, 0)) == [0.5]
    assert list(rates("trapezoid", 2, 0)) == pytest.approx([0.5, 0.5 * (1 - math.sqrt(0.5))])


def test_trapezoids_of_any_length_are_the_same_until_they_cool_down() -> None:
    assert list(rates("trapezoid", 20, 3))[:16] == list(rates("trapezoid", 40, 3))[:16]


@pytest.mark.parametrize("name", ["RAdam", "Adagrad", "RMSprop", "NAdam", "Adafactor"])
def test_any_optimiser_of_torch_trains_by_its_path(name: str) -> None:
    model = model_of()
    optimizer = build_optimizer(f"torch.optim:{name}", model.parameters(), lr=0.1, weight_decay=0.25)
    assert type(optimizer).__name__ == name
    assert optimizer.param_groups[0]["weight_decay"] == 0.25
    before = [weight.detach().clone() for weight in model.parameters()]
    model(torch.ones(1, 1, 8, 8)).square().mean().backward()
    optimizer.step()
    assert any(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_arguments_reach_an_optimiser_and_a_schedule() -> None:
    optimizer = build_optimizer(
        "adamw", model_of().parameters(), lr=0.1, weight_decay=0, arguments={"betas": [0.8, 0.95]}
    )
    assert list(optimizer.param_groups[0]["betas"]) == [0.8, 0.95]
    schedule = build_lr_schedule(
        "torch.optim.lr_scheduler:StepLR", optimizer, epochs=4, arguments={"step_size": 1, "gamma": 0.5}
    )
    optimizer.step()
    schedule.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("name", "arguments", "problem"),
    [
        ("adamm", {}, "optimizer: found 'adamm'; use one of adamw, sgd, or an import path"),
        ("torch.optim:Adan", {}, "training.optimizer: 'torch.optim:Adan': the module .* has no 'Adan'. Hint: did you"),
        ("torch.nn:Linear", {}, "training.optimizer: torch.nn:Linear cannot be built from lr"),
        ("adamw", {"beta": 0.9}, "training.optimizer: adamw cannot be built .*Hint: look at training.optimizer_arg"),
        ("adamw", {"betas": [2, 3]}, "training.optimizer: adamw cannot be built .*Invalid beta"),
    ],
)
def test_an_optimiser_that_cannot_be_built_is_named(name: str, arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem):
        build_optimizer(name, model_of().parameters(), lr=0.1, weight_decay=0, arguments=arguments)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("torch.optim.lr_scheduler:StepLR", "StepLR cannot be built .*step_size.*training.lr_schedule_arguments"),
        ("torch.optim.lr_scheduler:Stepp", "training.lr_schedule: .* has no 'Stepp'"),
        ("torch.nn:Identity", "torch.nn:Identity returned Identity, expected a torch.optim.lr_scheduler"),
    ],
)
def test_a_schedule_that_cannot_be_built_is_named(name: str, problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem):
        build_lr_schedule(name, sgd(model_of()), epochs=4)


@pytest.mark.parametrize("name", ["poly", "trapezoid"])
def test_a_warm_up_goes_on_from_its_state(name: str) -> None:
    whole = list(rates(name, 6, 2))
    optimizer = sgd(model_of())
    schedule = build_lr_schedule(name, optimizer, epochs=6, warmup=2)
    for _ in range(3):
        optimizer.step()
        schedule.step()
    other = sgd(model_of())
    again = build_lr_schedule(name, other, epochs=6, warmup=2)
    again.load_state_dict(schedule.state_dict())
    other.load_state_dict(optimizer.state_dict())
    assert other.param_groups[0]["lr"] == pytest.approx(whole[3])
    other.step()
    again.step()
    assert other.param_groups[0]["lr"] == pytest.approx(whole[4])


def test_a_warm_up_must_leave_epochs() -> None:
    with pytest.raises(InvalidInputError, match="warmup: found 5"):
        build_lr_schedule("poly", sgd(model_of()), epochs=5, warmup=5)


def test_training_ends_at_its_budget_without_a_gain_or_out_of_time() -> None:
    assert TrainingLimits(epochs=2).ends_after(2, 0.5, 1.0) == "budget of 2 epochs reached"
    limits = TrainingLimits(epochs=9, max_minutes=0.5)
    assert [limits.ends_after(epoch, 0.5, 20.0) for epoch in (1, 2)] == ["", "0.5 minutes have passed"]


def test_limits_hold_over_an_interruption() -> None:
    first = TrainingLimits(epochs=9, patience=2, max_minutes=60)
    assert first.ends_after(1, 0.5, 1.0) == first.ends_after(2, 0.4, 1.0) == ""
    again = TrainingLimits(epochs=9, patience=2, max_minutes=60)
    again.load_state_dict(first.state_dict(), 2)
    assert again.ends_after(3, 0.5, 1.0) == again.ended == "no better Dice in 2 epochs"


@pytest.mark.parametrize(
    ("limits", "ended"),
    [
        ({"epochs": 3}, "budget of 3 epochs reached"),
        ({"epochs": 9}, ""),
        ({"epochs": 9, "patience": 2}, "no better Dice in 2 epochs"),
        ({"epochs": 9, "patience": 3}, ""),
        ({"epochs": 9, "max_minutes": 1}, "1 minutes have passed"),
    ],
)
def test_of_a_training_that_had_ended_the_limits_of_now_decide(limits: dict[str, Any], ended: str) -> None:
    first = TrainingLimits(epochs=3)
    for epoch in (1, 2, 3):
        first.ends_after(epoch, 0.5, 60.0)
    again = TrainingLimits(**limits)
    again.load_state_dict(first.state_dict(), 3)
    assert again.ended == ended


@pytest.mark.parametrize("options", [{"epochs": 0}, {"epochs": 1, "max_minutes": 0}, {"epochs": 1, "patience": 0}])
def test_limits_that_cannot_be_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match="found"):
        TrainingLimits(**options)


def test_running_out_of_memory_is_told_from_other_errors() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert "training.batch" in memory_hint(caught.value)
    assert memory_hint(MemoryError())
    assert memory_hint(torch.OutOfMemoryError("CUDA out of memory"))
    assert memory_hint(RuntimeError("shapes differ")) == ""
