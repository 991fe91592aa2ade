"""Large images in windows, many images in batches: the masks are those of the network on the whole image."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from components.data.folder import normalize_image
from components.deployment import load
from components.deployment.image_files import predict_files
from tests.bundles import make_bundle

for extra in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(extra, reason="needs the extra `export`")
AROUND = 4  # pixels that the network looks to each side


class Small(nn.Module):
    """Down and up again by two, as a U-Net: where a window begins matters."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 4, 3, padding=1),
            nn.ReLU(),
            nn.Upsample(scale_factor=2.0),
            nn.Conv2d(4, 2, 1),
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.layers(image)
        return found


class OneSize(nn.Module):
    """Has a weight for every place, as a transformer's embedding of positions."""

    def __init__(self) -> None:
        super().__init__()
        self.places, self.conv = nn.Parameter(torch.randn(1, 1, 16, 16)), nn.Conv2d(1, 2, 3, padding=1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.conv(image + self.places)
        return found


def two_classes(folder: Path, model: nn.Module, fixed: list[int] | None = None, **tiling: Any) -> Path:
    output = {"mode": "multiclass", "classes": ["nothing", "cell"], "threshold": None}
    blended = {"overlap": 0.75, "blend": "centre", **tiling}
    return make_bundle(folder, model, divisor=2, fixed=fixed, output=output, tiling=blended)


@pytest.fixture(scope="module")
def model() -> nn.Module:
    torch.manual_seed(0)
    return Small().eval()


@pytest.fixture(scope="module")
def bundle(model: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return two_classes(tmp_path_factory.mktemp("bundles") / "bundle", model)


def image_of(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)


def untiled(model: nn.Module, image: np.ndarray) -> np.ndarray:
    scaled = np.pad(
        normalize_image(image[None], "zscore"), [(0, 0), *((0, size % 2) for size in image.shape)], "symmetric"
    )
    with torch.inference_mode():
        shares: np.ndarray = model(torch.from_numpy(scaled)[None]).softmax(dim=1)[0].numpy()
    return shares[:, : image.shape[0], : image.shape[1]]


@pytest.mark.parametrize("shape", [(16, 40), (64, 64), (33, 71), (100, 17)])
@pytest.mark.parametrize("batch", [1, 3, 100])
def test_windows_give_what_the_whole_image_gives(
    bundle: Path, model: nn.Module, shape: tuple[int, int], batch: int
) -> None:
    """Half an overlap is more than the network looks around, so that this holds for every pixel."""
    image = image_of(*shape)
    _, shares = load(bundle, batch=batch).predict(image, probabilities=True)
    np.testing.assert_allclose(shares, untiled(model, image), atol=1e-5)


def test_a_network_that_looks_further_than_half_an_overlap_is_right_inside(model: nn.Module, tmp_path: Path) -> None:
    """Without any overlap pixels at the seams lack their neighbours; all others are right."""
    image = image_of(64, 64)
    _, shares = load(two_classes(tmp_path / "bundle", model, overlap=0.0)).predict(image, probabilities=True)
    assert shares is not None
    places = np.arange(64) % 16
    inside = (places >= AROUND) & (places < 16 - AROUND)
    expected = untiled(model, image)
    np.testing.assert_allclose(shares[:, inside][:, :, inside], expected[:, inside][:, :, inside], atol=1e-5)
    assert np.abs(shares - expected).max() > 1e-3


@pytest.mark.parametrize("shape", [(16, 16), (9, 13), (40, 21)])
def test_a_model_of_one_size_takes_any_image(tmp_path: Path, shape: tuple[int, int]) -> None:
    torch.manual_seed(1)
    predictor = load(two_classes(tmp_path / "bundle", OneSize().eval(), [16, 16]))
    mask, shares = predictor.predict(image_of(*shape), probabilities=True)
    assert mask.shape == shape
    assert shares is not None
    np.testing.assert_allclose(shares.sum(axis=0), 1, atol=1e-5)


def test_images_in_batches_get_the_masks_that_they_get_alone(bundle: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    random = np.random.default_rng(1)
    sizes = [(16, 16)] * 5 + [(12, 16)] * 2 + [(30, 30)] * 2 + [(16, 16)]
    for number, size in enumerate(sizes):
        np.save(images / f"{number:02d}.npy", random.integers(0, 255, size, dtype=np.uint8))
    np.save(images / "03.npy", np.full((16, 16), np.nan))
    wrong = predict_files(load(bundle, batch=4), [images], tmp_path / "batches", probabilities=True)
    assert wrong == {images / "03.npy": "found NaN or infinite values. Hint: fill them first."}
    predict_files(load(bundle), [images], tmp_path / "singly", probabilities=True)
    ours, theirs = (sorted((tmp_path / name).iterdir()) for name in ("batches", "singly"))
    assert [path.name for path in ours] == [path.name for path in theirs]
    assert len(ours) == 2 * 9
    for one, other in zip(ours, theirs, strict=True):
        if one.suffix == ".npy":
            np.testing.assert_allclose(np.load(one), np.load(other), atol=1e-6)
        else:
            assert one.read_bytes() == other.read_bytes()


def test_one_unreadable_image_among_a_thousand_is_named_at_the_end(bundle: Path, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for number in range(1000):
        np.save(images / f"{number:04d}.npy", image_of(8, 8))
    (images / "0500.npy").write_bytes(b"\x93NUMPY torn")
    told: list[int] = []
    wrong = predict_files(
        load(bundle, batch=8), [images], tmp_path / "out", step=lambda done, total: told.append(total - done)
    )
    assert list(wrong) == [images / "0500.npy"]
    assert told == list(range(999, -1, -1))
    assert len(list((tmp_path / "out").iterdir())) == 999


def test_the_gate_knows_a_model_of_one_size(tmp_path: Path) -> None:
    folder = two_classes(tmp_path / "bundle", OneSize().eval(), [16, 16])
    assert json.loads((folder / "bundle.json").read_text())["onnx"]["fixed_size"] == [16, 16]
    assert load(folder).logits(np.zeros((3, 1, 16, 16), np.float32)).shape == (3, 2, 16, 16)
