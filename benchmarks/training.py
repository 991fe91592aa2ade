"""An epoch of training beside a plain loop: seconds, Dice over seeds and overhead; memory.py has the memory of trials.

    SEGTUNE_DATA=... PYTHONPATH=. python benchmarks/training.py [--epochs 12] [--seeds 10] [--rounds 9] [--device cuda]

Nuclei, crops of 128×128, batch 8, MONAI's UNet (16, 32, 64, 128), one thread. The plain loop is what people write:
fp32, contiguous tensors, a DataLoader over arrays in memory, MONAI's DiceCELoss and DiceMetric. Both loops see the same
images, crop and mirror them, train with AdamW and validate whole images; an epoch is training and validation. `plain
settings` is our loop in fp32, without faster kernels, without a fused optimiser, and without what it watches besides.

On a GPU the plain loop pins its batches, and ours holds the cases there, as a trial does.

The contestants take turns, so that all meet the same noise; the median of each is printed, and the ratio to the plain
loop. For Dice each seed is trained by both from the same initial weights; the interval is that of the mean paired
difference (t distribution).
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from monai.losses import DiceCELoss
from monai.metrics import DiceMetric
from monai.networks.nets import UNet
from scipy import stats
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from components.data import SegmentationData, Split, hold_on_device, training_batches
from components.data.folder import open_folder, split_folder
from components.losses import LossManager, ReferenceTerms
from components.training import (
    Stepper,
    accelerate,
    build_optimizer,
    choose_precision,
    evaluate,
    seed_everything,
    train_epoch,
)

CROP, BATCH, LR, DIVISOR = 128, 8, 1e-2, 8
Epoch = Callable[[int], float]


class Settings(NamedTuple):
    """What our loop is run with."""

    precision: str = "auto"
    accelerated: bool = True
    fused: bool = True
    watched: bool = True


DEFAULT = Settings()
PLAIN = Settings("fp32", accelerated=False, fused=False, watched=False)


def nuclei() -> SegmentationData:
    """The images of the folder that SEGTUNE_DATA names."""
    folder = open_folder(Path(os.environ["SEGTUNE_DATA"]) / "dsb2018_nuclei")
    return split_folder(folder)[0]


def network(channels: int) -> nn.Module:
    """The network of both loops."""
    model: nn.Module = UNet(
        spatial_dims=2,
        in_channels=channels,
        out_channels=1,
        channels=(16, 32, 64, 128),
        strides=(2, 2, 2),
        num_res_units=2,
    )
    return model


class Crops(Dataset[tuple[Tensor, Tensor]]):
    """Random mirrored crops, as a plain script has them."""

    def __init__(self, split: Split) -> None:
        self.split = split

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image, mask = torch.from_numpy(self.split.images[index]), torch.from_numpy(self.split.masks[index]).float()
        top, left = (int(torch.randint(size - CROP + 1, ())) for size in image.shape[1:])
        window = (..., slice(top, top + CROP), slice(left, left + CROP))
        image, mask = image[window], mask[window]
        for axis in (-2, -1):
            if torch.rand(()) < 0.5:
                image, mask = image.flip(axis), mask.flip(axis)
        return image, mask


def plain_loop(
    data: SegmentationData, seed: int, dice_weight: float = 1.0, ce_weight: float = 1.0, device: str = "cpu"
) -> Epoch:
    """A plain PyTorch and MONAI loop; returns the Dice of an epoch."""
    seed_everything(seed)
    model = network(data.in_channels).to(device)
    loss_function = DiceCELoss(sigmoid=True, lambda_dice=dice_weight, lambda_ce=ce_weight)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=1e-5)
    loader = DataLoader(Crops(data.train), batch_size=BATCH, shuffle=True, pin_memory=device == "cuda")
    validation: DataLoader[Any] = DataLoader(
        list(zip(data.val.images, data.val.masks, strict=True)),  # type: ignore[arg-type]  # a list is a data set
        batch_size=1,
    )
    metric = DiceMetric(ignore_empty=False)

    def epoch(number: int) -> float:
        del number
        model.train()
        total = 0.0
        for images, masks in loader:
            images, masks = images.to(device, non_blocking=True), masks.to(device, non_blocking=True)  # noqa: PLW2901
            optimizer.zero_grad()
            loss = loss_function(model(images), masks)
            loss.backward()
            optimizer.step()
            total += loss.item()
        model.eval()
        with torch.no_grad():
            for images, masks in validation:
                metric((torch.sigmoid(model(images.to(device))) > 0.5).float(), masks.to(device).float())
        dice = float(metric.aggregate().item())
        metric.reset()
        return dice

    return epoch


def our_loop(data: SegmentationData, seed: int, settings: Settings = DEFAULT, device: str = "cpu") -> Epoch:
    """The project's loop with DiceCE of the same weights; returns the Dice of an epoch."""
    seed_everything(seed)
    model = network(data.in_channels).to(device)
    if settings.accelerated:
        accelerate(model)
    precision = choose_precision(settings.precision, device)
    loss = LossManager.create_loss_function({"type": "combined", "mode": "binary", "dice_weight": 1, "bce_weight": 1})
    loss.to(device)
    loss.gradient_interval = 32 if settings.watched else None
    optimizer = build_optimizer("adamw", model.parameters(), lr=LR, weight_decay=1e-5, fused=settings.fused)
    stepper = Stepper(optimizer, device=device)
    held = hold_on_device(data.train, device, crop=CROP)

    def epoch(number: int) -> float:
        batches = training_batches(
            data.train, size=BATCH, seed=seed, epoch=number, augment="flip", crop=CROP, held=held
        )
        watch = ReferenceTerms("binary") if settings.watched else None
        train_epoch(
            model, loss, optimizer, batches, epoch=number, precision=precision, reference=watch, stepper=stepper
        )
        watch = ReferenceTerms("binary") if settings.watched else None
        scores = evaluate(
            model, data.val, mode="binary", batch=BATCH, precision=precision, divisor=DIVISOR, reference=watch
        )
        return scores.mean

    return epoch


def seconds(data: SegmentationData, rounds: int, device: str) -> Iterator[tuple[str, float, float]]:
    """Median seconds of an epoch of each, and the ratio to the plain loop in the same round."""
    loops = {
        "plain loop": plain_loop(data, 0, device=device),
        "segtune": our_loop(data, 0, device=device),
        "segtune, plain settings": our_loop(data, 0, PLAIN, device),
    }
    times: dict[str, list[float]] = {name: [] for name in loops}
    for number in range(rounds + 1):
        for name, epoch in loops.items():
            started = time.perf_counter()
            epoch(number + 1)
            if number:  # the first one warms up
                times[name].append(time.perf_counter() - started)
    plain = times["plain loop"]
    for name, found in times.items():
        ratios = [own / other for own, other in zip(found, plain, strict=True)]
        yield name, statistics.median(found), statistics.median(ratios)


def dice(data: SegmentationData, epochs: int, seeds: int, device: str) -> dict[str, Any]:
    """Dice after the last epoch of both, paired by seed."""
    pairs = []
    for seed in range(seeds):
        ours, plain = our_loop(data, seed, device=device), plain_loop(data, seed, device=device)
        found = [[loop(number) for number in range(1, epochs + 1)][-1] for loop in (ours, plain)]
        pairs.append(found)
        print(f"seed {seed}: segtune {found[0]:.4f}, plain {found[1]:.4f}", flush=True)
    own, plain_dice = np.array(pairs).T
    differences = own - plain_dice
    half = stats.t.ppf(0.975, seeds - 1) * differences.std(ddof=1) / np.sqrt(seeds)
    return {
        "own": own.mean(),
        "plain": plain_dice.mean(),
        "low": differences.mean() - half,
        "high": differences.mean() + half,
    }


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = nuclei()
    print("| an epoch of nuclei | median s | ratio | goal |\n|---|---|---|---|")
    goals = {"segtune": "0.5", "segtune, plain settings": "1.03"}
    for name, median, ratio in seconds(data, options.rounds, options.device):
        print(f"| {name} | {median:.3g} | {ratio:.2f} | {goals.get(name, '')} |", flush=True)
    if options.seeds:
        found = dice(data, options.epochs, options.seeds, options.device)
        print(
            f"\nDice after {options.epochs} epochs, {options.seeds} seeds: segtune {found['own']:.4f}, plain loop "
            f"{found['plain']:.4f}; difference {found['low']:+.4f} to {found['high']:+.4f} (95 %; goal: above -0.01)"
        )


if __name__ == "__main__":
    main()
