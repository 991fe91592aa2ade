"""A training script as the field writes it by hand around MONAI, with nothing of segtune: one U-Net, no tuning.

MONAI's U-Net with 16, 32, 64, 128 features and two residual units, Dice and cross-entropy, AdamW 3e-3 with decay 1e-4,
cosine over the time, each image normalised by itself, crops of 128 (volumes are padded and whole), flips and quarter
turns, the best epoch on validation.
"""

import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Case = tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]
_LR, _DECAY, _BATCH, _CROP, _DIVISOR = 3e-3, 1e-4, {2: 8, 3: 2}, 128, 16


def read_array(path: Path) -> np.ndarray[Any, Any]:
    """An image or mask file as stored."""
    if path.name.endswith((".nii", ".nii.gz")):
        import nibabel

        return np.asarray(nibabel.load(path).dataobj)
    from PIL import Image

    return np.asarray(Image.open(path))


def train_and_predict(root: Path, out: Path, *, seconds: float, seed: int) -> dict[str, Any]:
    """Train for so many seconds from now on, then write the masks of the test split.

    Args:
        root: folder with `images`, `masks` and `split.json`.
        out: folder to make.
        seconds: wall-clock time until the model is there.
        seed: of weights and crops.
    """
    from monai.losses import DiceCELoss
    from monai.networks.nets import UNet

    started = time.monotonic()
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    split = json.loads((root / "split.json").read_text())
    train = [_case(root, stem) for stem in split["train"]]
    val = [_case(root, stem) for stem in split["val"]]
    axes = train[0][0].ndim - 1
    values = sorted(set().union(*(np.unique(mask).tolist() for _, mask in train)))
    classes = len(values)
    channels = 1 if classes == 2 else classes
    network = UNet(
        spatial_dims=axes,
        in_channels=len(train[0][0]),
        out_channels=channels,
        channels=(16, 32, 64, 128),
        strides=(2, 2, 2),
        num_res_units=2,
    )
    loss = DiceCELoss(sigmoid=True) if channels == 1 else DiceCELoss(softmax=True, to_onehot_y=True)
    optimizer = torch.optim.AdamW(network.parameters(), lr=_LR, weight_decay=_DECAY)
    best, chosen, epoch = -1.0, network.state_dict(), 0
    while (share := (time.monotonic() - started) / seconds) < 1:
        epoch += 1
        for group in optimizer.param_groups:
            group["lr"] = _LR * (1 + math.cos(math.pi * share)) / 2
        network.train()
        order = random.permutation(len(train))
        for start in range(0, len(order), _BATCH[axes]):
            pairs = [_augmented(train[index], values, random) for index in order[start : start + _BATCH[axes]]]
            images, masks = (torch.stack(part) for part in _padded(pairs))
            optimizer.zero_grad()
            loss(network(images), masks.long() if channels > 1 else masks).backward()
            optimizer.step()
            if time.monotonic() - started > seconds:
                break
        found = _dice(network, val, values)
        if found > best:
            best = found
            chosen = {name: value.clone() for name, value in network.state_dict().items()}
    took = round(time.monotonic() - started, 1)
    network.load_state_dict(chosen)
    out.mkdir(parents=True)
    for stem in split["test"]:
        _write(root, stem, out, np.asarray(values)[_predict(network, _case(root, stem)[0])])
    return {"val": round(best, 4), "epochs": epoch, "seconds": took}


def _case(root: Path, stem: str) -> Case:
    image, mask = (read_array(next((root / folder).glob(f"{stem}.*"))) for folder in ("images", "masks"))
    image = np.moveaxis(image, -1, 0) if image.ndim > mask.ndim else image[None]
    spatial = tuple(range(1, image.ndim))
    image = (image - image.mean(spatial, keepdims=True)) / (image.std(spatial, keepdims=True) + 1e-6)
    return image.astype(np.float32), mask


def _augmented(case: Case, values: list[int], random: np.random.Generator) -> tuple[Tensor, Tensor]:
    image, mask = case
    mask = np.searchsorted(values, mask)
    if mask.ndim == 2:
        for axis, size in enumerate(mask.shape):
            if size > _CROP:
                start = int(random.integers(size - _CROP + 1))
                image = image.take(range(start, start + _CROP), axis + 1)
                mask = mask.take(range(start, start + _CROP), axis)
        turns = int(random.integers(4))
        image, mask = np.rot90(image, turns, (1, 2)), np.rot90(mask, turns)
        for axis in range(mask.ndim):
            if random.random() < 0.5:
                image, mask = np.flip(image, axis + 1), np.flip(mask, axis)
    return torch.from_numpy(image.copy()), torch.from_numpy(mask.copy())[None].float()


def _padded(pairs: list[tuple[Tensor, Tensor]]) -> tuple[list[Tensor], list[Tensor]]:
    """To one size that the network can halve."""
    sizes = np.array([image.shape[1:] for image, _ in pairs]).max(0)
    wanted = [-(-int(size) // _DIVISOR) * _DIVISOR for size in sizes]
    images, masks = [], []
    for image, mask in pairs:
        missing = [want - have for want, have in zip(wanted, image.shape[1:], strict=True)]
        widths = [width for part in reversed(missing) for width in (0, part)]
        images.append(nn.functional.pad(image, widths))
        masks.append(nn.functional.pad(mask, widths))
    return images, masks


@torch.no_grad()
def _predict(network: nn.Module, image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    network.eval()
    (padded,), _ = _padded([(torch.from_numpy(image), torch.zeros(1, *image.shape[1:]))])
    logits = network(padded[None])[0][(slice(None), *map(slice, image.shape[1:]))]
    labels = logits[0] > 0 if len(logits) == 1 else logits.argmax(0)
    return np.asarray(labels.to(torch.int64))


def _dice(network: nn.Module, cases: list[Case], values: list[int]) -> float:
    scores = []
    for image, mask in cases:
        found, truth = _predict(network, image), np.searchsorted(values, mask)
        for label in range(1, len(values)):
            size = (found == label).sum() + (truth == label).sum()
            if size:
                scores.append(2 * ((found == label) & (truth == label)).sum() / size)
    return float(np.mean(scores))


def _write(root: Path, stem: str, out: Path, mask: np.ndarray[Any, Any]) -> None:
    source = next((root / "masks").glob(f"{stem}.*"))
    if source.name.endswith((".nii", ".nii.gz")):
        import nibabel

        nibabel.save(nibabel.Nifti1Image(mask.astype(np.uint8), nibabel.load(source).affine), out / source.name)
        return
    from PIL import Image

    Image.fromarray(mask.astype(np.uint8)).save(out / f"{stem}.png")
