"""Time of losses beside MONAI's and torch's, forward and backward, one thread, all in one run.

    python benchmarks/losses.py [--rounds 60]

The contestants take turns, so that all meet the same noise; the median of each is printed, and the ratio to its peer.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from monai.losses import DiceCELoss, DiceFocalLoss
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from components.losses import LossManager

Step = Callable[[], None]


def step(loss: Callable[[Tensor, Tensor], Tensor], logits: Tensor, target: Tensor) -> Step:
    """One forward and backward pass."""

    def run() -> None:
        logits.grad = None
        loss(logits, target).backward()  # type: ignore[no-untyped-call]

    return run


def ours(weights: dict[str, float], mode: str = "binary") -> Any:
    """A combined loss as a trial builds it."""
    terms: dict[str, Any] = {name: {} for name in weights}
    return LossManager.create_loss_function({"mode": mode, "terms": terms, "weights": weights})


def medians(steps: dict[str, Step], rounds: int) -> dict[str, float]:
    """Milliseconds of each, the contestants taking turns."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for index in range(rounds + 3):
        for name, run in steps.items():
            started = time.perf_counter()
            run()
            if index >= 3:
                seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) * 1e3 for name, values in seconds.items()}


def binary(rounds: int) -> list[tuple[str, float, str, float]]:
    """8×1×256×256, sigmoid."""
    logits = torch.randn(8, 1, 256, 256, requires_grad=True)
    target = (torch.rand(8, 1, 256, 256) < 0.2).float()
    four = dict.fromkeys(("dice", "tversky", "bce", "focal"), 0.25)
    times = medians(
        {
            "torch BCE": step(binary_cross_entropy_with_logits, logits, target),
            "MONAI DiceCE": step(DiceCELoss(sigmoid=True), logits, target),
            "MONAI DiceFocal": step(DiceFocalLoss(sigmoid=True), logits, target),
            "Dice + BCE": step(ours({"dice": 0.5, "bce": 0.5}), logits, target),
            "Dice + focal": step(ours({"dice": 0.5, "focal": 0.5}), logits, target),
            "Dice + Tversky + BCE + focal": step(ours(four), logits, target),
        },
        rounds,
    )
    pairs = (
        ("Dice + BCE", "MONAI DiceCE"),
        ("Dice + focal", "MONAI DiceFocal"),
        ("Dice + Tversky + BCE + focal", "torch BCE"),
    )
    return [(name, times[name], peer, times[peer]) for name, peer in pairs]


def multiclass(rounds: int) -> list[tuple[str, float, str, float]]:
    """2×4×96³, softmax."""
    logits = torch.randn(2, 4, 96, 96, 96, requires_grad=True)
    target = torch.randint(0, 4, (2, 96, 96, 96))
    times = medians(
        {
            "MONAI": step(DiceCELoss(softmax=True, to_onehot_y=True), logits, target.unsqueeze(1)),
            "ours": step(ours({"dice": 0.5, "ce": 0.5}, "multiclass"), logits, target),
        },
        max(rounds // 6, 3),
    )
    return [("Dice + CE, 2×4×96³", times["ours"], "MONAI DiceCE", times["MONAI"])]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print("| loss | ms | peer | ms | ratio |\n|---|---|---|---|---|")
    for name, own, peer, theirs in [*binary(rounds), *multiclass(rounds)]:
        print(f"| {name} | {own:.2f} | {peer} | {theirs:.2f} | {own / theirs:.2f} |")


if __name__ == "__main__":
    main()
