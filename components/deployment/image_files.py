"""From image files to mask files; with `runtime.py` a bundle's `predict.py`.

    python bundle/predict.py images/ --out masks/

Needs pillow; NIfTI volumes need nibabel too, TIFFs of several pages tifffile.
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

Array = npt.NDArray[Any]
VOLUMES = (".nii", ".nii.gz")
_PROBLEMS = (BadImageError, ImportError, OSError, MemoryError)  # of one image, which do not stop the others
_PNG_HEADER = 26  # bytes up to its depth and kind of colours
_STRIP = 512  # rows of a picture copied at once
_MOST_WAITING = 1 << 25  # bytes of images that wait to go through the network together
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".npy", *VOLUMES)


def suffix_of(path: Path) -> str:
    """Suffix in small letters, `.nii.gz` as one."""
    return next((suffix for suffix in reversed(SUFFIXES) if path.name.lower().endswith(suffix)), "")


def read_image(path: Path) -> tuple[Array, Any]:
    """An image as stored; a volume turned to RAS, channels last, with what turns its mask back (else None).

    Raises:
        BadImageError: it does not decode.
        ImportError: of nibabel, for a volume, or of tifffile, for a TIFF that pillow does not read.
    """
    try:
        if suffix_of(path) in VOLUMES:
            return _read_volume(path)
        if suffix_of(path) == ".npy":
            return np.load(path, allow_pickle=False), None
        return (_read_tiff if suffix_of(path) in (".tif", ".tiff") else _read_picture)(path), None
    except ImportError:
        raise
    except Exception as error:  # decoders raise whatever they stumble upon
        raise BadImageError(f"does not decode ({str(error).partition(chr(10))[0] or type(error).__name__})") from error


def _read_volume(path: Path) -> tuple[Array, Any]:
    import nibabel  # noqa: PLC0415 - only for volumes

    stored = nibabel.load(path)
    array = np.asarray(stored.dataobj)
    array = array.reshape(array.shape + (1,) * (3 - array.ndim))
    turns = nibabel.io_orientation(stored.affine)
    return nibabel.apply_orientation(array, turns), (stored.affine, turns)


def _read_tiff(path: Path) -> Array:
    try:
        import tifffile  # noqa: PLC0415 - pillow reads the usual ones
    except ImportError:
        return _read_picture(path)
    with tifffile.TiffFile(path) as tiff:
        if any(tiff.pages.first.extrasamples) or tiff.pages.first.photometric == 0:
            return _read_picture(path)  # alpha, or white is 0
        return np.asarray(tiff.series[0].asarray())


def _read_picture(path: Path) -> Array:
    from PIL import Image, ImageOps  # noqa: PLC0415 - only for pictures

    Image.MAX_IMAGE_PIXELS = None  # large slides are welcome; memory is bounded by the windows
    if suffix_of(path) == ".png":
        with path.open("rb") as stream:
            header = stream.read(_PNG_HEADER)
        if header[24:25] == b"\x10" and header[25] in (2, 4, 6):
            raise BadImageError("has 16 bits a colour, which pillow cuts to 8. Hint: convert it to TIFF.")
    with Image.open(path) as stored:
        if getattr(stored, "n_frames", 1) > 1:
            raise BadImageError("has several pages. Hint: pip install tifffile")
        ImageOps.exif_transpose(stored, in_place=True)
        return _as_array(stored)


def _as_array(picture: Any) -> Array:
    """Of a pillow image, strip by strip: at once it would be copied three times, for which large ones lack room."""
    as_is = picture.mode in ("1", "L", "I", "F", "RGB") or picture.mode.startswith("I;16")
    mode = None if as_is else "L" if picture.mode in ("LA", "La") else "RGB"
    strips = range(0, picture.height, _STRIP)

    def strip(top: int) -> Array:
        part = picture.crop((0, top, picture.width, min(top + _STRIP, picture.height)))
        return np.asarray(part if mode is None else part.convert(mode))

    first = strip(0)
    array = np.empty((picture.height, *first.shape[1:]), first.dtype)
    for top in strips:
        array[top : top + _STRIP] = strip(top)
    return array


def write_mask(stem: Path, mask: Array, about: dict[str, Any], back: Any) -> Path:
    """Write a mask beside `stem`: NIfTI as its image lay, PNG in the classes' colours, else `.npy`."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    if back is not None:
        import nibabel  # noqa: PLC0415 - only for volumes

        affine, _ = back
        path = stem.with_name(f"{stem.name}.nii.gz")
        nibabel.save(nibabel.Nifti1Image(mask, affine), path)
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


def turned_back(array: Array, back: Any, *, classes: bool) -> Array:
    """A result in the orientation of its file, classes behind the axes of a volume."""
    if back is None:
        return array
    import nibabel  # noqa: PLC0415 - only for volumes
    from nibabel.orientations import axcodes2ornt, ornt_transform  # noqa: PLC0415 - as above

    array = np.moveaxis(array, 0, -1) if classes else array
    return np.asarray(nibabel.apply_orientation(array, ornt_transform(axcodes2ornt("RAS"), back[1])))


def find_images(given: Sequence[Path]) -> dict[Path, Path]:
    """Images of files and folders, with the relative path, without suffix, of what is written for each.

    Raises:
        BadImageError: nothing is there, or two images would write one file.
    """
    found: dict[Path, Path] = {}
    for path in given:
        inner = sorted(file for file in path.rglob("*") if suffix_of(file)) if path.is_dir() else [path]
        for file in inner:
            relative = file.relative_to(path) if path.is_dir() else Path(file.name)
            stem = relative.with_name(relative.name[: len(relative.name) - len(suffix_of(file))] or relative.name)
            if stem in found:
                raise BadImageError(f"{file} and {found[stem]}: both would write {stem}. Hint: predict them apart.")
            found[stem] = file
    if not found:
        raise BadImageError(f"{', '.join(map(str, given))}: no image here; expected {', '.join(SUFFIXES)}.")
    return {file: stem for stem, file in found.items()}


def predict_files(
    predictor: Predictor,
    given: Sequence[Path],
    out: Path,
    *,
    probabilities: bool = False,
    step: Callable[[int, int], None] | None = None,
) -> dict[Path, str]:
    """Write the mask of every image; one that cannot be done does not stop the others.

    Args:
        predictor: of a bundle.
        given: files and folders.
        out: folder for the masks, made where it is missing.
        probabilities: write `<stem>_probabilities.npy` too.
        step: called after each image with the number done and of all.

    Returns:
        What was wrong with each image that was not done.

    Raises:
        BadImageError: see `find_images`.
    """
    images = find_images(given)
    wrong: dict[Path, str] = {}
    waiting: list[_Read] = []
    for done, (file, stem) in enumerate(images.items(), start=1):
        try:
            waiting.append(_Read(file, out / stem, *read_image(file)))
        except _PROBLEMS as error:
            wrong[file] = _said(error)
        while waiting and (done == len(images) or not _may_wait(waiting, predictor.batch)):
            alike = [read for read in waiting if read.image.shape == waiting[0].image.shape]
            wrong |= _write_masks(predictor, alike, probabilities=probabilities)
            del waiting[: len(alike)], alike
        if step is not None:
            step(done, len(images))
    return {file: wrong[file] for file in images if file in wrong}


@dataclass(frozen=True)
class _Read:
    """An image that waits for others of its shape."""

    file: Path
    stem: Path
    image: Array
    back: Any


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
    except _PROBLEMS as error:
        if len(images) == 1:
            return {images[0].file: _said(error)}
        alone = [_write_masks(predictor, [read], probabilities=probabilities) for read in images]
        return {file: why for wrong in alone for file, why in wrong.items()}
    wrong = {}
    for read, (mask, shares) in zip(images, results, strict=True):
        try:
            turned = turned_back(mask, read.back, classes=mask.ndim > predictor.axes)
            write_mask(read.stem, turned, predictor.about, read.back)
            if shares is not None:
                place = read.stem.with_name(f"{read.stem.name}_probabilities.npy")
                np.save(place, turned_back(shares, read.back, classes=True))
        except _PROBLEMS as error:
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
    parser.add_argument("--batch", type=int, default=1, help="windows, or images of one size, at once")
    parser.add_argument("--threads", type=int, help="of the network; by default one a core")
    parser.add_argument("--tta", action=argparse.BooleanOptionalAction, help="average over mirrored images, or not")
    given = parser.parse_args()
    try:
        predictor = Predictor(Path(__file__).parent, threads=given.threads, batch=given.batch, tta=given.tta)
        wrong = predict_files(predictor, given.images, given.out, probabilities=given.probabilities)
    except (RefusedBundleError, BadImageError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    for file, why in wrong.items():
        sys.stderr.write(f"not done: {file}: {why}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
