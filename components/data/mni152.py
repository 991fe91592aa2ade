"""Axial slices of the MNI152 brain template with its tissue maps: real data that needs no download.

The template (Fonov et al., NeuroImage 54(1), 2011) and its grey- and white-matter probability maps are carried by the
nilearn wheel.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.data.dataset import SegmentationData, Split
from components.errors import MissingExtraError

_FILES = tuple(f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz" for name in ("t1", "gm", "wm"))
_SHAPE = (104, 112)  # multiples of 8 that hold the brain at 2 mm; the template's border is empty
_TISSUE_THRESHOLD = 0.5  # a pixel is background unless grey and white matter together are more likely than not
_MIN_TISSUE = 0.02  # a slice with less tissue than this share of its pixels shows next to no brain
_BLOCK = 4  # neighbouring slices look alike: they are dealt in blocks, and a block is the independent unit
_DEAL = ("train", "train", "val", "train", "test")


def mni152_slices() -> SegmentationData:
    """Load the template at 2 mm as background / grey / white matter slices of 104×112 pixels.

    Returns:
        Multiclass data; images are scaled to zero mean and unit variance over the whole volume.

    Raises:
        MissingExtraError: nilearn is not installed, or lacks the files.

    Example:
        >>> mni152_slices().classes
        ('background', 'grey', 'white')
    """
    image, grey, white = _volumes()
    labels = np.where(grey + white < _TISSUE_THRESHOLD, 0, np.where(grey >= white, 1, 2)).astype(np.uint8)
    image = (image - image.mean(dtype=np.float64)) / image.std(dtype=np.float64)
    image, labels = _fit(image, fill=image.min()), _fit(labels, fill=0)
    shown = np.flatnonzero((labels > 0).mean(axis=(0, 1)) >= _MIN_TISSUE)
    members: dict[str, list[int]] = {"train": [], "val": [], "test": []}
    for position in range(len(shown)):
        members[_DEAL[position // _BLOCK % len(_DEAL)]].append(position)
    train, val, test = (_split(image, labels, shown, members[name]) for name in ("train", "val", "test"))
    return SegmentationData(
        name="mni152", mode="multiclass", classes=("background", "grey", "white"), train=train, val=val, test=test
    )


def _volumes() -> list[npt.NDArray[np.float32]]:
    """Template, grey and white matter, each of 0 to 1: every second voxel of the files at 1 mm.

    These are the voxels that nilearn's own loaders give at 2 mm. They take seconds, most of them the import.
    """
    package = find_spec("nilearn")
    try:
        import nibabel  # noqa: PLC0415 - comes with nilearn
    except ImportError:
        package = None
    if package is None or package.origin is None:
        raise MissingExtraError("the MNI152 data needs nilearn. Hint: pip install 'segtune[brain]'")
    volumes = []
    for name in _FILES:
        path = Path(package.origin).parent / "datasets" / "data" / name
        if not path.is_file():
            raise MissingExtraError(f"{path}: missing in this nilearn. Hint: pip install --upgrade nilearn")
        volume = np.asarray(nibabel.load(path).dataobj).astype(np.float32)
        volumes.append(volume[::2, ::2, ::2] / volume.max())
    return volumes


def _fit(volume: np.ndarray, fill: float) -> np.ndarray:
    """Crop the first two axes to the slice shape about the centre, or pad them with `fill`."""
    for axis, wanted in enumerate(_SHAPE):
        size = volume.shape[axis]
        if size < wanted:
            before = (wanted - size) // 2
            pads = [(0, 0)] * volume.ndim
            pads[axis] = (before, wanted - size - before)
            volume = np.pad(volume, pads, constant_values=fill)
        else:
            start = (size - wanted) // 2
            volume = np.take(volume, range(start, start + wanted), axis=axis)
    return volume


def _split(image: np.ndarray, labels: np.ndarray, shown: np.ndarray, positions: list[int]) -> Split:
    slices = shown[positions]
    return Split(
        images=list(np.moveaxis(image[:, :, slices], -1, 0)[:, None].astype(np.float32)),
        masks=list(np.ascontiguousarray(np.moveaxis(labels[:, :, slices], -1, 0))),
        cases=tuple(f"axial_{index:03d}" for index in slices),
        groups=tuple(f"block_{position // _BLOCK:02d}" for position in positions),
    )
