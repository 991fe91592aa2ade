"""Networks, losses and data that the tests name by dotted path."""

import errno
import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.toy import tiny_data
from components.data import SegmentationData, Split

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


class WatchedData(SegmentationData):
    """Writes down, in each process that builds a network for it, where the memory of its arrays is."""

    @property
    def in_channels(self) -> int:
        arrays: list[np.ndarray] = []
        for split in self.splits.values():
            arrays += [*split.images, *split.masks]
        places = [place_in_memory(array) for array in arrays]
        line = {"process": os.getpid(), "places": places, "refused": sum(map(refuses_to_be_written, arrays))}
        with Path(self.facts["seen"]).open("a") as file:
            file.write(json.dumps(line) + "\n")
        return super().in_channels


def watched_data(seen: str, decoded: str) -> SegmentationData:
    """Half a megabyte, every other case a view that skips pixels; says when it is decoded."""
    with Path(decoded).open("a") as file:
        file.write(f"{os.getpid()}\n")
    random = np.random.default_rng(0)

    def split(name: str, cases: int) -> Split:
        wide = random.standard_normal((cases, 1, 64, 128)).astype(np.float32)
        images = [image[..., ::2] if number % 2 else image[..., :64].copy() for number, image in enumerate(wide)]
        names = tuple(f"{name}_{number}" for number in range(cases))
        return Split(images, [(image > 0).astype(np.uint8) for image in images], names, names)

    splits = (split("train", 24), split("val", 4), split("test", 4))
    return WatchedData("watched", "binary", ("bright",), *splits, facts={"seen": seen})


def refuses_to_be_written(array: np.ndarray) -> bool:
    """Whether an array cannot be written to; one that can is left as it is."""
    kept = array.flat[0]
    try:
        array.flat[0] = 1 - kept
    except ValueError:
        return True
    array.flat[0] = kept
    return False


def place_in_memory(array: np.ndarray) -> tuple[str, int] | None:
    """The mapped file that holds an array, and where in it; None where the memory is the process's own."""
    address = array.__array_interface__["data"][0]
    for line in Path("/proc/self/maps").read_text().splitlines():
        ends, mode, offset, device, inode = line.split()[:5]
        first, last = (int(end, 16) for end in ends.split("-"))
        if first <= address < last:
            shared = mode[3] == "s"
            return (f"{device} {inode}", int(offset, 16) + address - first) if shared else None
    return None
