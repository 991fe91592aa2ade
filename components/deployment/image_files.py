"""From image files to mask files; with `runtime.py` a bundle's `predict.py`.

    python bundle/predict.py images/ --out masks/

Needs pillow; TIFF and 16-bit colour PNG need tifffile and imagecodecs, NIfTI volumes nibabel.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.deployment.runtime import BadImageError, Predictor, RefusedBundleError
from components.image_reader import (
    SUFFIXES,
    VOLUMES,
    Placement,
    find_image_files,
    read_pixels,
    split_channels,
    suffix_of,
    turned_back,
)

Array = npt.NDArray[Any]
_PROBABILITIES = "_probabilities.npy"
_MOST_WAITING = 1 << 25  # bytes of images that wait to go through the network together


def write_mask(stem: Path, mask: Array, about: dict[str, Any], placement: Placement | None) -> Path:
    """Write a mask beside `stem`: NIfTI as its image lay, PNG in the classes' colours, else `.npy`."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    if placement is not None:
        import nibabel  # noqa: PLC0415 - only for volumes

        path = stem.with_name(f"{stem.name}.nii.gz")
        volume = nibabel.Nifti1Image(mask, placement.affine)
        volume.header.set_xyzt_units(placement.unit)
        nibabel.save(volume, path)
    elif mask.ndim == 2:  # noqa: PLR2004 - rows and columns
        from PIL import Image  # noqa: PLC0415 - only for pictures

        path = stem.with_name(f"{stem.name}.png")
        picture = Image.fromarray(mask)
        picture.putpalette([part for colour in about["output"]["colours"] for part in colour])
        picture.save(path)
    else:
        path = stem.with_name(f"{stem.name}.npy")
        np.save(path, mask)
    return path


def _laid_back(array: Array, placement: Placement | None, *, classes: bool) -> Array:
    """A result as its file lies, classes behind the axes of a volume."""
    if placement is None:
        return array
    if not classes:
        return turned_back(array, placement)
    return np.stack([turned_back(part, placement) for part in array], axis=-1)


def find_images(given: Sequence[Path]) -> dict[Path, Path]:
    """Images of files and folders, with the relative path, without suffix, of what is written for each.

    Raises:
        BadImageError: nothing is there, or two images would write one file.
    """
    found: dict[Path, Path] = {}
    for path in given:
        inner = find_image_files(path) if path.is_dir() else [path]
        for file in inner:
            relative = file.relative_to(path) if path.is_dir() else Path(file.name)
            stem = relative.with_name(relative.name[: len(relative.name) - len(suffix_of(file))] or relative.name)
            if stem in found:
                raise BadImageError(f"{file} and {found[stem]}: both would write {stem}. Hint: predict them apart.")
            found[stem] = file
    if not found:
        raise BadImageError(f"{', '.join(map(str, given))}: no image here; expected {', '.join(SUFFIXES)}.")
    return {file: stem for stem, file in found.items()}


def find_cases(given: Sequence[Path], files: int = 1) -> dict[tuple[Path, ...], Path]:
    """As `find_images`, of images with so many files each: those whose names end in `_0000`, `_0001`, … are one.

    Raises:
        BadImageError: as `find_images`; or names do not end so.
    """
    images = find_images(given)
    if files == 1:
        return {(file,): stem for file, stem in images.items()}
    cases = split_channels({str(stem): file for file, stem in images.items()})
    if not cases:
        raise BadImageError(
            f"{next(iter(images))}: the network was trained on {files} files per image, one per channel. "
            "Hint: end their names in _0000, _0001, … as those of the training do."
        )
    return {tuple(found): Path(stem) for stem, found in cases.items()}


def check_outputs(
    images: dict[tuple[Path, ...], Path], out: Path, *, probabilities: bool = False, overwrite: bool = False
) -> None:
    """Make sure that nothing of the user's is overwritten, before anything is written.

    Args:
        images: as `find_cases` gives them.
        out: folder for the masks.
        probabilities: whether they are written too.
        overwrite: whether files that are there may be replaced; an image that is read never is.

    Raises:
        BadImageError: a mask would replace an image that is read, or without `overwrite` any file.
    """
    inputs = {file.resolve() for files in images for file in files}
    endings = (".png", ".npy", ".nii.gz", *([_PROBABILITIES] if probabilities else []))
    there = []
    for (file, *_), stem in images.items():
        written = (".nii.gz",) if suffix_of(file) in VOLUMES else (".png", ".npy")
        for ending in (ending for ending in endings if ending in (*written, _PROBABILITIES)):
            place = (out / stem).with_name(f"{stem.name}{ending}")
            if place.resolve() in inputs:
                raise BadImageError(f"the mask of {file} would replace the image {place}. Hint: name another --out.")
            if place.exists() or place.is_symlink():
                there.append(place)
    if there and not overwrite:
        more = f" and {len(there) - 1} more are" if len(there) > 1 else " is"
        raise BadImageError(
            f"{there[0]}{more} there already. Hint: name another --out, or replace what is there with --overwrite."
        )


def predict_files(
    predictor: Predictor,
    given: Sequence[Path],
    out: Path,
    *,
    probabilities: bool = False,
    overwrite: bool = False,
    step: Callable[[int, int], None] | None = None,
) -> dict[Path, str]:
    """Write the mask of every image; one that cannot be done does not stop the others.

    Args:
        predictor: of a bundle.
        given: files and folders.
        out: folder for the masks, made where it is missing.
        probabilities: write `<stem>_probabilities.npy` too.
        overwrite: as of `check_outputs`.
        step: called after each image with the number done and of all.

    Returns:
        What was wrong with each image that was not done.

    Raises:
        BadImageError: see `find_cases` and `check_outputs`.
    """
    count = int(predictor.about["input"].get("files", 1))
    images = find_cases(given, count)
    check_outputs(images, out, probabilities=probabilities, overwrite=overwrite)
    wrong: dict[Path, str] = {}
    waiting: list[_Read] = []
    for done, (files, stem) in enumerate(images.items(), start=1):
        file = files[0]
        try:
            waiting.append(_Read(file, out / stem, *_read_case(files, count)))
        except Exception as error:  # noqa: BLE001 - whatever one file leads to, the others are done
            wrong[file] = _said(error)
        while waiting and (done == len(images) or not _may_wait(waiting, predictor.batch)):
            alike = [read for read in waiting if read.image.shape == waiting[0].image.shape]
            wrong |= _write_masks(predictor, alike, probabilities=probabilities)
            del waiting[: len(alike)], alike
        if step is not None:
            step(done, len(images))
    return {file: wrong[file] for file, *_ in images if file in wrong}


def _read_case(files: tuple[Path, ...], count: int) -> tuple[Array, Placement | None]:
    """The image of a case, and how it lay; the channels of several files lie behind its axes."""
    if len(files) != count:
        raise BadImageError(f"found {len(files)} of {count} channel files ({', '.join(file.name for file in files)}).")
    read = [read_pixels(file) for file in files]
    if count == 1:
        return read[0]
    if len({array.shape for array, _ in read}) > 1:
        shapes = ", ".join("×".join(map(str, array.shape)) for array, _ in read)
        raise BadImageError(f"its channel files have different sizes: {shapes}.")
    return np.stack([array for array, _ in read], axis=-1), read[0][1]


@dataclass(frozen=True)
class _Read:
    """An image that waits for others of its shape."""

    file: Path
    stem: Path
    image: Array
    placement: Placement | None


def _may_wait(images: Sequence[_Read], batch: int) -> bool:
    """Whether another image may join these; large ones are predicted in windows anyway, and would fill the memory."""
    alike = all(read.image.shape == images[0].image.shape for read in images)
    return alike and len(images) < batch and sum(read.image.nbytes for read in images) < _MOST_WAITING


def _write_masks(predictor: Predictor, images: Sequence[_Read], *, probabilities: bool) -> dict[Path, str]:
    """Of images of one shape; says what was wrong with each that was not done."""
    if not images:
        return {}
    try:
        results = predictor.predict_alike([read.image for read in images], probabilities=probabilities)
    except Exception as error:  # noqa: BLE001 - as above
        if len(images) == 1:
            return {images[0].file: _said(error)}
        alone = [_write_masks(predictor, [read], probabilities=probabilities) for read in images]
        return {file: why for wrong in alone for file, why in wrong.items()}
    wrong = {}
    for read, (mask, shares) in zip(images, results, strict=True):
        try:
            laid = _laid_back(mask, read.placement, classes=mask.ndim > predictor.axes)
            write_mask(read.stem, laid, predictor.about, read.placement)
            if shares is not None:
                place = read.stem.with_name(f"{read.stem.name}{_PROBABILITIES}")
                np.save(place, _laid_back(shares, read.placement, classes=True))
        except Exception as error:  # noqa: BLE001 - as above
            wrong[read.file] = _said(error)
    return wrong


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__


def main() -> int:
    """Run as a command; 1 when an image was not done, 2 when nothing could be."""
    parser = argparse.ArgumentParser(description="Write the masks of images.")
    parser.add_argument("images", nargs="+", type=Path, help="files, or folders of them")
    parser.add_argument("--out", required=True, type=Path, help="folder for the masks")
    parser.add_argument("--probabilities", action="store_true", help="write them too, as .npy")
    parser.add_argument("--overwrite", action="store_true", help="replace masks that are there already")
    parser.add_argument("--batch", type=int, default=1, help="windows, or images of one size, at once")
    parser.add_argument("--threads", type=int, help="of the network; by default one a core")
    parser.add_argument("--tta", action=argparse.BooleanOptionalAction, help="average over mirrored images, or not")
    given = parser.parse_args()
    try:
        predictor = Predictor(Path(__file__).parent, threads=given.threads, batch=given.batch, tta=given.tta)
        wrong = predict_files(
            predictor, given.images, given.out, probabilities=given.probabilities, overwrite=given.overwrite
        )
    except (RefusedBundleError, BadImageError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    for file, why in wrong.items():
        sys.stderr.write(f"not done: {file}: {why}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
