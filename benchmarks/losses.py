"""Time and memory of losses beside MONAI's and torch's, forward and backward, one thread, all in one run.

    python benchmarks/losses.py [--rounds 60] [--plot docs/images/losses.svg] [--device cuda]

The contestants take turns, so that all meet the same noise; the median of each is printed, and the ratio to its peer.
Memory is what the process grew by at its largest, each contestant in a process of its own; on a GPU what its allocator
held at most. The start of a compiled loss is measured in new processes too, first with an empty cache, then with what
that left.
"""

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from monai.losses import DiceCELoss, DiceFocalLoss
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from components.losses import LossManager
from components.losses.combined import GRADIENT_INTERVAL

Step = Callable[[], None]

DICE_BCE = {"dice": 0.5, "bce": 0.5}
DICE_FOCAL = {"dice": 0.5, "focal": 0.5}
DICE_CE = {"dice": 0.5, "ce": 0.5}
FOUR = dict.fromkeys(("dice", "tversky", "bce", "focal"), 0.25)


class Row(NamedTuple):
    """A contestant beside its peer, in milliseconds or mebibytes."""

    name: str
    own: float
    peer: str
    theirs: float
    goal: float

    @property
    def ratio(self) -> float:
        """Own over the peer's."""
        return self.own / self.theirs


def step(loss: Callable[[Tensor, Tensor], Tensor], logits: Tensor, target: Tensor) -> Step:
    """One forward and backward pass."""

    def run() -> None:
        logits.grad = None
        loss(logits, target).backward()  # type: ignore[no-untyped-call]
        if logits.is_cuda:
            torch.cuda.synchronize()

    return run


def ours(weights: dict[str, float], mode: str = "binary", **options: Any) -> Any:
    """A combined loss as a trial builds it."""
    terms: dict[str, Any] = {name: {} for name in weights}
    return LossManager.create_loss_function({"mode": mode, "terms": terms, "weights": weights, **options})


def medians(steps: dict[str, Step], rounds: int, *, warm_ups: int = 3) -> dict[str, float]:
    """Milliseconds of each, the contestants taking turns."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for index in range(rounds + warm_ups):
        for name, run in steps.items():
            started = time.perf_counter()
            run()
            if index >= warm_ups:
                seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) * 1e3 for name, values in seconds.items()}


def images(device: str = "cpu") -> tuple[Tensor, Tensor]:
    """Logits and labels, 8×1×256×256."""
    logits, target = torch.randn(8, 1, 256, 256, device=device), torch.rand(8, 1, 256, 256, device=device) < 0.2
    return logits.requires_grad_(), target.float()


def binary(rounds: int, device: str) -> list[Row]:
    """8×1×256×256, sigmoid."""
    logits, target = images(device)
    contestants = {
        "torch BCE": binary_cross_entropy_with_logits,
        "MONAI DiceCE": DiceCELoss(sigmoid=True),
        "MONAI DiceFocal": DiceFocalLoss(sigmoid=True),
        "Dice + BCE": ours(DICE_BCE),
        "Dice + BCE, compiled": ours(DICE_BCE, compile=True),
        "Dice + focal": ours(DICE_FOCAL),
        "Dice + focal, compiled": ours(DICE_FOCAL, compile=True),
        "Dice + Tversky + BCE + focal": ours(FOUR),
        "Dice + Tversky + BCE + focal, compiled": ours(FOUR, compile=True),
    }
    times = medians({name: step(loss, logits, target) for name, loss in contestants.items()}, rounds)
    pairs = (
        ("Dice + BCE", "MONAI DiceCE", 0.8),
        ("Dice + focal", "MONAI DiceFocal", 0.4),
        ("Dice + BCE, compiled", "MONAI DiceCE", 0.6),
        ("Dice + focal, compiled", "MONAI DiceFocal", 0.3),
        ("Dice + Tversky + BCE + focal", "torch BCE", 2.0),
        ("Dice + Tversky + BCE + focal, compiled", "torch BCE", 2.0),
    )
    return [Row(name, times[name], peer, times[peer], goal) for name, peer, goal in pairs]


def breakdown(rounds: int, device: str) -> list[Row]:
    """What measuring the terms' gradients adds, over as many steps as lie between two measurements."""
    logits, target = images(device)
    rows = []
    for name, weights in (("Dice + BCE", DICE_BCE), ("Dice + focal", DICE_FOCAL)):
        plain, measured = ours(weights), ours(weights)
        measured.gradient_interval = GRADIENT_INTERVAL

        def cycle(loss: Any) -> Step:
            def run() -> None:
                for _ in range(GRADIENT_INTERVAL):
                    step(lambda x, g: loss.breakdown(x, g).total, logits, target)()

            return run

        times = medians({"with": cycle(measured), "without": cycle(plain)}, max(rounds // 4, 3))
        rows.append(Row(f"{name}, breakdown with gradients", times["with"], "the same without", times["without"], 1.05))
    return rows


def volumes(device: str = "cpu") -> tuple[Tensor, Tensor]:
    """Logits and labels, 2×4×96³."""
    logits = torch.randn(2, 4, 96, 96, 96, device=device, requires_grad=True)
    return logits, torch.randint(0, 4, (2, 96, 96, 96), device=device)


def of_volumes(peer: str) -> Callable[[Tensor, Tensor], Tensor]:
    """The contestants over classes, by name; MONAI's takes labels with a channel."""
    if peer == "ours":
        return ours(DICE_CE, "multiclass")  # type: ignore[no-any-return]
    theirs = DiceCELoss(softmax=True, to_onehot_y=True)
    return lambda logits, target: theirs(logits, target.unsqueeze(1))


def multiclass(rounds: int, device: str) -> list[Row]:
    """2×4×96³, softmax."""
    logits, target = volumes(device)
    times = medians(
        {name: step(of_volumes(name), logits, target) for name in ("MONAI", "ours")}, max(rounds // 4, 3), warm_ups=1
    )
    return [Row("Dice + CE, 2×4×96³", times["ours"], "MONAI DiceCE", times["MONAI"], 0.5)]


def memory(device: str) -> list[Row]:
    """Mebibytes beyond logits and labels, 2×4×96³."""
    measure = growth_on_gpu if device == "cuda" else growth
    own, theirs = (in_new_process(measure, name) for name in ("ours", "MONAI"))
    return [Row("Dice + CE, 2×4×96³, MiB", own, "MONAI DiceCE", theirs, 0.4)]


def growth(name: str) -> float:
    """Mebibytes that a process grows by, at its largest, in a forward and backward pass."""
    torch.set_num_threads(1)
    loss, (logits, target) = of_volumes(name), volumes()
    step(loss, torch.randn(1, 4, 8, 8, 8, requires_grad=True), torch.randint(0, 4, (1, 8, 8, 8)))()
    before = largest()
    step(loss, logits, target)()
    return largest() - before


def growth_on_gpu(name: str) -> float:
    """Mebibytes that the allocator holds beyond logits and labels, at most, in a forward and backward pass."""
    loss, (logits, target) = of_volumes(name), volumes("cuda")
    step(loss, logits, target)()
    logits.grad = None
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    step(loss, logits, target)()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def largest() -> float:
    """Mebibytes that this process held at its largest; Linux only."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def first_step(cache: str) -> float:
    """Seconds of the first forward and backward pass of a compiled loss."""
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
    torch.set_num_threads(1)
    logits, target = images()
    started = time.perf_counter()
    step(ours(DICE_FOCAL, compile=True), logits, target)()
    return time.perf_counter() - started


def in_new_process(function: Callable[[str], float], argument: str) -> float:
    """What the function returns there."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply(function, (argument,))
        pool.close()
        pool.join()
    return found


def plot(rows: list[Row], path: Path) -> None:
    """Bars of the ratios, with the goal of each."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 0.5 * len(rows) + 1.2), layout="constrained")
    for index, row in enumerate(rows):
        met = row.ratio <= row.goal
        axes.barh(index, row.ratio, color="#2a7f62" if met else "#c2703d", height=0.6)
        axes.plot([row.goal, row.goal], [index - 0.4, index + 0.4], color="black", linewidth=2)
        axes.text(max(row.ratio, row.goal) + 0.03, index, f"{row.ratio:.2f}", va="center")
    axes.set_yticks(range(len(rows)), [f"{row.name}\nbeside {row.peer}" for row in rows], fontsize=8)
    axes.invert_yaxis()
    axes.axvline(1.0, color="grey", linestyle=":")
    axes.set_xlabel("time (or memory) over the peer's; the black mark is the goal")
    axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Print the table, and draw it where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    arguments = parser.parse_args()
    rounds, device = arguments.rounds, arguments.device
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rows = [*binary(rounds, device), *breakdown(rounds, device), *multiclass(rounds, device), *memory(device)]
    print("| loss | ms | peer | ms | ratio | goal |\n|---|---|---|---|---|---|")
    for row in rows:
        print(f"| {row.name} | {row.own:.2f} | {row.peer} | {row.theirs:.2f} | {row.ratio:.2f} | {row.goal:g} |")
    if device == "cpu":
        start_of_compiled_loss()
    if arguments.plot is not None:
        plot(rows, arguments.plot)


def start_of_compiled_loss() -> None:
    """Print it."""
    with tempfile.TemporaryDirectory() as cache:
        cold, cached = (in_new_process(first_step, cache) for _ in range(2))
    print(
        f"\nFirst step of a compiled loss in a new process: {cold:.1f} s, and {cached:.1f} s with what that one cached."
    )


if __name__ == "__main__":
    main()
