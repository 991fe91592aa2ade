"""Masks of images by a bundle's `model.onnx`. Needs numpy and onnxruntime, no torch and nothing of segtune.

A bundle carries this file, with `image_files.py`, as `predict.py` beside the model.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise, product
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from components.deployment.mirroring import mirrored_logits

Array = npt.NDArray[Any]
_T = TypeVar("_T")
_Band = tuple[slice, npt.NDArray[np.float32]]  # rows of the image, and their logits
FORMAT_VERSION = 1
BUNDLE, MODEL, SUMS = "bundle.json", "model.onnx", "SHA256SUMS"
_BLOCK = 1 << 20  # bytes read, or values scaled, at a time
_FADE = 0.125  # standard deviation of a window's weights, in window sizes, as in MONAI's sliding window
_LEAST_WEIGHT = 1e-3  # so that a corner that only one window sees is not divided by nothing


class RefusedBundleError(ValueError):
    """The bundle is not whole, not safe, or newer than this code."""


class BadImageError(ValueError):
    """An image cannot be read, or is not of the kind that the model takes."""


def read_verified(folder: Path) -> dict[str, Any]:
    """Compare every file with `SHA256SUMS`, then read `bundle.json`.

    Raises:
        RefusedBundleError: says which file, and why.
    """
    sums = _sums(folder)
    for name, expected in sums.items():
        path = folder / name
        if Path(name).name != name or name in ("", ".", ".."):
            raise RefusedBundleError(f"{folder / SUMS}: found the name {name!r}; files of a bundle lie in its folder.")
        if path.is_symlink() or not path.is_file():
            found = "a symbolic link" if path.is_symlink() else "missing"
            raise RefusedBundleError(f"{path}: is {found}; expected a file. Hint: copy the whole bundle again.")
        if _sha256(path) != expected:
            raise RefusedBundleError(f"{path}: its SHA-256 is not that of {SUMS}; the file was changed or damaged.")
    if BUNDLE not in sums:
        raise RefusedBundleError(f"{folder / SUMS}: does not list {BUNDLE}.")
    about = json.loads((folder / BUNDLE).read_text(encoding="utf-8"))
    version = about.get("format") if isinstance(about, dict) else None
    if version != FORMAT_VERSION:
        raise RefusedBundleError(
            f"{folder / BUNDLE}: found format {version!r}; this predictor reads {FORMAT_VERSION}. "
            "Hint: use the predict.py that came with the bundle."
        )
    if MODEL not in sums:
        raise RefusedBundleError(f"{folder}: has no {MODEL}. Hint: segtune export --format safetensors,onnx")
    return dict(about)


def _sums(folder: Path) -> dict[str, str]:
    path = folder / SUMS
    try:
        if path.is_symlink():
            raise RefusedBundleError(f"{path}: is a symbolic link; expected a file.")
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RefusedBundleError(
            f"{folder}: no whole bundle ({error}). Hint: write one with segtune export."
        ) from error
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


class Scale:
    """Normalisation of one image, measured once and applied part by part.

    Args:
        image: `(C, *spatial)`.
        how: `zscore`, `zscore_nonzero`, `minmax`, `percentile`, `none`, or None for an image that is ready.
    """

    def __init__(self, image: Array, how: str | None) -> None:
        self._how, self._axes = how, image.ndim - 1
        self._low, self._high, self._span = np.zeros(len(image)), np.ones(len(image)), np.ones(len(image))
        if how == "none" and image.dtype.kind in "iu":
            self._span[:] = np.iinfo(image.dtype).max
        elif how in ("zscore", "zscore_nonzero"):
            pairs = [_moments(channel.reshape(-1), nonzero=how == "zscore_nonzero") for channel in image]
            self._low, self._span = np.array(pairs).T
        elif how in ("minmax", "percentile"):
            bounds = (0.0, 100.0) if how == "minmax" else (1.0, 99.0)
            self._low, self._high = np.array([_percentiles(channel, bounds) for channel in image]).T
            self._span = self._high - self._low

    def apply(self, part: Array) -> npt.NDArray[np.float32]:
        """Normalise `(C, *spatial)`, some part of the image."""
        if self._how in (None, "none"):
            return (part / np.float32(self._span[0])).astype(np.float32)
        low, high, span = (
            values.reshape(-1, *[1] * self._axes)
            for values in (self._low, self._high, np.where(self._span > 0, self._span, np.inf))
        )
        values = part.astype(np.float64)
        if self._how in ("minmax", "percentile"):
            values = np.clip(values, low, high)
        scaled = (values - low) / span
        return (
            np.where(part != 0, scaled, 0).astype(np.float32) if self._how == "zscore_nonzero" else scaled.astype("f")
        )


def _moments(values: Array, *, nonzero: bool) -> tuple[float, float]:
    """Mean and deviation, 0 of a constant, block by block: no second copy of a large image is made."""
    blocks = [values[start : start + _BLOCK] for start in range(0, values.size, _BLOCK)]

    def used(block: Array) -> Array:
        return (block[block != 0] if nonzero else block).astype(np.float64)

    count = sum(used(block).size for block in blocks)
    if not count:
        return 0.0, 0.0
    mean = sum(used(block).sum() for block in blocks) / count
    ends = [(part.min(), part.max()) for part in map(used, blocks) if part.size]
    if min(low for low, _ in ends) == max(high for _, high in ends):
        return float(mean), 0.0
    return float(mean), float(np.sqrt(sum(((used(block) - mean) ** 2).sum() for block in blocks) / count))


def _percentiles(values: Array, shares: tuple[float, float]) -> tuple[float, ...]:
    """As `np.percentile` of the values in float64, by one copy in their own type."""
    places = np.asarray(shares) / 100 * (values.size - 1)
    below, above = np.floor(places).astype(int), np.ceil(places).astype(int)
    ordered = values.flatten()
    ordered.partition(np.unique([below, above]))
    low, high = ordered[below].astype(np.float64), ordered[above].astype(np.float64)
    return tuple(low + (high - low) * (places - below))


class Predictor:
    """A function from an image to its mask.

    Args:
        folder: the bundle; its hashes are checked first.
        threads: of the network; by default as many as onnxruntime takes, one a core.
        batch: windows of an image, or images of one size, that go through the network at once.
        tta: whether probabilities are averaged over mirrored images; None: as the bundle was exported.

    Raises:
        RefusedBundleError: see `read_verified`; or the bundle names no axis that may be mirrored.
        ImportError: onnxruntime is not installed.
    """

    def __init__(
        self, folder: str | Path, *, threads: int | None = None, batch: int = 1, tta: bool | None = None
    ) -> None:
        folder = Path(folder)
        self.about, self.batch = read_verified(folder), max(batch, 1)
        self.mirrored = _axes_to_mirror(self.about.get("tta", {}), folder, tta=tta)
        import onnxruntime  # noqa: PLC0415 - the hashes are checked before anything is parsed

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        self._session = onnxruntime.InferenceSession(folder / MODEL, options, providers=["CPUExecutionProvider"])
        self.axes: int = self.about["input"]["axes"]
        self.mode: str = self.about["output"]["mode"]
        self.classes: list[str] = self.about["output"]["classes"]

    def __call__(self, image: Array) -> npt.NDArray[np.uint8]:
        """The mask of an image: see `components.deployment.load`."""
        return self.predict(image)[0]

    def predict(self, image: Array, *, probabilities: bool = False) -> tuple[npt.NDArray[np.uint8], Array | None]:
        """Mask of an image, and on request the probabilities `(classes, *spatial)` float32.

        Raises:
            BadImageError: channels or axes are not those of the model, or values are not finite.
        """
        return self.predict_alike([image], probabilities=probabilities)[0]

    def predict_alike(
        self, images: Sequence[Array], *, probabilities: bool = False
    ) -> list[tuple[npt.NDArray[np.uint8], Array | None]]:
        """As `predict`, for images of one shape, which go through the network at once if they need no windows.

        Raises:
            BadImageError: as `predict`, for any of them.
        """
        ready = [self.channels_first(image) for image in images]
        for image in ready:
            if image.dtype.kind not in "biu" and not np.isfinite(image).all():
                raise BadImageError("found NaN or infinite values. Hint: fill them first.")
        spatial = ready[0].shape[1:]
        if all(size <= part for size, part in zip(spatial, self.about["tiling"]["size"], strict=True)):
            whole = slice(0, spatial[0])
            bands: Iterator[Iterable[_Band]] = ([(whole, logits)] for logits in self._whole(ready))
        else:
            bands = (self._bands(image) for image in ready)
        return [self._decided(each, spatial, probabilities=probabilities) for each in bands]

    def _decided(
        self, bands: Iterable[_Band], spatial: Sequence[int], *, probabilities: bool
    ) -> tuple[npt.NDArray[np.uint8], Array | None]:
        many = self.mode == "multiclass"
        mask = np.empty(spatial if many else (len(self.classes), *spatial), np.uint8)
        shares = np.empty((len(self.classes), *spatial), np.float32) if probabilities else None
        temperature = np.float32(self.about["output"]["temperature"])
        bounds = None if many else logit_bounds(self.about["output"]).reshape(-1, *[1] * self.axes)
        for rows, logits in bands:
            if bounds is None:
                mask[rows] = logits.argmax(axis=0)
            else:
                mask[:, rows] = logits > bounds
            if shares is not None:
                cooled = logits / temperature
                shares[:, rows] = _softmax(cooled) if many else 1 / (1 + np.exp(-np.clip(cooled, -80, 80)))
        return (mask[0] if not many and len(self.classes) == 1 else mask), shares

    def channels_first(self, image: Array) -> Array:
        """An image as stored as `(C, *spatial)`.

        Raises:
            BadImageError: it does not fit the model, or fits it in two ways; or it is of integers, and the study's own
                function scaled its images.
        """
        if image.dtype.kind not in "buif" or image.size == 0:
            raise BadImageError(
                f"found {image.dtype} of shape {image.shape}; expected numbers, and at least one of them."
            )
        if self.about["input"]["normalize"] is None and image.dtype.kind in "bui":
            raise BadImageError(
                f"found {image.dtype}; the model takes floats as the function that made its data scales them. "
                "Hint: write them as .npy."
            )
        wanted = self.about["input"]["channels"]
        while image.ndim > self.axes + 1 and image.shape[0] == 1:
            image = image[0]
        if image.ndim == self.axes and wanted == 1:
            return image[None]
        if image.ndim == self.axes + 1:
            first, last = image.shape[0] == wanted, image.shape[-1] == wanted
            if first != last:
                return image if first else np.moveaxis(image, -1, 0)
        raise BadImageError(
            f"found shape {image.shape}; expected {wanted} channel(s), first or last, and {self.axes} further axes."
        )

    def logits(self, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The network alone: `(B, C, *spatial)` normalised, of sizes that it takes, to `(B, classes, *spatial)`."""
        result: npt.NDArray[np.float32] = self._session.run(["logits"], {"image": images})[0]
        return result

    def _averaged(self, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return mirrored_logits(self.logits, images, self.mirrored, exclusive=self.mode == "multiclass")

    def _padded(self, spatial: Sequence[int]) -> list[int]:
        """Sizes that the network takes: multiples of its divisor, or the one size that it was exported with."""
        divisor, fixed = self.about["input"]["divisor"], self.about["onnx"].get("fixed_size")
        sizes = [-(-size // divisor) * divisor for size in spatial]
        return [max(pair) for pair in zip(sizes, fixed, strict=True)] if fixed else sizes

    def _whole(self, images: Sequence[Array]) -> Iterator[npt.NDArray[np.float32]]:
        """Logits of images of one shape that need no windows."""
        spatial = images[0].shape[1:]
        # Mirrored at its ends as in training; by position, so that a large image is not copied.
        places = [_mirrored(size, target) for size, target in zip(spatial, self._padded(spatial), strict=True)]
        inside = (slice(None), *map(slice, spatial))
        for some in _chunks(images, self.batch):
            scaled = [Scale(image, self.about["input"]["normalize"]).apply(_taken(image, places)) for image in some]
            for logits in self._averaged(np.stack(scaled)):
                yield logits[inside]

    def _bands(self, image: Array) -> Iterator[_Band]:
        """Logits of rows of the image, from the first to the last; memory holds one band of windows at a time."""
        spatial, tiling = image.shape[1:], self.about["tiling"]
        scale, padded = Scale(image, self.about["input"]["normalize"]), self._padded(spatial)
        places = [_mirrored(size, target) for size, target in zip(spatial, padded, strict=True)]
        window = [min(size, part) for size, part in zip(padded, tiling["size"], strict=True)]
        axes = [
            _windows(size, part, tiling["overlap"], self.about["input"]["divisor"], tiling["blend"])
            for size, part in zip(padded, window, strict=True)
        ]
        sums = np.zeros((len(self.classes), window[0], *padded[1:]), np.float32)
        total = np.zeros(sums.shape[1:], np.float32)
        ends = [*(start for start, _ in axes[0][1:]), padded[0]]
        for (start, share), after in zip(axes[0], ends, strict=True):
            for some in _chunks(list(product(*axes[1:])), self.batch):
                corners = [
                    [slice(at, at + part) for (at, _), part in zip(one, window[1:], strict=True)] for one in some
                ]
                rows = slice(start, start + window[0])
                cuts = [[place[cut] for place, cut in zip(places, (rows, *corner), strict=True)] for corner in corners]
                found = self._averaged(np.stack([scale.apply(_taken(image, cut)) for cut in cuts]))
                for corner, one, logits in zip(corners, some, found, strict=True):
                    weight = _outer([share, *(along for _, along in one)])
                    sums[(slice(None), slice(None), *corner)] += logits * weight
                    total[(slice(None), *corner)] += weight
            done = after - start
            wanted = min(after, spatial[0]) - start  # what was mirrored at the end is cut off
            if wanted > 0:
                band = np.divide(sums[:, :done], total[:done], dtype=np.float32)
                yield slice(start, start + wanted), band[(slice(None), slice(wanted), *map(slice, spatial[1:]))]
            sums[:, :-done], sums[:, -done:] = sums[:, done:].copy(), 0
            total[:-done], total[-done:] = total[done:].copy(), 0


def _axes_to_mirror(stated: dict[str, Any], folder: Path, *, tta: bool | None) -> list[int]:
    """Spatial axes that are mirrored in prediction.

    Raises:
        RefusedBundleError: it was asked for, and there is none that may be.
    """
    axes: list[int] = stated.get("axes", [])
    if tta and not axes:
        raise RefusedBundleError(
            f"{folder / BUNDLE}: names no axis that may be mirrored, so that there is no test-time augmentation. "
            "Hint: training.mirror names the axes, and training.augment mirrors along them."
        )
    return axes if tta or (tta is None and stated.get("used", False)) else []


def logit_bounds(output: dict[str, Any]) -> npt.NDArray[np.float32]:
    """Of each class the logit at which its mask is cut: the threshold is one of the calibrated probability."""
    threshold = np.asarray(output["threshold"], np.float64)
    return np.asarray(output["temperature"] * np.log(threshold / (1 - threshold)), np.float32)


def _taken(image: Array, places: Sequence[Array]) -> Array:
    return np.asarray(image[np.ix_(np.arange(len(image)), *places)])


def _mirrored(size: int, target: int) -> npt.NDArray[np.int64]:
    places = np.arange(target) % (2 * size)
    return np.where(places < size, places, 2 * size - 1 - places)


def _chunks(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _windows(size: int, window: int, overlap: float, divisor: int, blend: str) -> list[tuple[int, Array]]:
    """Where windows begin along an axis, and how much each of their pixels counts.

    `gaussian`: as a network sees least at the edge of a window (Isensee et al. 2021, nnU-Net), at the places where the
    study validated. `centre`: a pixel counts in the window whose centre is the nearest. These begin at multiples of the
    divisor, so that a network's coarse grids lie as in the whole image; a network that looks around no further than
    half an overlap gives what it gives for the whole image.
    """
    step = int(window * (1 - overlap))
    step = max(step, 1) if blend == "gaussian" else max(step // divisor, 1) * divisor
    starts = [*range(0, size - window, step), size - window]
    if blend == "gaussian":
        along = np.exp(-0.5 * ((np.arange(window) - (window - 1) / 2) / (window * _FADE)) ** 2)
        return [(start, along) for start in starts]
    cuts = [0, *((before + window + after) // 2 for before, after in pairwise(starts)), size]
    places = np.arange(window)
    return [
        (start, ((start + places >= low) & (start + places < high)).astype(float))
        for start, (low, high) in zip(starts, pairwise(cuts), strict=True)
    ]


def _outer(along: Sequence[Array]) -> npt.NDArray[np.float32]:
    """Weights of a window from those along its axes; every pixel keeps a little, one that is cut off none."""
    weights = along[0]
    for more in along[1:]:
        weights = weights[..., None] * more
    return np.where(weights > 0, np.maximum(weights, _LEAST_WEIGHT), 0).astype(np.float32)


def _softmax(logits: Array) -> Array:
    powers = np.exp(logits - logits.max(axis=0))
    return np.asarray(powers / powers.sum(axis=0))
