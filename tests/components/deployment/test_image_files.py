"""Pictures as pillow gives them, and the memory that large ones take."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from components.image_reader import read_pixels
from tests.bundles import conv_bundle

ROWS, COLUMNS = 1100, 3  # more rows than are copied at once
SIDE = 4000
MEASURED = """
import json, sys
from pathlib import Path
from components.deployment import load
from components.deployment.image_files import predict_files

def peak():
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))  # ru_maxrss counts the parent's too
    return int(status["VmHWM"].split()[0]) * 1024

bundle, images, out = map(Path, sys.argv[1:])
predictor = load(bundle, threads=1, batch=4)
before = peak()
wrong = predict_files(predictor, [images], out)
print(json.dumps([len(wrong), peak() - before]))
"""


def picture(mode: str) -> Image.Image:
    """A picture that differs from pixel to pixel and from strip to strip."""
    values = np.random.default_rng(0).integers(0, 255, (ROWS, COLUMNS), dtype=np.uint8)
    if mode == "P":
        found = Image.fromarray(values)
        found.putpalette(list(range(256)) * 3)
        return found
    if mode in ("I", "F", "I;16"):
        kind = {"I": np.int32, "F": np.float32, "I;16": np.uint16}[mode]
        return Image.fromarray(values.astype(kind) * 7)
    return Image.fromarray(values).convert("RGB").convert(mode) if mode != "1" else Image.fromarray(values > 99)


@pytest.mark.parametrize(
    ("mode", "suffix", "read_as"),
    [
        ("1", "png", "1"),
        ("L", "png", "L"),
        ("LA", "png", "L"),
        ("P", "png", "RGB"),
        ("RGB", "png", "RGB"),
        ("RGBA", "png", "RGB"),
        ("I;16", "png", "I;16"),
        ("CMYK", "jpg", "RGB"),
    ],
)
def test_a_picture_is_read_as_pillow_reads_it_at_once(tmp_path: Path, mode: str, suffix: str, read_as: str) -> None:
    path = tmp_path / f"a.{suffix}"
    picture(mode).save(path)
    with Image.open(path) as stored:
        assert stored.mode == mode
        expected = np.asarray(stored if mode == read_as else stored.convert(read_as))
    found, back = read_pixels(path)
    assert back is None
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    assert (found == expected).all()


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_a_photograph_is_turned_as_its_camera_was_held(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture("RGB").save(tmp_path / "a.png", exif=exif)
    turned = {1: 0, 3: 2, 6: 3}[orientation]
    assert (read_pixels(tmp_path / "a.png")[0] == np.rot90(np.asarray(picture("RGB")), turned)).all()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process's memory is read there")
def test_large_files_one_after_the_other_take_little_more_memory_than_one_decoded(tmp_path: Path) -> None:
    """An array of 3 bytes a pixel, beside it pillow's 4 and then the 4 of the windows' sum: 2.4 times the array."""
    pytest.importorskip("onnxruntime", reason="needs the extra `export`")
    torch.manual_seed(0)
    conv_bundle(tmp_path / "bundle", nn.Conv2d(3, 1, 1).eval(), tiling={"size": [256, 256]})
    (tmp_path / "images").mkdir()
    ramp = np.broadcast_to(np.arange(SIDE, dtype=np.uint8)[:, None, None], (SIDE, SIDE, 3))
    for name in "abc":
        Image.fromarray(np.ascontiguousarray(ramp)).save(tmp_path / "images" / f"{name}.png", compress_level=1)
    command = [sys.executable, "-c", MEASURED, *(str(tmp_path / name) for name in ("bundle", "images", "out"))]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    wrong, grown = json.loads(result.stdout)
    assert wrong == 0
    assert grown < 4 * ramp.size  # onnxruntime, masks and windows have the rest
