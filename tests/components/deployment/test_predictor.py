"""A bundle predicts without torch what its network gives, and refuses what is not whole."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from components.data.folder import NORMALIZATIONS, normalize_image
from components.deployment import load
from components.deployment.carried import write_sums
from components.deployment.errors import BundleError
from components.deployment.image_files import find_images, predict_files
from components.deployment.runtime import BadImageError, Predictor, Scale
from tests.bundles import conv_bundle
from tests.commands import ROOT
from tests.folders import save_volume

for name in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(name, reason="needs the extra `export`")

Conv = TypeVar("Conv", nn.Conv2d, nn.Conv3d)
BLOCKED = """
import runpy, sys
for name in ("torch", "ray", "monai", "components", "tuning", "reports", "search_spaces"):
    sys.modules[name] = None
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def pixelwise(conv: type[Conv]) -> Conv:
    """A network that looks at single pixels, so that its mask does not depend on how an image is cut."""
    torch.manual_seed(0)
    return conv(1, 1, 1).eval()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, nn.Module]:
    model = pixelwise(nn.Conv2d)
    return conv_bundle(tmp_path_factory.mktemp("bundles") / "bundle", model), model


@pytest.fixture
def own(tmp_path: Path, bundle: tuple[Path, nn.Module]) -> Path:
    """A copy that a test may damage."""
    folder = tmp_path / "own"
    folder.mkdir()
    for file in bundle[0].iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def image_of(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)


@pytest.mark.parametrize("shape", [(16, 16), (13, 9), (3, 50), (61, 37)])
def test_windows_and_whole_images_give_what_the_network_gives(bundle: tuple[Path, nn.Module], shape: Any) -> None:
    folder, model = bundle
    image = image_of(*shape)
    with torch.inference_mode():
        logits = model(torch.from_numpy(normalize_image(image[None], "zscore"))[None])[0, 0].numpy()
    mask, probabilities = load(folder).predict(image, probabilities=True)
    assert probabilities is not None
    assert (mask.shape, mask.dtype) == (shape, np.uint8)
    np.testing.assert_allclose(probabilities[0], 1 / (1 + np.exp(-logits)), atol=1e-5)
    assert (mask == (logits > 0)).all()


def test_probabilities_are_calibrated_and_masks_stay(bundle: tuple[Path, nn.Module], own: Path) -> None:
    image = image_of(20, 30)
    mask, plain = load(bundle[0]).predict(image, probabilities=True)
    about = json.loads((own / "bundle.json").read_text())
    about["output"]["temperature"] = 2.0
    (own / "bundle.json").write_text(json.dumps(about))
    write_sums(own)
    again, calibrated = load(own).predict(image, probabilities=True)
    assert plain is not None
    assert calibrated is not None
    assert (again == mask).all()
    np.testing.assert_allclose(calibrated / (1 - calibrated), np.sqrt(plain / (1 - plain)), rtol=1e-4)


@given(
    how=st.sampled_from(NORMALIZATIONS),
    kind=st.sampled_from(["uint8", "uint16", "float32"]),
    flat=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_the_predictor_normalises_as_training_does(how: str, kind: str, seed: int, *, flat: bool) -> None:
    image = np.random.default_rng(seed).integers(0, 200, (2, 7, 5)).astype(kind)
    if flat:
        image[1] = 3
    np.testing.assert_allclose(Scale(image, how).apply(image), normalize_image(image, how), atol=1e-5)


def test_one_file_predicts_where_neither_torch_nor_segtune_can_be_imported(
    bundle: tuple[Path, nn.Module], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    Image.fromarray(image_of(20, 30)).save(tmp_path / "a.png")
    command = [sys.executable, "-I", "-c", BLOCKED, bundle[0] / "predict.py", tmp_path / "a.png", "--out", out]
    result = subprocess.run([*map(str, command), "--probabilities"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    expected = Predictor(str(bundle[0]))(image_of(20, 30))
    assert (np.asarray(Image.open(out / "a.png")) == expected).all()
    assert np.load(out / "a_probabilities.npy").shape == (1, 20, 30)


def test_arrays_that_are_no_images_do_not_stop_the_others(bundle: tuple[Path, nn.Module], tmp_path: Path) -> None:
    images, out = tmp_path / "images", tmp_path / "out"
    images.mkdir()
    bad = {"empty": np.ones((0, 8)), "text": np.array([["a", "b"]]), "complex": np.ones((8, 8), np.complex64)}
    for name, array in (bad | {"good": image_of(8, 8)}).items():
        np.save(images / f"{name}.npy", array)
    wrong = predict_files(load(bundle[0]), [images], out)
    assert {file.stem for file in wrong} == set(bad)
    said = {file.stem: why for file, why in wrong.items()}
    assert said["empty"] == "found shape (0, 8); expected at least rows and columns, none of them 0."
    assert said["complex"] == "found dtype complex64; expected bool, integers or floats."
    assert said["text"].startswith("found dtype <U1;")
    assert [file.name for file in out.iterdir()] == ["good.png"]


def test_integers_are_refused_where_only_the_studys_own_function_knows_the_scale(tmp_path: Path) -> None:
    model = pixelwise(nn.Conv2d)
    predict = load(conv_bundle(tmp_path / "bundle", model, given={"normalize": None}))
    with pytest.raises(BadImageError, match=r"found uint8; the model takes floats .* Hint: write them as \.npy\."):
        predict(image_of(8, 8))
    image = np.random.default_rng(0).standard_normal((8, 8)).astype(np.float32)
    (tmp_path / "images").mkdir()
    np.save(tmp_path / "images" / "a.npy", image)
    assert predict_files(predict, [tmp_path / "images"], tmp_path / "out") == {}
    with torch.inference_mode():
        expected = model(torch.from_numpy(image)[None, None])[0, 0].numpy() > 0
    assert (np.asarray(Image.open(tmp_path / "out" / "a.png")) == expected).all()


@pytest.mark.faults  # it installs packages
def test_one_file_predicts_in_an_environment_of_its_own_requirements(
    bundle: tuple[Path, nn.Module], tmp_path: Path
) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    wanted: list[str | Path] = ["-r", bundle[0] / "requirements.txt", "-c", ROOT / "constraints.txt"]
    install = subprocess.run([python, "-m", "pip", "install", "-q", *wanted], capture_output=True, check=False)
    if install.returncode:
        pytest.skip(f"no packages can be installed here: {install.stderr.decode()[-200:]}")
    listed = subprocess.run([python, "-m", "pip", "list"], capture_output=True, text=True, check=True).stdout
    assert not {"torch", "ray", "monai", "segtune"} & {line.split()[0] for line in listed.lower().splitlines()}
    Image.fromarray(image_of(20, 30)).save(tmp_path / "a.png")
    command: list[str | Path] = [python, "-I", bundle[0] / "predict.py", tmp_path / "a.png", "--out", tmp_path / "out"]
    subprocess.run(command, check=True)
    assert (np.asarray(Image.open(tmp_path / "out" / "a.png")) == load(bundle[0])(image_of(20, 30))).all()


def test_the_predictor_of_the_package_imports_no_torch(bundle: tuple[Path, nn.Module]) -> None:
    code = (
        f"import sys; from components.deployment import load; load({str(bundle[0])!r}); print('torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "False\n"


def test_a_bad_image_does_not_stop_the_others(bundle: tuple[Path, nn.Module], tmp_path: Path) -> None:
    folder = tmp_path / "images"
    (folder / "deeper").mkdir(parents=True)
    Image.fromarray(image_of(8, 8)).save(folder / "a.png")
    (folder / "b.png").write_bytes(b"no picture")
    Image.fromarray(image_of(8, 8, 3)).save(folder / "c.png")
    Image.fromarray(image_of(8, 8)).save(folder / "deeper" / "d.tif")
    wrong = predict_files(load(bundle[0]), [folder], tmp_path / "out")
    assert list(wrong) == [folder / "b.png", folder / "c.png"]
    assert wrong[folder / "b.png"].startswith("does not decode (")
    assert wrong[folder / "c.png"].startswith("found shape (8, 8, 3); expected 1 channel(s)")
    assert sorted(path.name for path in (tmp_path / "out").rglob("*.png")) == ["a.png", "d.png"]


def test_two_images_that_would_write_one_mask_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "a.tif").touch()
    with pytest.raises(BadImageError, match="both would write a"):
        find_images([tmp_path])


def test_the_mask_of_a_volume_lies_as_its_image_does(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel", reason="needs the extra `medical`")
    conv_bundle(tmp_path / "bundle", pixelwise(nn.Conv3d))
    ras = image_of(8, 12, 16)
    save_volume(tmp_path / "ras.nii.gz", ras)
    save_volume(tmp_path / "lps.nii.gz", ras[::-1, ::-1], np.diag([-2.0, -2.0, 2.0, 1.0]))
    predictor = load(tmp_path / "bundle")
    files = [tmp_path / "ras.nii.gz", tmp_path / "lps.nii.gz"]
    assert predict_files(predictor, files, tmp_path / "out") == {}
    plain, turned = (nibabel.load(tmp_path / "out" / file.name) for file in files)
    assert (np.asarray(plain.dataobj) == predictor(ras)).all()
    assert (np.asarray(turned.dataobj) == predictor(ras)[::-1, ::-1]).all()
    assert turned.affine[0, 0] == -2


@pytest.mark.parametrize("name", ["model.onnx", "bundle.json", "predict.py"])
def test_a_changed_byte_is_refused(own: Path, name: str) -> None:
    (own / name).write_bytes((own / name).read_bytes()[:-1] + b"?")
    with pytest.raises(BundleError, match=f"{name}: its SHA-256 is not that of SHA256SUMS"):
        load(own)


def test_what_is_missing_or_a_link_is_refused(own: Path) -> None:
    content = own / "kept"
    (own / "model.onnx").rename(content)
    with pytest.raises(BundleError, match=r"model\.onnx: is missing; expected a file"):
        load(own)
    (own / "model.onnx").symlink_to(content)
    with pytest.raises(BundleError, match=r"model\.onnx: is a symbolic link; expected a file"):
        load(own)
    (own / "SHA256SUMS").unlink()
    with pytest.raises(BundleError, match=r"no whole bundle .* Hint: write one with segtune export"):
        load(own)


@pytest.mark.parametrize("name", ["../kept", "/etc/hostname", "..", ""])
def test_a_name_that_leads_out_of_the_bundle_is_refused(own: Path, name: str) -> None:
    with (own / "SHA256SUMS").open("a") as sums:
        sums.write(f"{'0' * 64}  {name}\n")
    with pytest.raises(BundleError, match="files of a bundle lie in its folder"):
        load(own)


def test_a_newer_format_is_refused(own: Path) -> None:
    about = json.loads((own / "bundle.json").read_text())
    (own / "bundle.json").write_text(json.dumps(about | {"format": 2}))
    write_sums(own)
    with pytest.raises(BundleError, match=r"found format 2; this predictor reads 1"):
        load(own)
    (own / "model.onnx").unlink()
    (own / "bundle.json").write_text(json.dumps(about))
    write_sums(own)
    with pytest.raises(BundleError, match=r"has no model\.onnx"):
        load(own)


def test_neither_images_nor_ground_truth_are_ever_overwritten(bundle: tuple[Path, nn.Module], tmp_path: Path) -> None:
    predictor = load(bundle[0])
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
        for stem in "ab":
            Image.fromarray(image_of(8, 8)).save(tmp_path / name / f"{stem}.png")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.png")}
    with pytest.raises(BadImageError, match=r"masks/a\.png and 1 more are there already\. Hint: .*--overwrite"):
        predict_files(predictor, [tmp_path / "images"], tmp_path / "masks")
    for overwrite in (False, True):
        with pytest.raises(BadImageError, match=r"would replace the image .*images/a\.png"):
            predict_files(predictor, [tmp_path / "images"], tmp_path / "images", overwrite=overwrite)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.png")} == before
    assert predict_files(predictor, [tmp_path / "images"], tmp_path / "out") == {}
    assert predict_files(predictor, [tmp_path / "images"], tmp_path / "out", overwrite=True) == {}


def test_a_link_among_the_masks_leads_to_no_image(bundle: tuple[Path, nn.Module], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    Image.fromarray(image_of(8, 8)).save(tmp_path / "a.png")
    (tmp_path / "out" / "a.png").symlink_to(tmp_path / "a.png")
    with pytest.raises(BadImageError, match="would replace the image"):
        predict_files(load(bundle[0]), [tmp_path / "a.png"], tmp_path / "out", overwrite=True)


def test_files_of_a_system_beside_the_images_are_passed_over(tmp_path: Path) -> None:
    for name in ("a.png", "._a.png", ".DS_Store", "Thumbs.db", "@eaDir/a.png", "__MACOSX/a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert list(find_images([tmp_path])) == [tmp_path / "a.png"]


@pytest.mark.parametrize("unit", ["mm", "micron", "meter"])
def test_a_mask_keeps_the_size_place_and_unit_of_a_slice(tmp_path: Path, unit: str) -> None:
    nibabel = pytest.importorskip("nibabel", reason="needs the extra `medical`")
    conv_bundle(tmp_path / "bundle", pixelwise(nn.Conv2d))
    stored = nibabel.Nifti1Image(image_of(8, 12)[..., None], np.diag([-2.0, 3.0, 4.0, 1.0]))
    stored.header.set_xyzt_units(unit)
    nibabel.save(stored, tmp_path / "a.nii.gz")
    assert predict_files(load(tmp_path / "bundle"), [tmp_path / "a.nii.gz"], tmp_path / "out") == {}
    mask = nibabel.load(tmp_path / "out" / "a.nii.gz")
    assert mask.shape == (8, 12, 1)
    assert mask.header.get_xyzt_units()[0] == unit
    np.testing.assert_array_equal(mask.affine, stored.affine)
    expected = load(tmp_path / "bundle")(image_of(8, 12))
    assert (np.asarray(mask.dataobj)[..., 0] == expected).all()
