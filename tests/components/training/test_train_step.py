"""One's own code for a batch: the same numbers where it does the same, and plain words where it returns no loss."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from components.errors import NonFiniteLossError, TrainStepError
from components.losses import CombinedLoss, ReferenceTerms
from components.training import Stepper, build_optimizer, train_epoch
from tests.training_toys import batch, network


def plain(model: nn.Module, images: Tensor, target: Tensor, loss: CombinedLoss) -> Tensor:
    return loss(model(images).float(), target)  # type: ignore[no-any-return]


def with_penalty(model: nn.Module, images: Tensor, target: Tensor, loss: CombinedLoss) -> dict[str, Tensor]:
    logits = model(images).float()
    penalty = 0.01 * logits.square().mean()
    return {"loss": loss(logits, target) + penalty, "logits": logits, "penalty": penalty}


def dice_bce() -> CombinedLoss:
    from components.losses import LossManager  # noqa: PLC0415

    return LossManager.create_loss_function()


def train(step: Any, epochs: int = 3, **options: Any) -> tuple[list[float], dict[str, float]]:
    model, loss = network(), dice_bce()
    optimizer = build_optimizer("adamw", model.parameters(), lr=0.05, weight_decay=0.0)
    for epoch in range(1, epochs + 1):
        row = train_epoch(
            model,
            loss,
            optimizer,
            [batch(4, seed) for seed in range(3)],
            epoch=epoch,
            step=step,
            reference=ReferenceTerms("binary"),
            **options,
        )
    return [float(value) for weight in model.parameters() for value in weight.detach().flatten()], row


def test_a_step_that_does_what_the_loop_does_gives_the_same_weights() -> None:
    own, row = train(plain)
    usual, other = train(None)
    assert own == usual
    assert row["train_loss"] == pytest.approx(other["train_loss"])


def test_further_scalars_are_recorded_and_logits_watched() -> None:
    weights, row = train(with_penalty)
    assert weights != train(None)[0]
    assert row["loss_penalty"] > 0
    assert row["reference_dice"] == pytest.approx(train(None)[1]["reference_dice"], abs=0.1)


def test_a_step_is_accumulated_as_usual() -> None:
    model = network()
    optimizer = build_optimizer("sgd", model.parameters(), lr=0.1, weight_decay=0.0)
    steps: list[int] = []
    train_epoch(
        model,
        dice_bce(),
        optimizer,
        [batch(2, seed) for seed in range(4)],
        epoch=1,
        step=plain,
        stepper=Stepper(optimizer, accumulate=2),
        after_step=lambda: steps.append(1),
    )
    assert len(steps) == 2


def raises(*_: Any) -> Tensor:
    raise ValueError("no such layer")


WRONG: list[tuple[Callable[..., Any], str]] = [
    (lambda *_: None, "returned no loss"),
    (lambda *_: {"total": torch.ones(())}, "returned no loss"),
    (lambda *_: 0.5, "returned float as its loss, not a scalar tensor"),
    (lambda *_: torch.ones(2, requires_grad=True), r"returned Tensor \(2,\) as its loss"),
    (lambda *_: torch.ones(()), "returned a loss without a gradient"),
    (lambda *_: {"loss": torch.ones((), requires_grad=True), "more": "text"}, "returned str as 'more'"),
    (lambda *_: {"loss": torch.ones((), requires_grad=True), "logits": 3}, "returned int as its logits"),
]


@pytest.mark.parametrize(("step", "message"), WRONG)
def test_what_is_no_loss_is_named_with_the_step_and_the_batch(step: Callable[..., Any], message: str) -> None:
    with pytest.raises(TrainStepError, match=f"^training.step: .*at epoch 1, batch 1 {message}.*Hint: return the loss"):
        train(step)


def test_an_error_of_the_step_is_handed_on() -> None:
    with pytest.raises(TrainStepError, match=r"test_train_step:raises at epoch 1, batch 1 raised ValueError: no such"):
        train(raises)


def test_a_loss_that_is_not_finite_is_guarded() -> None:
    def nan(model: nn.Module, images: Tensor, target: Tensor, loss: CombinedLoss) -> Tensor:
        return plain(model, images, target, loss) * float("nan")

    with pytest.raises(NonFiniteLossError, match="epoch 1, batch 1"):
        train(nan)
