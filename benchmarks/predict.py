"""Images a second of an exported model on the CPU, and the memory that a large image takes.

    PYTHONPATH=. python benchmarks/predict.py [--threads 1] [--repeats 5] [--memory]

Side by side, turn by turn, with the same threads, from images as stored to masks:

- PyTorch eager, image by image: normalise, pad, the network in inference mode, threshold;
- the predictor of the bundle, image by image, and in batches;
- the session of onnxruntime alone, on images that are normalised and padded already.

The network is MONAI's UNet (16, 32, 64, 128) with weights as drawn, as speed does not hang on them; images are those of
the nuclei of `SEGTUNE_DATA`, else of noise in their sizes. The large image goes through a process of its own, whose
largest resident set counts, from an array in memory and from a PNG file to a mask file; windows of 1,024.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.networks.nets import UNet
from PIL import Image

from components.data.folder import normalize_image
from components.deployment import load
from components.image_reader import read_pixels
from tests.bundles import make_bundle

DIVISOR, CHANNELS, BATCH, LARGE = 8, 3, 8, 10_000
SIZES = ((256, 256), (256, 320), (520, 696), (360, 360))
_MEASURED = """
import json, sys, time
from pathlib import Path
import numpy as np
sys.path.insert(0, sys.argv[1])
from predict import Predictor, predict_files
given, size, place = sys.argv[3], int(sys.argv[4]), Path(sys.argv[5])
predictor = Predictor(Path(sys.argv[1]), threads=int(sys.argv[2])) if size else None
image = np.random.default_rng(0).integers(0, 255, (size, size, 3), dtype=np.uint8) if given == "array" else None
began = time.perf_counter()
if size and given == "array":
    predictor(image)
elif size:
    assert predict_files(predictor, [place / f"{size}.png"], place / "masks") == {}
seconds = time.perf_counter() - began
status = dict(line.split(":", 1) for line in open("/proc/self/status"))  # ru_maxrss counts the parent's too
print(json.dumps([seconds, int(status["VmHWM"].split()[0]) / 1024]))
"""


def main() -> None:
    """Measure and print both tables."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--threads", type=int, default=1)
    arguments.add_argument("--repeats", type=int, default=5)
    arguments.add_argument("--memory", action="store_true", help="measure memory alone")
    given = arguments.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    model = UNet(2, CHANNELS, 1, (16, 32, 64, 128), (2, 2, 2)).eval()
    with tempfile.TemporaryDirectory() as place:
        tiling = {"size": [1024, 1024], "blend": "centre"}
        bundle = make_bundle(Path(place) / "bundle", model, channels=CHANNELS, divisor=DIVISOR, tiling=tiling)
        if not given.memory:
            _print_speed(bundle, model, given.threads, given.repeats)
            print()
        _print_memory(bundle, given.threads)


def _print_speed(bundle: Path, model: torch.nn.Module, threads: int, repeats: int) -> None:
    images = _images()
    alone, batches = load(bundle, threads=threads), load(bundle, threads=threads, batch=BATCH)
    ready = [_ready(image) for image in images]
    ways: dict[str, Callable[[], Any]] = {
        "PyTorch eager": lambda: [_eager(model, image) for image in images],
        "predictor": lambda: [alone(image) for image in images],
        f"predictor, batches of {BATCH}": lambda: _in_batches(batches, images),
        "onnxruntime alone": lambda: [alone.logits(image) for image in ready],
    }
    masks, expected = ways["predictor"](), ways["PyTorch eager"]()
    same = all((mask == other).mean() > 1 - 1e-4 for mask, other in zip(masks, expected, strict=True))
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - began)
    print(f"{len(images)} images, {threads} thread(s), equal masks: {same}\n")
    print("| | images a second | beside PyTorch eager | range |\n|---|---|---|---|")
    for name, found in seconds.items():
        ratios = [eager / own for eager, own in zip(seconds["PyTorch eager"], found, strict=True)]
        speed, ratio = len(images) / statistics.median(found), statistics.median(ratios)
        print(f"| {name} | {speed:.1f} | {ratio:.2f} × | {min(ratios):.2f} to {max(ratios):.2f} |")


def _print_memory(bundle: Path, threads: int) -> None:
    print("| RGB image | given as | seconds | peak MiB |\n|---|---|---|---|")
    for size in (0, 1000, LARGE):
        for given in ("array", "PNG file") if size else ("array",):
            place = bundle.parent
            if given != "array":
                random = np.random.default_rng(0)
                noise = random.integers(0, 255, (size, size, CHANNELS), dtype=np.uint8)
                Image.fromarray(noise).save(place / f"{size}.png", compress_level=1)
            command = [sys.executable, "-c", _MEASURED, *map(str, (bundle, threads, given, size, place))]
            result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own code
            if result.returncode:
                raise SystemExit(result.stderr)
            seconds, mib = json.loads(result.stdout)
            print(f"| {f'{size} × {size}' if size else 'none'} | {given} | {seconds:.1f} | {mib:.0f} |")


def _images() -> list[Any]:
    root = os.environ.get("SEGTUNE_DATA")
    files = sorted((Path(root) / "dsb2018_nuclei" / "images").glob("*.png"))[:40] if root else []
    if files:
        return [
            np.atleast_3d(read_pixels(file)[0])[..., :CHANNELS].repeat(CHANNELS, -1)[..., :CHANNELS] for file in files
        ]
    random = np.random.default_rng(0)
    return [random.integers(0, 255, (*SIZES[number % 4], CHANNELS), dtype=np.uint8) for number in range(40)]


def _ready(image: Any) -> Any:
    scaled = normalize_image(np.moveaxis(image, -1, 0), "zscore")
    missing = [(0, 0), *((0, -size % DIVISOR) for size in scaled.shape[1:])]
    return np.pad(scaled, missing, "symmetric")[None]


def _eager(model: torch.nn.Module, image: Any) -> Any:
    with torch.inference_mode():
        logits = model(torch.from_numpy(_ready(image)))[0, 0]
    return (logits[: image.shape[0], : image.shape[1]] > 0).numpy().astype(np.uint8)


def _in_batches(predictor: Any, images: list[Any]) -> None:
    by_shape: dict[Any, list[Any]] = {}
    for image in images:
        by_shape.setdefault(image.shape, []).append(image)
    for some in by_shape.values():
        predictor.predict_alike(some)


if __name__ == "__main__":
    main()
