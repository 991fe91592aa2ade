"""The ONNX model of a trial is handed over when it gives the trial's masks, and refused when it does not."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from components.deployment import load, load_model, write_onnx
from components.deployment.carried import write_predictor
from components.deployment.image_files import predict_files
from components.deployment.runtime import BadImageError
from tests.folders import channel_folder, png_folder
from tuning import Study, StudyConfig
from tuning.errors import ExportError
from tuning.export import export_trial
from tuning.export.onnx_model import refuse_beyond_limits

for extra in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(extra, reason="needs the extra `export`")
pytestmark = pytest.mark.usefixtures("ray_session")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = {
        "name": "discs",
        "data": {"root": str(png_folder(tmp_path_factory.mktemp("data") / "discs"))},
        "training": {"epochs": 2, "batch": 2, "lr": 0.03},
        "search": {"trials": 1, "baselines": False},
        "scheduler": {"type": "none"},
    }
    folder = tmp_path_factory.mktemp("studies") / "discs"
    Study(StudyConfig.load(settings), folder).run()
    return folder


def test_the_onnx_model_gives_the_masks_of_the_trial(study: Path, tmp_path: Path) -> None:
    export = export_trial(study, tmp_path / "one", formats=("onnx",))
    parity = json.loads((tmp_path / "one" / "parity.json").read_text())
    assert export.parity == parity
    assert not parity["torch"]
    assert parity["validation_dice"].keys() == {"recorded", "again", "fp32", "tta"}
    assert parity["validation_dice"]["recorded"] == pytest.approx(parity["validation_dice"]["fp32"], abs=1e-3)
    assert [entry["size"] for entry in parity["sizes"]] == [[64, 64], [32, 32], [64, 32]]
    assert parity["sizes"][0]["batches"] == [1, 2]
    assert parity["flipped"] <= 1e-4
    assert parity["p999"] <= parity["largest"] < 1e-3
    files = parity["files"]
    assert [case["case"] for case in files["cases"]] == [Path(case["file"]).stem for case in files["cases"]]
    assert (len(files["cases"]), files["only_arrays"]) == (2, None)
    assert files["largest"] <= files["limits"]["differ"]
    assert f"`predict.py` on the files {files['cases'][0]['file']}" in (tmp_path / "one" / "MODEL_CARD.md").read_text()
    assert "ONNX      at 64×64, 32×32, 64×32 logits within" in export.lines()[-1]
    assert "## ONNX against PyTorch" in (tmp_path / "one" / "MODEL_CARD.md").read_text()

    golden = np.load(tmp_path / "one" / "golden_input.npy")
    expected = np.load(tmp_path / "one" / "golden_output.npy")
    with torch.inference_mode():
        again = load_model(tmp_path / "one")(torch.from_numpy(golden)).numpy()
    np.testing.assert_allclose(again, expected, atol=1e-5)
    np.testing.assert_allclose(load(tmp_path / "one").logits(golden), expected, atol=1e-4)
    export_trial(study, tmp_path / "two", formats=("onnx",))
    assert (tmp_path / "one" / "SHA256SUMS").read_text() == (tmp_path / "two" / "SHA256SUMS").read_text()


def test_another_model_is_refused_and_leaves_nothing(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_other(path: Path, model: torch.nn.Module, **rest: Any) -> None:
        with torch.no_grad():
            for weight in model.parameters():
                weight.neg_()
        write_onnx(path, model, **rest)

    monkeypatch.setattr("tuning.export.onnx_model.write_onnx", write_other)
    with pytest.raises(ExportError, match="does not give the masks of the network in PyTorch: share of flipped pixels"):
        export_trial(study, tmp_path / "out", formats=("onnx",))
    assert list(tmp_path.iterdir()) == []


def test_a_carried_reader_that_reads_files_otherwise_is_refused(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arrays agree, so that only the files can show it."""

    def write_upside_down(folder: Path) -> None:
        write_predictor(folder)
        place = folder / "predict.py"
        source = place.read_text()
        assert source.count("*_read_case(files, count)") == 1
        place.write_text(source.replace("*_read_case(files, count)", "read_pixels(file)[0][::-1], None"))

    monkeypatch.setattr("tuning.export.exporting.write_predictor", write_upside_down)
    expected = (
        r"predict\.py does not give the study's mask of case \w+ \(\w+\.png\): .* Dice .* in the study, .* Hint: "
    )
    with pytest.raises(ExportError, match=expected):
        export_trial(study, tmp_path / "out", formats=("onnx",))
    assert list(tmp_path.iterdir()) == []


def bins_network(in_channels: int, out_channels: int, spatial_dims: int) -> torch.nn.Module:
    """Pools to 1, 2, 3 and 6 bins, as PSPNet does: the exporter traces it, but the result holds for one size only."""
    del spatial_dims
    return PooledBins(in_channels, out_channels)


class PooledBins(torch.nn.Module):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.stem = torch.nn.Sequential(torch.nn.Conv2d(in_channels, 8, 3, 4, 1), torch.nn.ReLU())
        self.stages = torch.nn.ModuleList(
            torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(bins), torch.nn.Conv2d(8, 4, 1)) for bins in (1, 2, 3, 6)
        )
        self.head = torch.nn.Conv2d(24, out_channels, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features, resized = self.stem(images), torch.nn.functional.interpolate
        pooled = [resized(stage(features), size=features.shape[-2:], mode="bilinear") for stage in self.stages]
        return resized(self.head(torch.cat([features, *pooled], 1)), size=images.shape[-2:], mode="bilinear")


def test_a_model_that_holds_at_one_size_only_is_handed_over_at_that_size(tmp_path: Path) -> None:
    settings = {
        "name": "bins",
        "data": {"root": str(png_folder(tmp_path / "data", size=48))},
        "model": {"build": "tests.tuning.test_export_onnx:bins_network"},
        "training": {"epochs": 1, "batch": 2},
        "search": {"trials": 1, "baselines": False},
        "scheduler": {"type": "none"},
    }
    Study(StudyConfig.load(settings), tmp_path / "study").run()
    export = export_trial(tmp_path / "study", tmp_path / "out", formats=("onnx",))
    about = json.loads((tmp_path / "out" / "bundle.json").read_text())["onnx"]
    assert about["fixed_size"] == [48, 48]
    assert about["why_fixed"] == export.why_fixed
    assert "takes this size only" in export.lines()[-1]
    assert json.loads((tmp_path / "out" / "parity.json").read_text())["flipped"] <= 1e-4


def test_the_program_of_torch_export_gives_the_golden_output(study: Path, tmp_path: Path) -> None:
    export_trial(study, tmp_path / "out", formats=("onnx", "pt2"))
    assert "model.pt2" in (tmp_path / "out" / "SHA256SUMS").read_text()
    program = torch.export.load(tmp_path / "out" / "model.pt2").module()
    image, expected = (np.load(tmp_path / "out" / f"golden_{name}.npy") for name in ("input", "output"))
    with torch.inference_mode():
        np.testing.assert_allclose(program(torch.from_numpy(image)).numpy(), expected, atol=1e-5)
        assert program(torch.zeros(3, image.shape[1], 32, 48)).shape == (3, expected.shape[1], 32, 48)


def test_the_number_that_failed_is_named() -> None:
    found = {"flipped": 0.0, "largest": 0.1, "dice": {"pytorch": 0.9, "onnx": 0.9}, "torch": False}
    refuse_beyond_limits(found)
    refuse_beyond_limits(found | {"dice": {"pytorch": None, "onnx": None}})
    with pytest.raises(ExportError, match=r"PyTorch: change of Dice 2\.00e-03 \(at most 0\.001\); largest"):
        refuse_beyond_limits(found | {"dice": {"pytorch": 0.9, "onnx": 0.902}})
    for one, other in ((None, 0.9), (0.9, None)):
        with pytest.raises(ExportError, match=r"PyTorch: change of Dice inf \(at most 0\.001\)"):
            refuse_beyond_limits(found | {"dice": {"pytorch": one, "onnx": other}})
    with pytest.raises(ExportError, match="torch was loaded"):
        refuse_beyond_limits(found | {"torch": True})
    with pytest.raises(ExportError, match="a logit is NaN or infinite"):
        refuse_beyond_limits(found | {"largest": float("nan")})


def test_an_unknown_format_is_refused(study: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="--format: found tflite; use some of safetensors, onnx, pt2"):
        export_trial(study, tmp_path / "out", formats=("tflite",))


def test_files_of_channels_are_one_case_for_the_gate_and_for_predict(tmp_path: Path) -> None:
    root = channel_folder(tmp_path / "data")
    settings = {
        "name": "channels",
        "data": {"root": str(root)},
        "training": {"epochs": 1, "batch": 2},
        "search": {"trials": 1, "baselines": False},
        "scheduler": {"type": "none"},
    }
    Study(StudyConfig.load(settings), tmp_path / "study").run()
    export = export_trial(tmp_path / "study", tmp_path / "out", formats=("onnx",))
    assert export.parity is not None
    assert export.parity["files"]["cases"]
    cases = {file.name[: file.name.rindex("_")] for file in (root / "images").iterdir()}
    (lost,) = (root / "images").glob(f"{min(cases)}_0001.*")
    lost.rename(tmp_path / lost.name)
    predictor = load(tmp_path / "out")
    wrong = predict_files(predictor, [root / "images"], tmp_path / "masks")
    assert [said for said in wrong.values() if "found 1 of 2 channel files" in said] == list(wrong.values())
    assert {path.stem for path in (tmp_path / "masks").iterdir()} == cases - {min(cases)}
    with pytest.raises(BadImageError, match=r"trained on 2 files per image, one per channel. Hint: end their names"):
        predict_files(predictor, [next((root / "masks").iterdir())], tmp_path / "other")
