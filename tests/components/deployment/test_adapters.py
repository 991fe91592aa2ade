"""A bundle in the forms of MLflow, Triton and MONAI, loaded back by these tools, predicts what the bundle predicts."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from components.deployment import load
from components.deployment.adapters import ADAPTERS, write_mlflow, write_monai, write_triton
from components.deployment.errors import BundleError
from components.deployment.image_files import predict_files
from tests.bundles import conv_bundle
from tests.folders import save_volume

for extra in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(extra, reason="needs the extra `export`")

TWO_CLASSES = {"mode": "multiclass", "classes": ["nothing", "cell"], "threshold": None}
OVERLAPPING = {"mode": "multilabel", "classes": ["cell", "nucleus"], "threshold": [0.5, 0.3], "temperature": 1.5}


def picture_bundle(folder: Path, channels: int = 1, outputs: int = 1, **changes: Any) -> Path:
    torch.manual_seed(0)
    return conv_bundle(folder, nn.Conv2d(channels, outputs, 3, padding="same").eval(), **changes)


def image_of(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)


def pictures(folder: Path, *shapes: tuple[int, ...]) -> Path:
    folder.mkdir()
    for number, shape in enumerate(shapes):
        Image.fromarray(image_of(*shape)).save(folder / f"{number}.png")
    return folder


def read_all(folder: Path) -> dict[str, np.ndarray]:
    """Masks by name; several channels come first."""
    nibabel = pytest.importorskip("nibabel", reason="needs the extra `medical`")
    found = {}
    for path in sorted(folder.iterdir()):
        name, _, suffix = path.name.partition(".")
        if suffix == "npy":
            found[name] = np.load(path)
        elif suffix == "png":
            found[name] = np.asarray(Image.open(path))
        else:
            array = np.asarray(nibabel.load(path).dataobj)
            found[name] = np.moveaxis(array, -1, 0)[..., 0] if array.ndim == 4 else array
    return found


def test_mlflow_loads_the_model_back_and_it_predicts_the_bundles_masks(tmp_path: Path) -> None:
    pyfunc = pytest.importorskip("mlflow.pyfunc", reason="needs the extra `mlflow`")
    bundle = picture_bundle(tmp_path / "bundle", channels=3)
    write_mlflow(bundle, tmp_path / "model")
    model = pyfunc.load_model(str(tmp_path / "model"))
    images = [image_of(20, 31, 3), image_of(16, 16, 3)]
    for found, image in zip(model.predict(images), images, strict=True):
        assert (found == load(bundle)(image)).all()
    assert model.metadata.metadata == {"study": "cells", "trial": "trial 3", "classes": ["cell"]}


@pytest.mark.parametrize("fixed", [None, [16, 16]])
def test_triton_finds_what_its_own_schema_asks_for(tmp_path: Path, fixed: list[int] | None) -> None:
    schema = pytest.importorskip("tritonclient.grpc.model_config_pb2", reason="needs tritonclient")
    text_format = pytest.importorskip("google.protobuf.text_format", reason="needs protobuf")
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra `export`")
    bundle = picture_bundle(tmp_path / "cells", channels=3, outputs=2, output=OVERLAPPING, fixed=fixed)
    write_triton(bundle, tmp_path / "models")
    place = tmp_path / "models" / "cells"
    config = text_format.Parse((place / "config.pbtxt").read_text(), schema.ModelConfig())
    assert (config.name, config.platform) == (place.name, "onnxruntime_onnx")
    session = onnxruntime.InferenceSession(place / "1" / "model.onnx")
    sizes = fixed or [-1, -1]
    for told, tensors in ((config.input, session.get_inputs()), (config.output, session.get_outputs())):
        assert [tensor.name for tensor in tensors] == [entry.name for entry in told]
        assert list(told[0].dims)[1:] == sizes
        assert tensors[0].shape[1] == told[0].dims[0]
        assert told[0].data_type == schema.TYPE_FP32
    images = np.zeros((config.max_batch_size, 3, 16, 16), np.float32)
    assert session.run(["logits"], {"image": images})[0].shape == (8, 2, 16, 16)


CASES: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "grey": ({}, (20, 31)),
    "as_stored": ({"given": {"normalize": "none"}}, (9, 13)),
    "colours": ({"given": {"normalize": "minmax"}, "channels": 3}, (20, 31, 3)),
    "classes": ({"given": {"normalize": "percentile"}, "outputs": 2, "output": TWO_CLASSES}, (16, 40)),
    "one_size": ({"given": {"normalize": "zscore_nonzero"}, "fixed": [16, 16]}, (9, 13)),
    "overlapping": ({"outputs": 2, "output": OVERLAPPING}, (20, 31)),
}


@pytest.fixture(scope="module")
def in_monai(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """For each case a folder with the bundle, MONAI's bundle and the masks that each writes.

    MONAI runs all of them in one process, as `python -m monai.bundle run` does, whose command line needs `fire`.
    """
    root, made = tmp_path_factory.mktemp("monai"), {}
    for name, (changes, shape) in CASES.items():
        made[name] = root / name
        made[name].mkdir()
        picture_bundle(made[name] / "bundle", **changes)
        pictures(made[name] / "images", shape, (16, 16, *shape[2:]))
    made["volumes"] = root / "volumes"
    made["volumes"].mkdir()
    torch.manual_seed(0)
    conv = nn.Conv3d(1, 2, 3, padding="same").eval()
    conv_bundle(made["volumes"] / "bundle", conv, output=TWO_CLASSES)
    (made["volumes"] / "images").mkdir()
    turned = np.array([[0, -2.0, 0, 9], [2.0, 0, 0, 3], [0, 0, -1.0, 4], [0, 0, 0, 1]])
    save_volume(made["volumes"] / "images" / "0.nii.gz", image_of(20, 18, 13).astype(np.int16), turned)
    for place in made.values():
        write_monai(place / "bundle", place / "monai")
        assert predict_files(load(place / "bundle"), [place / "images"], place / "ours", probabilities=False) == {}
    files = {"config_file": "configs/inference.json", "meta_file": "configs/metadata.json"}
    places = {"dataset_dir": "../images", "output_dir": "../theirs"}
    code = (
        "import os, sys; from monai.bundle import run\n"
        f"for place in sys.argv[1:]: os.chdir(place); run(**{files | places!r})"
    )
    command = [sys.executable, "-c", code, *(str(place / "monai") for place in made.values())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return made


@pytest.mark.parametrize("name", [*CASES, "volumes"])
def test_monai_predicts_the_bundles_masks(in_monai: dict[str, Path], name: str) -> None:
    theirs, ours = (read_all(in_monai[name] / whose) for whose in ("theirs", "ours"))
    assert list(theirs) == list(ours) == (["0"] if name == "volumes" else ["0", "1"])
    for image, mask in ours.items():
        assert mask.any()
        assert not mask.all()
        assert (theirs[image] == mask).all()


@pytest.mark.parametrize("name", ["grey", "classes", "one_size", "volumes"])
def test_monai_verifies_what_the_network_takes_and_gives(in_monai: dict[str, Path], name: str) -> None:
    from monai.bundle import verify_net_in_out  # noqa: PLC0415 - takes seconds to import

    configs = in_monai[name] / "monai" / "configs"
    verify_net_in_out("network", str(configs / "metadata.json"), str(configs / "inference.json"), device="cpu", n=4)


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_bundle_that_is_not_whole_or_a_folder_that_exists_is_refused(tmp_path: Path, name: str) -> None:
    bundle = picture_bundle(tmp_path / "bundle")
    with pytest.raises(BundleError, match="exists already"):
        ADAPTERS[name](bundle, bundle)
    with (bundle / "model.onnx").open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(BundleError, match=r"model\.onnx: its SHA-256 is not that of"):
        ADAPTERS[name](bundle, tmp_path / "out")
    assert json.loads((bundle / "bundle.json").read_text())["study"] == "cells"
    assert not (tmp_path / "out").exists()
