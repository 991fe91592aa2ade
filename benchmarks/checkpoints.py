"""What saving costs, beside torch.save.

    python benchmarks/checkpoints.py [--rounds 9]

A durable save of 105 MB (files forced to the disk, every byte hashed) beside `torch.save` of the same weights followed
by fsync, in turn; and the share of a training loop's time that waits for saving when each epoch improves.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from components.checkpoints import CheckpointManager
from components.training import small_unet

Save = Callable[[nn.Module, torch.optim.Optimizer | None, int], object]


def saved_by_torch(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer | None, epoch: int) -> None:
    """What most training scripts do, made durable."""
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict() if optimizer else None}
    with (folder / f"{epoch}.pth").open("wb") as stream:
        torch.save(state, stream)
        stream.flush()
        os.fsync(stream.fileno())


def saved_by_manager(folder: Path, *, asynchronous: bool = False) -> Save:
    """A manager that keeps everything, so that nothing is deleted meanwhile."""
    manager = CheckpointManager(folder, save_strategy="all")

    def save(model: nn.Module, optimizer: torch.optim.Optimizer | None, epoch: int) -> object:
        metrics = {"val_dice": float(epoch)}
        if asynchronous:
            return manager.save_checkpoint(model, optimizer, epoch=epoch, metrics=metrics, asynchronous=True)
        return manager.save_checkpoint(model, optimizer, epoch=epoch, metrics=metrics)

    return save


def large_save(folder: Path, rounds: int) -> None:
    """105 MB of weights."""
    model = nn.Sequential(*(nn.Linear(1024, 1024) for _ in range(25)))
    manager = saved_by_manager(folder / "manager")
    seconds: dict[str, list[float]] = {"manager": [], "torch.save + fsync": []}
    for epoch in range(1, rounds + 2):
        for name, save in (("manager", manager), ("torch.save + fsync", _torch_into(folder))):
            started = time.perf_counter()
            save(model, None, epoch)
            if epoch > 1:
                seconds[name].append(time.perf_counter() - started)
        for path in folder.glob("*.pth"):
            path.unlink()
    own, theirs = (statistics.median(values) for values in seconds.values())
    print("| durable save of 105 MB | median s | goal |\n|---|---|---|")
    for name, values in seconds.items():
        print(f"| {name} | {statistics.median(values):.3f} | |")
    print(f"| ratio | {own / theirs:.2f} | 1.5 |")


def _torch_into(folder: Path) -> Save:
    return lambda model, optimizer, epoch: saved_by_torch(folder, model, optimizer, epoch)


def stall(folder: Path, epochs: int) -> None:
    """Share of a training loop that waits for saving, when every epoch is saved."""
    print("\n| a save each epoch of a small U-Net | share of the time that training waits, % | goal |\n|---|---|---|")
    ways: dict[str, Save] = {
        "manager": saved_by_manager(folder / "a"),
        "manager, asynchronous": saved_by_manager(folder / "b", asynchronous=True),
        "torch.save + fsync": _torch_into(folder),
    }
    for name, save in ways.items():
        print(f"| {name} | {100 * waiting(save, epochs):.2f} | 1 |")


def waiting(save: Save, epochs: int) -> float:
    """Seconds in `save` over seconds in all."""
    torch.manual_seed(0)
    model = small_unet(1, 1)
    optimizer = torch.optim.AdamW(model.parameters())
    images = torch.randn(8, 1, 128, 128)
    target = (images > 1).float()
    began, stalled = time.perf_counter(), 0.0
    for epoch in range(1, epochs + 1):
        for _ in range(8):
            optimizer.zero_grad()
            binary_cross_entropy_with_logits(model(images), target).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        started = time.perf_counter()
        save(model, optimizer, epoch)
        stalled += time.perf_counter() - started
    return stalled / (time.perf_counter() - began)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        large_save(Path(folder), rounds)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        stall(Path(folder), rounds)


if __name__ == "__main__":
    main()
