"""Test-time augmentation: the mean of probabilities over mirrored images, in a bundle and in PyTorch alike."""

import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from components.data.folder import normalize_image
from components.deployment import load
from components.deployment.errors import BundleError
from components.deployment.mirroring import flips_of, mirrored_logits
from components.training import SlidingWindow
from components.training.inference import extended, predict
from components.training.mirrored import Mirrored, logits_of_mean
from tests.bundles import conv_bundle

MODES = ["binary", "multilabel", "multiclass"]


def network(classes: int, axes: int = 2) -> nn.Module:
    """A network that sees left and right: mirroring changes what it gives."""
    torch.manual_seed(0)
    conv: type[nn.Module] = {2: nn.Conv2d, 3: nn.Conv3d}[axes]
    return conv(1, classes, 3, padding=1).eval()


def probabilities(logits: torch.Tensor, mode: str) -> torch.Tensor:
    return logits.softmax(1) if mode == "multiclass" else logits.sigmoid()


def mean_by_hand(model: nn.Module, images: torch.Tensor, axes: list[int], mode: str) -> torch.Tensor:
    found = []
    for chosen in product([False, True], repeat=len(axes)):
        flip = [axis + 2 for axis, is_chosen in zip(axes, chosen, strict=True) if is_chosen]
        found.append(probabilities(model(images.flip(flip)).flip(flip), mode))
    return torch.stack(found).mean(0)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("axes", [[], [1], [0, 1], [0, 2]])
@torch.inference_mode()
def test_both_give_the_mean_of_the_probabilities(mode: str, axes: list[int]) -> None:
    dims = 3 if 2 in axes else 2
    model, images = network(1 if mode == "binary" else 3, dims), torch.randn(2, 1, *[6] * dims) * 5
    expected = mean_by_hand(model, images, axes, mode)
    torch.testing.assert_close(probabilities(Mirrored(model, mode, axes)(images), mode), expected)
    by_numpy = mirrored_logits(
        lambda given: model(torch.from_numpy(given)).numpy(), images.numpy(), axes, exclusive=mode == "multiclass"
    )
    assert by_numpy.dtype == np.float32
    torch.testing.assert_close(probabilities(torch.from_numpy(by_numpy), mode), expected)
    if axes:
        assert not torch.allclose(expected, probabilities(model(images), mode))


def test_certain_pixels_stay_finite() -> None:
    certain = torch.tensor([[[400.0, -400.0, 400.0]]])
    mean = logits_of_mean([certain, certain.flip(-1) * torch.tensor([1.0, 1.0, -1.0])], "binary")
    torch.testing.assert_close(mean, torch.tensor([[[400.0, -400.0, 0.0]]]))
    by_numpy = mirrored_logits(lambda given: given, certain.numpy(), [0], exclusive=False)
    np.testing.assert_allclose(by_numpy, certain.numpy())


def test_all_ways_to_mirror_three_axes_are_eight() -> None:
    assert len(set(flips_of([0, 1, 2]))) == 8
    assert flips_of([]) == [()]


@pytest.fixture(scope="module")
def model() -> Any:
    return network(1)


def bundle_of(folder: Path, model: Any, tta: dict[str, Any] | None) -> Path:
    for name in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(name, reason="needs the extra `export`")
    return conv_bundle(folder / "bundle", model, tta=tta)


@pytest.mark.parametrize("shape", [(16, 16), (37, 21)], ids=["whole", "in windows"])
@torch.inference_mode()
def test_a_bundle_averages_as_it_was_exported_or_as_it_is_told(tmp_path: Path, model: Any, shape: Any) -> None:
    folder = bundle_of(tmp_path, model, {"axes": [1], "used": True})
    image = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    ready = torch.from_numpy(normalize_image(image[None], "zscore"))[None]
    inside: Any = (..., *map(slice, shape))
    window = SlidingWindow((16, 16), 0.25)
    averaged, once = (
        predict(each, extended(ready, 4), window)[inside].sigmoid()[0, 0].numpy()
        for each in (Mirrored(model, "binary", [1]), model)
    )
    for tta, expected in ((None, averaged), (True, averaged), (False, once)):
        mask, shares = load(folder, tta=tta).predict(image, probabilities=True)
        assert shares is not None
        np.testing.assert_allclose(shares[0], expected, atol=1e-5)
        assert (mask == (expected > 0.5)).all()
    assert np.abs(averaged - once).max() > 0.05


def test_a_bundle_that_names_no_axis_refuses(tmp_path: Path, model: Any) -> None:
    folder = bundle_of(tmp_path, model, None)
    assert load(folder).mirrored == []
    with pytest.raises(BundleError, match=r"names no axis that may be mirrored.*Hint: training.mirror"):
        load(folder, tta=True)


def test_the_bundles_own_predictor_takes_the_option(tmp_path: Path, model: Any) -> None:
    folder = bundle_of(tmp_path, model, {"axes": [0, 1], "used": False})
    image = np.random.default_rng(0).integers(0, 255, (16, 16), dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / "cell.png")
    for option in ("--tta", "--no-tta"):
        given = [folder / "predict.py", tmp_path / "cell.png", "--out", tmp_path / option, "--probabilities", option]
        subprocess.run([sys.executable, "-I", *map(str, given)], check=True)
        written = np.load(tmp_path / option / "cell_probabilities.npy")
        expected = load(folder, tta=option == "--tta").predict(image, probabilities=True)[1]
        np.testing.assert_allclose(written, expected, atol=1e-6)
