"""A file means one array: in training, in `segtune predict` and in a bundle's own `predict.py`."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from imagecodecs import png_encode
from PIL import Image

from components.data.folder import read_image
from components.deployment.carried import write_predictor
from components.image_reader import UnreadableImageError, is_image_file, read_pixels, turned_back
from tests.folders import save_volume

ROWS, COLUMNS = 12, 10
GREY = (np.arange(ROWS * COLUMNS, dtype=np.uint8) * 2).reshape(ROWS, COLUMNS)
RGB = np.stack([GREY, 255 - GREY, GREY // 2], axis=-1)
RGBA = np.concatenate([RGB, GREY[..., None]], axis=-1)
STACK = np.stack([GREY, GREY[::-1], GREY[:, ::-1]])
Made = tuple[str, Callable[[Path], object], np.ndarray]


def tiff(name: str, array: np.ndarray, expected: np.ndarray, **options: Any) -> Made:
    return f"{name}.tif", lambda path: tifffile.imwrite(path, array, **options), expected


def picture(name: str, array: np.ndarray, expected: np.ndarray, mode: str | None = None, **options: Any) -> Made:
    def save(path: Path) -> None:
        image = Image.fromarray(array)
        (image.convert(mode) if mode else image).save(path, **options)

    return name, save, expected


def npy(name: str, array: np.ndarray) -> Made:
    return f"{name}.npy", lambda path: np.save(path, array), array


def palette(path: Path) -> None:
    image = Image.fromarray(GREY % 4)
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120])
    image.save(path)


def turned_photograph(orientation: int) -> Callable[[Path], None]:
    def save(path: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(RGB).save(path, exif=exif)

    return save


def deep_png(array: np.ndarray) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(png_encode(np.ascontiguousarray(array)))


DEEP = RGB.astype(np.uint16) * 257
PALETTE = np.array([[10, 20, 30], [40, 50, 60], [70, 80, 90], [100, 110, 120]], np.uint8)[GREY % 4]
TURNED = {1: RGB, 3: np.rot90(RGB, 2), 6: np.rot90(RGB, 3), 8: np.rot90(RGB)}
KINDS: list[Made] = [
    picture("grey.png", GREY, GREY),
    picture("GREY.PNG", GREY, GREY),
    picture("bits.png", GREY > 99, GREY > 99),
    picture("rgb.png", RGB, RGB),
    picture("rgba.png", RGBA, RGB),
    picture("grey_alpha.png", RGBA, np.asarray(Image.fromarray(RGBA).convert("LA").convert("L")), "LA"),
    picture("deep.png", GREY.astype(np.uint16) * 257, GREY.astype(np.uint16) * 257),
    ("palette.png", palette, PALETTE),
    ("deep_rgb.png", deep_png(DEEP), DEEP),
    ("deep_rgba.png", deep_png(np.concatenate([DEEP, DEEP[..., :1]], axis=-1)), DEEP),
    ("deep_grey_alpha.png", deep_png(DEEP[..., :2]), DEEP[..., 0]),
    *(
        (f"photo{orientation}.png", turned_photograph(orientation), np.ascontiguousarray(array))
        for orientation, array in TURNED.items()
    ),
    *(
        tiff(f"grey_{kind}", GREY.astype(kind), GREY.astype(kind))
        for kind in ("u1", "u2", "u4", "i2", "i4", "f4", "f8")
    ),
    *(tiff(f"big_{kind}", GREY.astype(kind), GREY.astype(kind), byteorder=">") for kind in ("u2", "i4", "f4")),
    *(tiff(f"tiled_{kind}", GREY.astype(kind), GREY.astype(kind), tile=(16, 16)) for kind in ("u1", "u2", "f4")),
    *(
        tiff(f"{name}_{kind}", GREY.astype(kind), GREY.astype(kind), compression=name)
        for name in ("zlib", "lzw", "packbits", "zstd", "lzma", "deflate")
        for kind in ("u1", "u2")
    ),
    *(
        tiff(f"{name}_predictor_{kind}", GREY.astype(kind), GREY.astype(kind), compression=name, predictor=True)
        for name in ("zlib", "lzw")
        for kind in ("u1", "u2", "f4")
    ),
    *(
        tiff(f"white_is_0_{kind}", GREY.astype(kind), ~GREY.astype(kind), photometric="miniswhite")
        for kind in ("u1", "u2")
    ),
    tiff("bits", GREY > 99, GREY > 99, photometric="minisblack"),
    tiff("rgb", RGB, RGB, photometric="rgb"),
    tiff("rgb_u2", DEEP, DEEP, photometric="rgb"),
    tiff("rgb_tiled", RGB, RGB, photometric="rgb", tile=(16, 16)),
    tiff("rgb_zlib", RGB, RGB, photometric="rgb", compression="zlib"),
    tiff("rgb_jpeg2000", RGB, RGB, photometric="rgb", compression="jpeg2000"),
    tiff("grey_jpeg2000_u2", GREY.astype("u2"), GREY.astype("u2"), compression="jpeg2000"),
    tiff("grey_jpegxl", GREY, GREY, compression="jpegxl", compressionargs={"lossless": True}),
    tiff("planar", np.moveaxis(RGB, -1, 0), np.moveaxis(RGB, -1, 0), photometric="rgb", planarconfig="separate"),
    tiff("straight", RGBA, RGB, photometric="rgb", extrasamples=["unassalpha"]),
    tiff("premultiplied", RGBA, RGB, photometric="rgb", extrasamples=["assocalpha"]),
    tiff("pages", STACK, STACK, photometric="minisblack"),
    tiff("pages_u2", STACK.astype("u2"), STACK.astype("u2"), photometric="minisblack"),
    tiff("pages_zlib", STACK, STACK, photometric="minisblack", compression="zlib"),
    tiff("imagej_z", STACK, STACK, imagej=True, metadata={"axes": "ZYX"}),
    tiff("imagej_c", STACK, STACK, imagej=True, metadata={"axes": "CYX"}),
    tiff(
        "imagej_zc",
        np.stack([STACK, STACK + 1], axis=1),
        np.moveaxis(np.stack([STACK, STACK + 1], axis=1), 1, 0),
        imagej=True,
        metadata={"axes": "ZCYX"},
    ),
    tiff("ome", STACK, STACK, ome=True, metadata={"axes": "ZYX"}, photometric="minisblack"),
    tiff("bigtiff", GREY, GREY, bigtiff=True),
    *(npy(f"array_{kind}", GREY.astype(kind)) for kind in ("u1", "u2", "i4", "f2", "f4", "f8", "?")),
    npy("array_rgb", RGB),
    npy("array_volume", np.stack([STACK] * 4)),
]


@pytest.fixture(scope="module")
def carried(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A bundle's `predict.py`, loaded as a module of its own."""
    folder = tmp_path_factory.mktemp("bundle")
    write_predictor(folder)
    spec = importlib.util.spec_from_file_location("carried_predict", folder / "predict.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


def test_there_are_many_kinds_of_files() -> None:
    assert len({name for name, *_ in KINDS}) == len(KINDS) >= 75


@pytest.mark.parametrize(("name", "save", "expected"), KINDS, ids=[name for name, *_ in KINDS])
def test_a_file_is_the_same_array_in_training_and_in_a_bundle(
    tmp_path: Path, carried: Any, name: str, save: Callable[[Path], object], expected: np.ndarray
) -> None:
    save(tmp_path / name)
    trained, predicted = read_image(tmp_path / name), carried.read_pixels(tmp_path / name)[0]
    for found in (trained, predicted):
        assert found.dtype.newbyteorder("=") == expected.dtype.newbyteorder("=")
        np.testing.assert_array_equal(found, expected)


AFFINES = {
    "ras": np.diag([1.0, 1.0, 2.0, 1.0]),
    "lps": np.diag([-1.0, -1.0, 2.0, 1.0]),
    "turned": np.array([[0, 0, 2.0, 3], [-1.0, 0, 0, 4], [0, 1.5, 0, 5], [0, 0, 0, 1]]),
    "oblique": np.array([[0.9, -0.3, 0, 1], [0.3, 0.9, 0, 2], [0, 0, 2.0, 3], [0, 0, 0, 1]]),
}


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 1), (6, 5, 4), (6, 5, 4, 2), (6, 5, 4, 1, 2)], ids=str)
@pytest.mark.parametrize("name", AFFINES)
def test_a_volume_is_the_same_in_both_and_goes_back_as_it_lay(
    tmp_path: Path, carried: Any, name: str, shape: tuple[int, ...]
) -> None:
    nibabel = pytest.importorskip("nibabel", reason="needs the extra `medical`")
    values = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    save_volume(tmp_path / "a.nii.gz", values, AFFINES[name])
    found, placement = carried.read_pixels(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(found, read_image(tmp_path / "a.nii.gz"))
    canonical = nibabel.as_closest_canonical(
        nibabel.Nifti1Image(values.reshape(*shape, *[1] * (3 - len(shape))), AFFINES[name])
    )
    np.testing.assert_array_equal(found.ravel(), np.asarray(canonical.dataobj).ravel())
    first = values.reshape(*shape[:3], -1)[..., 0]
    laid = found if found.ndim == 3 else found[..., 0]
    np.testing.assert_array_equal(turned_back(laid, placement), first)
    if len(shape) == 2:  # a network of two axes gives a mask of two
        np.testing.assert_array_equal(turned_back(laid.squeeze(), placement), first)


BAD: dict[str, Callable[[Path], object]] = {
    "empty.png": lambda path: path.write_bytes(b""),
    "text.png": lambda path: path.write_text("no picture"),
    "cut.tif": lambda path: path.write_bytes(b"II*\0"),
    "objects.npy": lambda path: np.save(path, np.array([{}], dtype=object)),
    "words.npy": lambda path: np.save(path, np.array([["a"]])),
    "nothing.npy": lambda path: np.save(path, np.zeros((0, 4))),
    "number.npy": lambda path: np.save(path, np.float32(3)),
    "cut.nii.gz": lambda path: path.write_bytes(b"\x1f\x8b"),
    "note.txt": lambda path: path.write_text("hello"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_an_image_is_refused_by_both_for_the_same_reason(tmp_path: Path, carried: Any, name: str) -> None:
    BAD[name](tmp_path / name)
    with pytest.raises(UnreadableImageError) as here:
        read_pixels(tmp_path / name)
    with pytest.raises(carried.UnreadableImageError) as there:
        carried.read_pixels(tmp_path / name)
    assert str(here.value) == str(there.value) != ""


@pytest.mark.parametrize("name", ["._a.png", ".DS_Store", "Thumbs.db", "a.txt", "a", ".hidden.tif"])
def test_files_of_a_system_are_not_images(name: str) -> None:
    assert not is_image_file(Path(name))
    assert is_image_file(Path("A.TIFF"))
