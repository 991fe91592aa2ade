"""On a GPU: no waiting in the midst of an epoch, bad steps left out there, half precision, the numbers of the CPU."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from components.checkpoints import CheckpointManager
from components.data import Split, StandardAugmentation, augmented, hold_on_device, training_batches
from components.errors import NonFiniteLossError
from components.losses import CombinedLoss, LossManager, ReferenceTerms
from components.training import (
    Stepper,
    accelerate,
    build_optimizer,
    choose_precision,
    evaluate,
    seed_everything,
    train_epoch,
)
from components.training.inference import SlidingWindow
from components.training.precision import Precision

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
Batches = Iterable[tuple[Tensor, Tensor]]
CROP = 16


def discs(cases: int = 40, axes: int = 2) -> Split:
    """Bright discs or balls on noise."""
    random, size = np.random.default_rng(0), 24
    grid = np.stack(np.meshgrid(*[np.arange(size)] * axes, indexing="ij"))
    images, masks = [], []
    for _ in range(cases):
        centre = random.uniform(6, size - 6, axes).reshape(-1, *[1] * axes)
        mask = ((grid - centre) ** 2).sum(0) < 25
        images.append((mask + 0.5 * random.standard_normal(mask.shape))[None].astype(np.float32))
        masks.append(mask[None].astype(np.uint8))
    names = tuple(f"case{index}" for index in range(cases))
    return Split(images, masks, names, names)


def network(axes: int = 2) -> nn.Sequential:
    convolution = nn.Conv2d if axes == 2 else nn.Conv3d
    return nn.Sequential(convolution(1, 8, 3, padding=1), nn.ReLU(), convolution(8, 1, 3, padding=1))


def dice_bce() -> CombinedLoss:
    terms = {"type": "combined", "mode": "binary", "dice_weight": 1, "bce_weight": 1}
    return LossManager.create_loss_function(terms).to("cuda")


class Training:
    """A small training on the GPU."""

    def __init__(self, precision: Precision = "fp32", **stepping: int) -> None:
        seed_everything(0)
        self.model = accelerate(network().cuda())
        self.loss, self.precision = dice_bce(), precision
        self.optimizer = build_optimizer("adamw", self.model.parameters(), lr=0.02, weight_decay=0.0)
        self.stepper = Stepper(self.optimizer, clip_norm=1.0, precision=precision, device="cuda", **stepping)

    def epoch(self, number: int, batches: Batches) -> dict[str, float]:
        return train_epoch(
            self.model,
            self.loss,
            self.optimizer,
            batches,
            epoch=number,
            precision=self.precision,
            reference=ReferenceTerms("binary"),
            stepper=self.stepper,
        )


def never_waiting(batches: Batches) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches; from the first to the last of them whatever waits for the GPU is an error."""
    try:
        for batch in batches:
            yield batch
            torch.cuda.set_sync_debug_mode("error")
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("held", [True, False], ids=["held there", "sent in turn"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_nothing_waits_for_the_gpu_in_the_midst_of_an_epoch(precision: Precision, held: bool) -> None:  # noqa: FBT001
    split, training = discs(), Training(precision)
    there = hold_on_device(split, "cuda", crop=CROP) if held else None
    for number in (1, 2):
        options: dict[str, Any] = {"size": 4, "seed": 0, "epoch": number, "crop": CROP}
        batches = training_batches(split, augment="none", held=there, pinned=not held, **options)
        batches = augmented(batches, StandardAugmentation(), seed=0, epoch=number, device="cuda")
        row = training.epoch(number, batches if number == 1 else never_waiting(batches))
    assert np.isfinite(row["train_loss"])


def batches_of(split: Split, bad: set[int]) -> Iterator[tuple[Tensor, Tensor]]:
    for number, (images, masks) in enumerate(training_batches(split, size=4, seed=0, epoch=1, crop=CROP)):
        yield (images * float("nan") if number in bad else images), masks


def test_bad_steps_are_left_out_there_and_counted() -> None:
    training = Training(max_bad_steps=2)
    row = training.epoch(1, batches_of(discs(), bad={2, 5}))
    assert row["bad_steps"] == 2
    assert all(torch.isfinite(weight).all() for weight in training.model.parameters())


def test_one_bad_step_too_many_names_the_terms() -> None:
    training = Training(max_bad_steps=1)
    with pytest.raises(NonFiniteLossError, match="'dice', 'bce' not finite in 2 steps, of which 1 may be"):
        training.epoch(1, batches_of(discs(), bad={2, 5}))


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_it_learns_in_each_precision(precision: Precision) -> None:
    split, training = discs(), Training(precision)
    for number in range(1, 9):
        training.epoch(number, training_batches(split, size=4, seed=0, epoch=number, crop=CROP))
    assert evaluate(training.model, split, mode="binary", batch=8, precision=precision).mean > 0.85


def test_auto_is_what_the_gpu_computes_natively() -> None:
    able = torch.cuda.is_bf16_supported(including_emulation=False)
    assert choose_precision("auto", "cuda") == ("bf16" if able else "fp16")


@pytest.mark.parametrize("axes", [2, 3])
def test_scores_are_those_of_the_cpu(axes: int) -> None:
    split, model = discs(6, axes), network(axes)
    for weight in model.parameters():  # looks at brightness, so that there is something to score
        nn.init.constant_(weight, -0.5 if weight.shape == (1,) else 0.1)
    window = SlidingWindow((16,) * axes, overlap=0.5)
    on_cpu = evaluate(model, split, mode="binary", batch=4, window=window)
    on_gpu = evaluate(model.cuda(), split, mode="binary", batch=4, window=window)
    assert 0.05 < on_cpu.mean < 1
    assert on_gpu.mean == pytest.approx(on_cpu.mean, abs=1e-3)


def test_a_checkpoint_goes_on_there_and_elsewhere(tmp_path: Path) -> None:
    split, training = discs(), Training("fp16")
    training.epoch(1, training_batches(split, size=4, seed=0, epoch=1, crop=CROP))
    with CheckpointManager(tmp_path, "net") as manager:
        manager.save_checkpoint(
            training.model, training.optimizer, None, 1, {"val_dice": 0.5}, scaler=training.stepper.scaler
        )
    drawn = torch.rand(3, device="cuda")
    again, elsewhere = Training("fp16"), network()
    with CheckpointManager(tmp_path, "net") as manager:
        manager.load_checkpoint("latest", again.model, again.optimizer, scaler=again.stepper.scaler, rng=True)
        assert torch.equal(torch.rand(3, device="cuda"), drawn)
        manager.load_checkpoint("latest", elsewhere)
    scale = training.stepper.scaler.get_scale()  # type: ignore[union-attr]
    assert again.stepper.scaler.get_scale() == scale  # type: ignore[union-attr]
    for weight, there, here in zip(
        training.model.parameters(), again.model.parameters(), elsewhere.parameters(), strict=True
    ):
        assert torch.equal(weight, there)
        assert torch.equal(weight.cpu(), here)
    row = again.epoch(2, training_batches(split, size=4, seed=0, epoch=2, crop=CROP))
    assert np.isfinite(row["train_loss"])


def test_what_does_not_fit_is_not_held() -> None:
    wide = np.broadcast_to(np.float32(0), (1, 400_000, 400_000))  # 640 GB, of which none is there
    mask = np.broadcast_to(np.uint8(0), wide.shape)
    assert hold_on_device(Split([wide], [mask], ("case",), ("case",)), "cuda") is None
