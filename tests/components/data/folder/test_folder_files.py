"""Every kind of file that holds an image or a mask, as other programs write it, and what is left of it when damaged."""

import io
import pickle
import struct
import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from components.data.folder import read_image, read_labels
from components.errors import InvalidInputError
from components.image_reader import is_image_file

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
COLOUR = np.stack([GREY, GREY // 2, 255 - GREY], axis=-1)
DEEP = GREY.astype(np.uint16) * 257 + 3  # a value that 8 bits cannot hold
ALPHA = np.full((3, 4, 1), 128, np.uint8)


def png(path: Path, array: np.ndarray, mode: str | None = None) -> Path:
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path)
    return path


def tiff(path: Path, array: np.ndarray, **options: Any) -> Path:
    tifffile.imwrite(path, array, **options)
    return path


def npy(path: Path, array: np.ndarray) -> Path:
    np.save(path, array)
    return path


def assert_reads(path: Path, expected: np.ndarray) -> None:
    for read in (read_image, read_labels):
        found = read(path)
        assert found.dtype == expected.dtype
        assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (GREY, GREY),
        (COLOUR, COLOUR),
        (np.concatenate([COLOUR, ALPHA], axis=-1), COLOUR),
        (np.concatenate([GREY[..., None], ALPHA], axis=-1), GREY),
        (GREY > 100, GREY > 100),
        (DEEP, DEEP),
    ],
    ids=["L", "RGB", "RGBA", "LA", "1-bit", "16-bit"],
)
def test_png(tmp_path: Path, stored: np.ndarray, expected: np.ndarray) -> None:
    assert_reads(png(tmp_path / "a.png", stored), expected)


DEEP_COLOUR = np.stack([DEEP, DEEP // 2, 65535 - DEEP], axis=-1)


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (DEEP_COLOUR, DEEP_COLOUR),
        (np.concatenate([DEEP_COLOUR, DEEP[..., None]], axis=-1), DEEP_COLOUR),
        (np.stack([DEEP, DEEP // 3], axis=-1), DEEP),
        (DEEP, DEEP),
    ],
    ids=["RGB", "RGBA", "LA", "L"],
)
def test_a_png_of_16_bits_keeps_them_and_loses_its_alpha(
    tmp_path: Path, stored: np.ndarray, expected: np.ndarray
) -> None:
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(stored))
    assert_reads(tmp_path / "a.png", expected)


def test_a_png_of_16_bits_with_a_transparent_colour_has_three_channels(tmp_path: Path) -> None:
    content = imagecodecs.png_encode(DEEP_COLOUR)
    start = content.index(b"IDAT") - 4
    chunk = b"tRNS" + struct.pack(">HHH", 0, 0, 0)
    chunk = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (tmp_path / "a.png").write_bytes(content[:start] + chunk + content[start:])
    assert_reads(tmp_path / "a.png", DEEP_COLOUR)


def test_a_palette_gives_colours_in_an_image_and_indices_in_a_mask(tmp_path: Path) -> None:
    indices = np.array([[0, 1], [2, 1]], np.uint8)
    image = Image.fromarray(indices)
    image.putpalette([10, 20, 30, 200, 0, 0, 0, 0, 250])
    assert image.mode == "P"
    image.save(tmp_path / "a.png")
    assert np.array_equal(read_labels(tmp_path / "a.png"), indices)
    palette = np.array([[10, 20, 30], [200, 0, 0], [0, 0, 250]], np.uint8)
    assert np.array_equal(read_image(tmp_path / "a.png"), palette[indices])


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG"])
def test_jpeg_in_grey_and_colour(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(GREY).save(path, quality=100)
    assert read_image(path).shape == (3, 4)
    assert np.abs(read_image(path).astype(int) - GREY).max() <= 3
    flat = np.full((16, 16, 3), (200, 60, 30), np.uint8)
    Image.fromarray(flat).save(path, quality=100)
    assert np.abs(read_image(path).astype(int) - flat).max() <= 3


@pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (3, 2), (6, 3), (8, 1)])
def test_a_jpeg_is_turned_as_its_camera_says(tmp_path: Path, orientation: int, turns: int) -> None:
    wide = np.zeros((16, 32), np.uint8)
    wide[:8, :8] = 240
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(wide).save(tmp_path / "a.jpg", exif=exif, quality=100)
    expected = np.rot90(wide, turns)
    assert read_image(tmp_path / "a.jpg").shape == expected.shape
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - expected).max() <= 10


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    red = Image.new("RGB", (16, 16), (250, 0, 0))
    red.convert("CMYK").save(tmp_path / "a.jpg", quality=100)
    image = read_image(tmp_path / "a.jpg")
    assert image.shape == (16, 16, 3)
    assert np.abs(image.astype(int) - (250, 0, 0)).max() <= 5


@pytest.mark.parametrize("compression", [None, "lzw", "zlib"])
@pytest.mark.parametrize(
    "array",
    [GREY, DEEP, GREY.astype(np.float32) / 7, GREY.astype(np.int16) - 50, COLOUR],
    ids=["uint8", "uint16", "float32", "int16", "RGB"],
)
def test_tiff(tmp_path: Path, array: np.ndarray, compression: str | None) -> None:
    photometric = "rgb" if array.ndim == 3 else "minisblack"
    assert_reads(tiff(tmp_path / "a.tif", array, compression=compression, photometric=photometric), array)


def test_a_tiff_of_big_endian_numbers(tmp_path: Path) -> None:
    assert np.array_equal(read_image(tiff(tmp_path / "a.tiff", DEEP, byteorder=">")), DEEP)


def test_tiff_pages_are_the_first_axis(tmp_path: Path) -> None:
    pages = np.stack([DEEP, DEEP + 1, DEEP + 2, DEEP + 3, DEEP + 4])
    assert_reads(tiff(tmp_path / "a.tif", pages, photometric="minisblack"), pages)
    frames = [Image.fromarray(page.astype(np.uint8)) for page in pages]
    frames[0].save(tmp_path / "b.tif", save_all=True, append_images=frames[1:])
    assert_reads(tmp_path / "b.tif", pages.astype(np.uint8))


def test_imagej_channels_come_first(tmp_path: Path) -> None:
    channels = np.stack([DEEP, DEEP // 2])
    assert_reads(tiff(tmp_path / "a.tif", channels, imagej=True, metadata={"axes": "CYX"}), channels)
    volume = np.stack([channels, channels + 1, channels + 2])
    path = tiff(tmp_path / "b.tif", volume, imagej=True, metadata={"axes": "ZCYX"})
    assert_reads(path, np.moveaxis(volume, 1, 0))


def test_planar_colour_comes_channels_first(tmp_path: Path) -> None:
    planes = np.moveaxis(COLOUR, -1, 0)
    assert_reads(tiff(tmp_path / "a.tif", planes, photometric="rgb", planarconfig="separate"), planes)


def test_a_tiff_loses_its_alpha(tmp_path: Path) -> None:
    stored = np.concatenate([COLOUR, ALPHA], axis=-1)
    assert_reads(tiff(tmp_path / "a.tif", stored, photometric="rgb", extrasamples=["unassalpha"]), COLOUR)
    planes = np.moveaxis(stored, -1, 0)
    path = tiff(tmp_path / "b.tif", planes, photometric="rgb", planarconfig="separate", extrasamples=["unassalpha"])
    assert_reads(path, np.moveaxis(COLOUR, -1, 0))
    Image.fromarray(np.concatenate([GREY[..., None], ALPHA], axis=-1)).save(tmp_path / "c.tif")
    assert_reads(tmp_path / "c.tif", GREY[..., None])


def test_an_image_where_white_is_0_is_turned_round_and_a_mask_is_not(tmp_path: Path) -> None:
    floats = GREY.astype(np.float32)
    for name, stored, seen in (("a", GREY, 255 - GREY), ("b", GREY > 100, GREY <= 100), ("c", floats, -floats)):
        path = tiff(tmp_path / f"{name}.tif", stored, photometric="miniswhite")
        assert np.array_equal(read_image(path), seen)
        assert np.array_equal(read_labels(path), stored)


@pytest.mark.parametrize(
    "array",
    [
        GREY > 100,
        GREY,
        DEEP.astype(np.int64) - 5,
        GREY.astype(np.float16),
        GREY.astype(np.float64) / 3,
        COLOUR,
        np.zeros((2, 3, 4, 5), np.float32),
    ],
    ids=["bool", "uint8", "int64", "float16", "float64", "3D", "4D"],
)
def test_npy(tmp_path: Path, array: np.ndarray) -> None:
    assert_reads(npy(tmp_path / "a.npy", array), array)


def written(folder: Path, suffix: str) -> Path:
    random = np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)
    path = folder / f"a{suffix}"
    if suffix == ".npy":
        return npy(path, random)
    if suffix == ".tif":
        return tiff(path, random, photometric="rgb")
    if suffix == ".deep.png":
        path.write_bytes(imagecodecs.png_encode(random.astype(np.uint16)))
        return path
    return png(path, random)


@pytest.mark.parametrize("suffix", [".png", ".deep.png", ".jpg", ".tif", ".npy"])
@pytest.mark.parametrize("part", [0.0, 0.01, 0.5, 0.9])
def test_a_truncated_file_is_named(tmp_path: Path, suffix: str, part: float) -> None:
    path = written(tmp_path, suffix)
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    for read in (read_image, read_labels):
        with pytest.raises(InvalidInputError) as caught:
            read(path)
        text = str(caught.value)
        assert text.startswith(f"{path}: does not decode (")
        assert text.endswith("). Hint: is the file whole, and of its suffix?")
        assert "()" not in text


@pytest.mark.parametrize("compression", ["lzw", "zlib"])
def test_a_truncated_compressed_tiff_is_named(tmp_path: Path, compression: str) -> None:
    path = tiff(
        tmp_path / "a.tif", np.random.default_rng(0).integers(0, 255, (40, 40), np.uint8), compression=compression
    )
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InvalidInputError, match=r"a\.tif: does not decode \("):
        read_image(path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".npy"])
def test_text_under_another_name_is_no_image(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_text("case,score\na,1\n")
    with pytest.raises(InvalidInputError, match=rf"a\{suffix}: does not decode \("):
        read_image(path)


class Touches:
    """Its pickle creates a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    objects = np.array([Touches(trap), None], dtype=object)
    np.save(tmp_path / "a.npy", objects, allow_pickle=True)
    (tmp_path / "b.npy").write_bytes(pickle.dumps(Touches(trap)))
    for name in ("a.npy", "b.npy"):
        with pytest.raises(InvalidInputError, match=rf"{name}: does not decode \("):
            read_image(tmp_path / name)
    assert not trap.exists()


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    complex_path = npy(tmp_path / "a.npy", np.zeros((2, 2), complex))
    with pytest.raises(InvalidInputError) as caught:
        read_image(complex_path)
    assert str(caught.value) == f"{complex_path}: found dtype complex128; expected bool, integers or floats."
    for shape in ((5,), (0, 4)):
        with pytest.raises(InvalidInputError) as caught:
            read_image(npy(tmp_path / "b.npy", np.zeros(shape)))
        assert str(caught.value) == (
            f"{tmp_path / 'b.npy'}: found shape {shape}; expected at least rows and columns, none of them 0."
        )
    archive = io.BytesIO()
    np.savez(archive, a=GREY)
    (tmp_path / "c.npy").write_bytes(archive.getvalue())
    with pytest.raises(InvalidInputError, match=r"c\.npy: "):
        read_image(tmp_path / "c.npy")


def test_only_visible_files_of_known_kinds_are_images() -> None:
    names = [
        "a.png",
        "a.PNG",
        "b.tif",
        "c.Tiff",
        "d.jpeg",
        "e.npy",
        ".a.png",
        "._a.png",
        "a.bmp",
        "a.txt",
        "png",
        "a.npz",
    ]
    assert [name for name in names if is_image_file(Path("images") / name)] == names[:6]
