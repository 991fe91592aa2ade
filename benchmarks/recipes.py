"""Which part of a training recipe brings Dice per minute on a CPU: one change at a time, at equal CPU seconds.

Each variant trains the same data for the same CPU seconds of one thread, so that a busy machine changes little.
Validation is not counted. Results are appended to a file of JSON lines; what stands there already is not run again.

    SEGTUNE_DATA=... PYTHONPATH=. python benchmarks/recipes.py --data vessels --seconds 240 --out recipes.jsonl
    PYTHONPATH=. python benchmarks/recipes.py --show recipes.jsonl
"""

import argparse
import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from components.averaging import ExponentialAverage
from components.data import SegmentationData, Split, StandardAugmentation
from components.data.epochs import EpochBatches
from components.data.folder import open_folder
from components.data.folder.normalize import NORMALIZATIONS
from components.data.folder.splits import read_split
from components.losses import LossManager
from components.training import Stepper, accelerate, build_optimizer, evaluate, seed_everything, train_epoch
from components.training.named import named_augmentation
from components.training.precision import Precision
from components.training_settings import TrainingSettings

FOLDERS = {"vessels": "chase_db1_vessels", "nuclei": "dsb2018_nuclei", "hippocampus": "msd_hippocampus"}
THREADS = 1
COOLDOWN = 0.2


@dataclass(frozen=True)
class Variant:
    """One recipe."""

    channels: tuple[int, ...] = (16, 32, 64, 128)
    units: int = 2
    network: str = "unet"
    optimizer: str = "adamw"
    lr: float = 3e-3
    decay: float = 1e-4
    momentum: float = 0.9
    schedule: str = "cosine"
    batch: int = 8
    crop: int | tuple[int, ...] = 128
    foreground: float = 0.0
    augment: str = "turns"
    precision: Precision = "bf16"
    clip: float | None = None
    normalize: str = "zscore"
    loss: dict[str, float] = field(default_factory=lambda: {"dice": 0.5, "bce": 0.5})


PLAIN = Variant()
VARIANTS: dict[str, Variant] = {
    "plain": PLAIN,
    "small": replace(PLAIN, channels=(16, 32, 64), units=1),
    "wide": replace(PLAIN, channels=(32, 64, 128, 256)),
    "deep": replace(PLAIN, channels=(16, 32, 64, 128, 256)),
    "basic": replace(PLAIN, network="basic"),
    "dynunet": replace(PLAIN, network="dynunet"),
    "segresnet": replace(PLAIN, network="segresnet"),
    "trapezoid": replace(PLAIN, schedule="trapezoid"),
    "poly": replace(PLAIN, schedule="poly"),
    "batch 4": replace(PLAIN, batch=4),
    "batch 16": replace(PLAIN, batch=16),
    "lr 1e-3": replace(PLAIN, lr=1e-3),
    "lr 1e-2": replace(PLAIN, lr=1e-2),
    "sgd": replace(PLAIN, optimizer="sgd", lr=1e-2, momentum=0.99, decay=3e-5, schedule="poly"),
    "standard": replace(PLAIN, augment="standard"),
    "strong": replace(PLAIN, augment="strong"),
    "standard recipe": replace(PLAIN, schedule="trapezoid", augment="standard", foreground=0.33),
    "strong recipe": replace(PLAIN, schedule="trapezoid", augment="strong", foreground=0.33),
    "no augment": replace(PLAIN, augment="none"),
    "fp32": replace(PLAIN, precision="fp32"),
    "clip": replace(PLAIN, clip=12.0),
    "foreground": replace(PLAIN, foreground=0.33),
    "dice": replace(PLAIN, loss={"dice": 1.0}),
    **{f"normalize {name}": replace(PLAIN, normalize=name) for name in NORMALIZATIONS},
}
VOLUMES: dict[str, Any] = {
    "crop": (32, 48, 32),
    "batch": 2,
    "foreground": 0.33,
    "augment": "none",
    "loss": {"dice": 0.5, "ce": 0.5},
}


def main() -> None:
    """Run what is missing, or show what is there."""
    options = _options()
    if options.show:
        _show(options.show)
        return
    torch.set_num_threads(THREADS)
    done = {(row["data"], row["variant"], row["seed"], row["seconds"]) for row in _rows(options.out)}
    for seed in range(options.seeds):
        for name in options.only or VARIANTS:
            if (options.data, name, seed, options.seconds) in done:
                continue
            data = load(options.data, VARIANTS[name].normalize)
            variant = replace(VARIANTS[name], **VOLUMES) if data.spatial_dims > 2 else VARIANTS[name]
            row = {"data": options.data, "variant": name, "seed": seed, "seconds": options.seconds}
            row |= train(data, variant, seconds=options.seconds, seed=seed)
            print(json.dumps(row), flush=True)
            with options.out.open("a") as file:
                file.write(json.dumps(row) + "\n")


def load(name: str, normalize: str) -> SegmentationData:
    """A data set in its own split, each image normalised by itself."""
    root = Path(os.environ["SEGTUNE_DATA"]) / FOLDERS[name]
    folder = open_folder(root, normalize=normalize)
    return folder.data(read_split(root / "split.json", list(folder.cases)), {stem: stem for stem in folder.cases})


def train(data: SegmentationData, variant: Variant, *, seconds: float, seed: int) -> dict[str, Any]:
    """Train for so many CPU seconds; Dice of the best epoch on validation and what it gives on test."""
    seed_everything(seed)
    model = accelerate(build(variant, data))
    optimizer = build_optimizer(
        variant.optimizer, model.parameters(), lr=variant.lr, weight_decay=variant.decay, momentum=variant.momentum
    )
    loss = LossManager.create_loss_function(
        {"type": "combined", "weights": variant.loss, "terms": {name: {} for name in variant.loss}, "mode": data.mode}
    )
    crop = variant.crop if isinstance(variant.crop, int) else list(variant.crop)
    batches = EpochBatches(
        data.train,
        size=variant.batch,
        seed=seed,
        device="cpu",
        augment="none",
        augmentation=augmentation(variant.augment, data.train),
        crop=crop,
        divisor=16,
        foreground=variant.foreground,
    )
    stepper = Stepper(optimizer, precision=variant.precision, device="cpu", clip_norm=variant.clip)
    average = ExponentialAverage(model, decay=0.99)
    spent, steps, best, best_average, chosen, chosen_average = 0.0, 0, 0.0, 0.0, None, None
    next_look = 0.3
    for epoch in count(1):
        started = time.process_time()
        _set_lr(optimizer, variant, spent / seconds)

        def after() -> None:
            average.update(model)

        train_epoch(
            model,
            loss,
            optimizer,
            batches.of(epoch),
            epoch=epoch,
            precision=variant.precision,
            stepper=stepper,
            after_step=after,
        )
        spent += time.process_time() - started
        steps += math.ceil(len(data.train) / variant.batch)
        if spent < next_look * seconds and spent < seconds:
            continue
        next_look = spent / seconds + 0.04
        found = evaluate(model, data.val, mode=data.mode, batch=8, precision=variant.precision, divisor=16).mean
        if found > best:
            best, chosen = found, {name: value.clone() for name, value in model.state_dict().items()}
        found = evaluate(
            average.network, data.val, mode=data.mode, batch=8, precision=variant.precision, divisor=16
        ).mean
        if found > best_average:
            best_average = found
            chosen_average = {name: value.clone() for name, value in average.network.state_dict().items()}
        if spent >= seconds:
            break
    scores: dict[str, Any] = {"epochs": epoch, "steps": steps, "val": best, "val_ema": best_average}
    for suffix, weights in (("", chosen), ("_ema", chosen_average)):
        if weights is not None:
            model.load_state_dict(weights)
        scores |= {
            f"val{suffix}_tta": mirrored_dice(model, data.val, data, variant.precision),
            f"test{suffix}": evaluate(
                model, data.test, mode=data.mode, batch=8, precision=variant.precision, divisor=16
            ).mean,
            f"test{suffix}_tta": mirrored_dice(model, data.test, data, variant.precision),
        }
    return scores


def mirrored_dice(model: nn.Module, split: Split, data: SegmentationData, precision: Precision) -> float:
    """Dice of the mean of the logits over all mirrorings; not for axes that may not be mirrored."""
    axes = list(range(2, 2 + data.spatial_dims))
    mirrorings = [[axis for bit, axis in enumerate(axes) if code >> bit & 1] for code in range(2 ** len(axes))]

    class Mean(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = model

        def forward(self, images: Tensor) -> Tensor:
            logits = [model(images.flip(part) if part else images) for part in mirrorings]
            flipped = [found.flip(part) if part else found for found, part in zip(logits, mirrorings, strict=True)]
            return torch.stack([found.float() for found in flipped]).mean(0)

    return evaluate(Mean(), split, mode=data.mode, batch=8, precision=precision, divisor=16).mean


def build(variant: Variant, data: SegmentationData) -> nn.Module:
    """The network of a variant, from MONAI."""
    from monai.networks import nets

    common: dict[str, Any] = {
        "spatial_dims": data.spatial_dims,
        "in_channels": data.in_channels,
        "out_channels": len(data.classes),
    }
    levels = len(variant.channels)
    steps = [2] * (levels - 1)
    builders: dict[str, Callable[[], Any]] = {
        "basic": lambda: nets.BasicUNet(**common, features=(16, 16, 32, 64, 128, 16)),
        "segresnet": lambda: nets.SegResNet(**common, init_filters=16, blocks_down=(1, 1, 1, 1), blocks_up=(1, 1, 1)),
        "dynunet": lambda: nets.DynUNet(
            **common,
            kernel_size=[3] * levels,
            strides=[1, *steps],
            upsample_kernel_size=steps,
            filters=variant.channels,
        ),
        "unet": lambda: nets.UNet(**common, channels=variant.channels, strides=steps, num_res_units=variant.units),
    }
    network: nn.Module = builders[variant.network]()
    return network


def augmentation(name: str, split: Split) -> Callable[..., Any] | None:
    """Mirroring and turns alone, or a named set."""
    if name == "turns":
        return StandardAugmentation(contrast=0, brightness=0, noise=0)
    return named_augmentation(TrainingSettings(augment=name), split)


def _set_lr(optimizer: torch.optim.Optimizer, variant: Variant, share: float) -> None:
    share = min(share, 1.0)
    factor = {
        "cosine": (1 + math.cos(math.pi * share)) / 2,
        "poly": (1 - share) ** 0.9,
        "trapezoid": 1.0 if share < 1 - COOLDOWN else 1 - math.sqrt((share - 1 + COOLDOWN) / COOLDOWN),
    }[variant.schedule]
    for group in optimizer.param_groups:
        group["lr"] = variant.lr * max(factor, 1e-3)


def _rows(path: Path | None) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path and path.exists() else []


def _show(path: Path) -> None:
    names = ("val", "val_ema", "val_tta", "val_ema_tta", "test", "test_ema", "test_tta", "test_ema_tta")
    print("| data | variant | seeds | epochs | " + " | ".join(names) + " |")
    print("|---" * (len(names) + 4) + "|")
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in _rows(path):
        found.setdefault((row["data"], row["variant"]), []).append(row)
    for (data, variant), rows in found.items():
        means = [f"{sum(row[name] for row in rows) / len(rows):.4f}" for name in names]
        print(f"| {data} | {variant} | {len(rows)} | {rows[0]['epochs']} | {' | '.join(means)} |")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", choices=FOLDERS, default="vessels")
    parser.add_argument("--seconds", type=float, default=240)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", nargs="*", choices=VARIANTS)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--show", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
