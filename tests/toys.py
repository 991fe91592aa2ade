"""Networks, losses and data that the tests name by dotted path."""

import errno
import os
import signal
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.toy import tiny_data
from components.data import SegmentationData

__all__ = ["tiny_data"]


def network(in_channels: int, out_channels: int, spatial_dims: int, *, seconds: float = 0.0) -> nn.Module:
    """A few convolutions with dropout, so that a resumed trial needs the state of the random numbers too."""
    del spatial_dims
    return nn.Sequential(
        Sleep(seconds),
        nn.Conv2d(in_channels, 8, 3, padding=1),
        nn.ReLU(),
        nn.Dropout2d(0.2),
        nn.Conv2d(8, out_channels, 3, padding=1),
    )


class Sleep(nn.Module):
    """Takes its time, so that a kill finds a trial at work."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            time.sleep(self.seconds)
        return images


def other_data() -> SegmentationData:
    """The same cases with one pixel changed."""
    data = tiny_data()
    data.train.images[0][0, 0, 0] += 1
    return data


def broken_network(in_channels: int, out_channels: int, spatial_dims: int) -> nn.Module:
    del out_channels, spatial_dims
    raise ValueError(f"no network for {in_channels} channels")


class Untrainable(nn.Conv2d):
    """Answers, but fails in every training step."""

    def forward(self, images: Tensor) -> Tensor:
        if self.training:
            print("about to step")  # noqa: T201 - must be found in the trial's log
            raise ValueError(f"no step for {self.in_channels} channels")
        return super().forward(images)


def untrainable_network(in_channels: int, out_channels: int, spatial_dims: int) -> nn.Module:
    del spatial_dims
    return Untrainable(in_channels, out_channels, 1)


class NaNLoss(nn.Module):
    """A loss that is NaN from the third step of the second epoch on."""

    def __init__(self, **options: object) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        self.calls += 1
        return logits.sum() * (float("nan") if self.calls > 8 else 0.0)


class DiesOnce(nn.Module):
    """Kills its own worker at the third step of the second epoch, unless a file says that it has done so."""

    def __init__(self, done: str) -> None:
        super().__init__()
        self.done, self.steps = Path(done), 0

    def forward(self, images: Tensor) -> Tensor:
        self.steps += self.training
        if self.steps == 9 and not self.done.exists():
            self.done.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return images


def dying_network(in_channels: int, out_channels: int, spatial_dims: int, *, done: str) -> nn.Module:
    return nn.Sequential(DiesOnce(done), network(in_channels, out_channels, spatial_dims))


class FullDisk(nn.Module):
    """Finds the disk full in the second epoch, as long as a file is there."""

    def __init__(self, filler: str) -> None:
        super().__init__()
        self.filler, self.steps = Path(filler), 0

    def forward(self, images: Tensor) -> Tensor:
        self.steps += self.training
        if self.steps > 8 and self.filler.exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return images


def full_disk_network(in_channels: int, out_channels: int, spatial_dims: int, *, filler: str) -> nn.Module:
    return nn.Sequential(FullDisk(filler), network(in_channels, out_channels, spatial_dims))


def threads_network(in_channels: int, out_channels: int, spatial_dims: int) -> nn.Module:
    print(f"threads: {torch.get_num_threads()}")  # noqa: T201 - read from the trial's log
    return network(in_channels, out_channels, spatial_dims)
