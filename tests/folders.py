"""Folders of images and masks as users have them, written by the tests."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image


def tiff_folder(root: Path, cases: int = 12) -> Path:
    """RGB TIFFs with masks of 0, 1, 2 and 255 (no label): two kinds of disc whose colours tell them apart."""
    random = np.random.default_rng(0)
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for index in range(cases):
        image, mask = _discs(random, size=48)
        tifffile.imwrite(root / "images" / f"p{index // 2}_{index}.tif", image, photometric="rgb", compression="zlib")
        tifffile.imwrite(root / "masks" / f"p{index // 2}_{index}.tif", mask)
    return root


def png_folder(root: Path, cases: int = 10, size: int = 32) -> Path:
    """Grey PNGs with masks of 0 and 255."""
    random = np.random.default_rng(1)
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for index in range(cases):
        image, mask = _discs(random, size=size)
        Image.fromarray(image[..., 0]).save(root / "images" / f"case_{index}.png")
        Image.fromarray(((mask == 1) * 255).astype(np.uint8)).save(root / "masks" / f"case_{index}.png")
    return root


def channel_folder(root: Path) -> Path:
    """Two grey PNGs a case, as nnU-Net names them."""
    png_folder(root)
    for path in sorted((root / "images").iterdir()):
        image = np.asarray(Image.open(path))
        Image.fromarray(255 - image).save(path.with_name(f"{path.stem}_0001.png"))
        path.rename(path.with_name(f"{path.stem}_0000.png"))
    return root


def volume_folder(root: Path, cases: int = 6, sizes: Sequence[tuple[int, int, int]] = ((20, 18, 16),)) -> Path:
    """NIfTI volumes of 2 mm with masks of 0, 1 and 2: a bright and a dark block, of the sizes in turn."""
    random = np.random.default_rng(2)
    for name in ("images", "masks"):
        (root / name).mkdir(parents=True)
    for index in range(cases):
        size = sizes[index % len(sizes)]
        mask = np.zeros(size, np.uint8)
        for label in (1, 2):
            first = [int(random.integers(part - part // 3)) for part in size]
            mask[tuple(slice(start, start + part // 3) for start, part in zip(first, size, strict=True))] = label
        image = np.array([100, 200, 0])[mask] + 10 * random.standard_normal(size)
        save_volume(root / "images" / f"case_{index}.nii.gz", image.astype(np.int16))
        save_volume(root / "masks" / f"case_{index}.nii.gz", mask)
    return root


def save_volume(path: Path, array: np.ndarray, affine: np.ndarray | None = None) -> None:
    """Write a NIfTI file; by default its axes run to the right, the front and up, 2 mm apart."""
    nibabel = pytest.importorskip("nibabel", reason="needs the extra `medical`")
    nibabel.save(nibabel.Nifti1Image(array, np.diag([2.0, 2.0, 2.0, 1.0]) if affine is None else affine), path)


def _discs(random: np.random.Generator, *, size: int) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.mgrid[:size, :size]
    mask = np.zeros((size, size), np.uint8)
    for label in (1, 2):
        y, x = random.integers(size // 4, size - size // 4, 2)
        mask[(rows - y) ** 2 + (columns - x) ** 2 < (size // 5) ** 2] = label
    colours = np.array([[40, 40, 40], [200, 60, 60], [60, 60, 200]])
    image = np.clip(colours[mask] + 15 * random.standard_normal((size, size, 3)), 0, 255).astype(np.uint8)
    mask[:4] = 255
    return image, mask
