"""What makes a study the same study: what lies in a folder or a file of weights, not where it lies."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from components.training import small_unet
from tests.folders import png_folder
from tuning import Study, StudyConfig
from tuning.building import build_model
from tuning.data import load_data
from tuning.errors import StudyMismatchError
from tuning.export import export_trial
from tuning.record import StudyDirectory

pytestmark = pytest.mark.usefixtures("ray_session")
Make = Callable[..., StudyConfig]


@pytest.fixture
def config(study_config: Make, tmp_path: Path) -> Callable[..., StudyConfig]:
    png_folder(tmp_path / "discs")
    save_file(small_unet(1, 1).state_dict(), tmp_path / "pretrained.safetensors")

    def make(root: str = "discs", weights: str = "pretrained.safetensors", trials: int = 1) -> StudyConfig:
        return study_config(
            data={"build": None, "root": str(tmp_path / root)},
            model={"build": "components.training.network:small_unet", "weights": str(tmp_path / weights)},
            training={"epochs": 1},
            search={"trials": trials, "baselines": False},
        )

    return make


def test_data_and_weights_may_move_but_not_change(config: Make, folder: Path, tmp_path: Path) -> None:
    Study(config(), folder).run()
    record = (folder / "study.yaml").read_bytes()
    shutil.move(tmp_path / "discs", tmp_path / "moved")
    shutil.move(tmp_path / "pretrained.safetensors", tmp_path / "moved.safetensors")
    moved = {"root": "moved", "weights": "moved.safetensors"}
    assert len(Study(config(**moved, trials=2), folder).run().trials) == 2
    assert set(StudyDirectory(folder).attempts()[-2]["changed"]) == {"data.root", "model.weights", "search.trials"}
    assert export_trial(folder, tmp_path / "out").check["flipped"] == 0  # finds the data where they are now

    save_file(small_unet(1, 1).state_dict(), tmp_path / "moved.safetensors")
    with pytest.raises(StudyMismatchError, match="started from other pretrained weights"):
        Study(config(**moved, trials=2), folder).run()
    mask = next((tmp_path / "moved" / "masks").iterdir())
    (tmp_path / "moved" / "masks" / "case_3.png").write_bytes(mask.read_bytes())
    with pytest.raises(StudyMismatchError, match="belongs to other data"):
        Study(config(**moved, trials=2), folder).run()
    assert (folder / "study.yaml").read_bytes() == record


def test_a_trial_starts_from_the_pretrained_weights(config: Make, tmp_path: Path) -> None:
    settings = config()
    (data,) = load_data(settings.data)
    built, wanted = build_model(settings, data).state_dict(), load_file(tmp_path / "pretrained.safetensors")
    assert built.keys() == wanted.keys()
    assert all(torch.equal(built[name], tensor) for name, tensor in wanted.items())


def test_the_record_says_what_the_data_look_like(config: Make, folder: Path) -> None:
    Study(config(), folder).run()
    data = StudyDirectory(folder).read()["data"]
    assert data["cases"] == {"train": 6, "val": 2, "test": 2}
    assert (data["channels"], data["stored_types"], data["mask_values"]) == (1, ["uint8"], [0, 255])
    assert data["sizes"]["train"] == {"smallest": [32, 32], "median": [32, 32], "largest": [32, 32]}
    assert 0 < data["fractions"]["val"]["foreground"] < 0.2
    assert data["intensity"]["train"]["deviation"] == pytest.approx(1, abs=1e-3)
    assert len(data["fingerprint"]) == 64
