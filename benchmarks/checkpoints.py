"""What saving costs, beside torch.save.

    python benchmarks/checkpoints.py [--rounds 9]

A durable save of 105 MB (files forced to the disk, every byte hashed) beside `torch.save` of the same weights followed
by fsync, in turn; and the share of a training loop's time that waits for saving when each epoch improves, beside
`torch.save` with and without fsync and Lightning's ModelCheckpoint (which has no fsync and no hashes).
"""

import argparse
import logging
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader, TensorDataset

from components.checkpoints import CheckpointManager
from components.training import small_unet

_EPOCHS, _STEPS, _TURNS = 10, 8, 5
Save = Callable[[nn.Module, torch.optim.Optimizer | None, int], object]


def saved_by_torch(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer | None, epoch: int, *, durable: bool = True
) -> None:
    """What most training scripts do, made durable or not."""
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict() if optimizer else None}
    with (folder / f"{epoch}.pth").open("wb") as stream:
        torch.save(state, stream)
        if durable:
            stream.flush()
            os.fsync(stream.fileno())


def saved_by_manager(manager: CheckpointManager, *, asynchronous: bool = False) -> Save:
    """Every epoch improves."""

    def save(model: nn.Module, optimizer: torch.optim.Optimizer | None, epoch: int) -> object:
        metrics = {"val_dice": float(epoch)}
        if asynchronous:
            return manager.save_checkpoint(model, optimizer, epoch=epoch, metrics=metrics, asynchronous=True)
        return manager.save_checkpoint(model, optimizer, epoch=epoch, metrics=metrics)

    return save


def large_save(folder: Path, rounds: int) -> None:
    """105 MB of weights."""
    model = nn.Sequential(*(nn.Linear(1024, 1024) for _ in range(25)))
    manager = saved_by_manager(CheckpointManager(folder / "manager", save_strategy="all"))
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


def stall(folder: Path, epochs: int, rounds: int) -> None:
    """Share of a training loop that waits for saving, when every epoch improves and the five best are kept."""
    ways: dict[str, Callable[[Path], float]] = {
        "manager": lambda place: waiting(saved_by_manager(CheckpointManager(place)), epochs),
        "manager, asynchronous": lambda place: waiting(
            saved_by_manager(CheckpointManager(place), asynchronous=True), epochs
        ),
        "torch.save + fsync": lambda place: waiting(_torch_into(place), epochs),
        "torch.save": lambda place: waiting(_torch_into(place, durable=False), epochs),
        "Lightning ModelCheckpoint": lambda place: waiting_of_lightning(place, epochs),
    }
    shares: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds):
        for number, (name, way) in enumerate(ways.items()):
            place = folder / f"{turn}-{number}"
            place.mkdir()
            shares[name].append(100 * way(place))
    print(f"\n| a save each of {epochs} epochs of a small U-Net | training waits, % of the time | from | to | goal |")
    print("|---|---|---|---|---|")
    for name, values in shares.items():
        goal = "1" if name.startswith("manager") else ""
        print(f"| {name} | {statistics.median(values):.2f} | {min(values):.2f} | {max(values):.2f} | {goal} |")


def waiting(save: Save, epochs: int) -> float:
    """Seconds in `save` over seconds in all."""
    model, images, target = _task()
    optimizer = torch.optim.AdamW(model.parameters())
    began, stalled = time.perf_counter(), 0.0
    for epoch in range(1, epochs + 1):
        for _ in range(_STEPS):
            optimizer.zero_grad()
            binary_cross_entropy_with_logits(model(images), target).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        started = time.perf_counter()
        save(model, optimizer, epoch)
        stalled += time.perf_counter() - started
    return stalled / (time.perf_counter() - began)


def waiting_of_lightning(folder: Path, epochs: int) -> float:
    """The same training in Lightning, and the seconds in its ModelCheckpoint."""
    import pytorch_lightning as lightning
    from pytorch_lightning.callbacks import ModelCheckpoint

    model, images, target = _task()

    class Task(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = model

        def training_step(self, batch: object, index: int) -> Tensor:
            del batch, index
            return binary_cross_entropy_with_logits(self.network(images), target)

        def on_train_epoch_end(self) -> None:
            self.log("val_dice", float(self.current_epoch))

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.network.parameters())

    class Timed(ModelCheckpoint):
        seconds = 0.0

        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            started = time.perf_counter()
            super().on_train_epoch_end(trainer, pl_module)
            self.seconds += time.perf_counter() - started

    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    timed = Timed(folder, monitor="val_dice", mode="max", save_top_k=5, save_on_train_epoch_end=True)
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        callbacks=[timed],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(Task(), DataLoader(TensorDataset(torch.zeros(_STEPS))))
    if len(list(folder.glob("*.ckpt"))) != min(epochs, 5):
        raise RuntimeError(f"Lightning did not save as asked: {list(folder.iterdir())}")
    return timed.seconds / (time.perf_counter() - started)


def _task() -> tuple[nn.Module, Tensor, Tensor]:
    torch.manual_seed(0)
    images = torch.randn(8, 1, 128, 128)
    return small_unet(1, 1), images, (images > 1).float()


def _torch_into(folder: Path, *, durable: bool = True) -> Save:
    return partial(saved_by_torch, folder, durable=durable)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        large_save(Path(folder), rounds)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        stall(Path(folder), _EPOCHS, _TURNS)


if __name__ == "__main__":
    main()
