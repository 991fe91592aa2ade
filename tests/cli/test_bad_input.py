"""What a user gets for bad input: exit code 2, every problem with its place and a hint, and nothing started."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from components.training import small_unet
from tests.folders import png_folder
from tuning import cli

Run = Callable[..., str]
pytestmark = pytest.mark.usefixtures("ray_session")  # else each run would start it, and end it
BAD_NETWORK = "tests.cli.test_bad_input:TooManyChannels"


class TooManyChannels(nn.Conv2d):
    """A network that ignores how many classes there are."""

    def __init__(self, in_channels: int, out_channels: int, spatial_dims: int) -> None:
        del spatial_dims
        super().__init__(in_channels, out_channels + 3, 1)


class Shrinking(nn.Conv2d):
    """A network whose output is smaller than its input."""

    def __init__(self, in_channels: int, out_channels: int, spatial_dims: int) -> None:
        del spatial_dims
        super().__init__(in_channels, out_channels, 3)


class NamedOutputs(nn.Conv2d):
    """A network that returns a mapping, as torchvision's do."""

    def __init__(self, in_channels: int, out_channels: int, spatial_dims: int) -> None:
        del spatial_dims
        super().__init__(in_channels, out_channels, 1)

    def forward(self, images: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
        return {"out": super().forward(images)}


class WithImages(nn.Conv2d):
    """A network whose second output is no coarse one: it has other channels."""

    def __init__(self, in_channels: int, out_channels: int, spatial_dims: int) -> None:
        del spatial_dims
        super().__init__(in_channels, out_channels, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return super().forward(images), torch.cat([images, images], 1)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return png_folder(tmp_path / "discs")


@pytest.fixture
def run(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a study of the folder with further settings and returns the error's text."""
    monkeypatch.chdir(tmp_path)

    def refused(text: str = "", *overrides: str) -> str:
        file = tmp_path / "study.yaml"
        file.write_text(text or f"name: discs\ndata:\n  root: {data.name}\n")
        arguments = [part for override in overrides for part in ("-s", override)]
        monkeypatch.setattr(sys, "argv", ["segtune", "run", "study.yaml", *arguments])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        said = capsys.readouterr()
        assert caught.value.code == 2
        assert said.out == ""
        assert "Traceback" not in said.err
        assert said.err.startswith("error: ")
        assert not (tmp_path / "studies" / "discs" / "study.yaml").exists()
        return said.err.removeprefix("error: ")

    return refused


def test_a_missing_folder(run: Run, data: Path) -> None:
    said = run("", "data.root=nowhere")
    assert said.startswith(f"-s data.root: {data.parent / 'nowhere'}: no such folder. Hint:")
    assert len(said.splitlines()) == 1
    (data / "masks").rename(data / "labels")
    said = run()
    assert said == (
        f"study.yaml:2:1 data.masks: {data}/masks: no such folder. "
        f"Hint: {data} has images, labels; name it in data.masks.\n"
    )


def test_a_folder_that_does_not_pair_is_refused_before_ray_starts(
    run: Run, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuning.study.ray_running", lambda *_: pytest.fail("Ray was started"))
    (data / "masks" / "case_3.png").unlink()
    assert "case_3.png: no mask of this stem" in run()


def test_an_image_without_mask_and_a_mask_without_image_come_together(run: Run, data: Path) -> None:
    (data / "masks" / "case_3.png").rename(data / "masks" / "case_3b.png")
    said = run().splitlines()
    assert len(said) == 2
    assert said[0] == (
        f"{data}/images/case_3.png: no mask of this stem in {data}/masks. "
        "Hint: case_3b.png is near; no ending is shared by all masks, which could be left out; image and mask need the "
        "same stem."
    )
    assert said[1].startswith(f"{data}/masks/case_3b.png: no image of this stem in {data}/images.")


def test_shapes_values_and_damaged_files_come_together(run: Run, data: Path) -> None:
    Image.fromarray(np.zeros((16, 20), np.uint8)).save(data / "masks" / "case_0.png")
    (data / "images" / "case_1.png").write_bytes((data / "images" / "case_1.png").read_bytes()[:60])
    said = run()
    assert f"{data}/images/case_0.png: found shape 32×32, its mask {data}/masks/case_0.png has 16×20. Hint:" in said
    assert f"{data}/images/case_1.png: does not decode (" in said


def test_values_outside_the_classes(run: Run, data: Path) -> None:
    for case in (2, 5):
        mask = np.zeros((32, 32), np.uint8)
        mask[:2, :3] = 7
        Image.fromarray(mask).save(data / "masks" / f"case_{case}.png")
    said = run("", "data.classes=[disc]").splitlines()
    assert [line.partition(". Hint")[0] for line in said] == [
        f"{data}/masks/case_{case}.png: the value 7 (6 pixels) is none of the classes' values 0, 255" for case in (2, 5)
    ]
    assert "which is which? Hint: name the values, as data.classes" in run()


def test_no_foreground_anywhere_in_train(run: Run, data: Path) -> None:
    stems = [f"case_{index}" for index in range(10)]
    (data / "split.json").write_text(yaml.safe_dump({"train": stems[:5], "val": stems[5:]}, default_flow_style=True))
    text = (data / "split.json").read_text().replace("case", '"case').replace(",", '",').replace("]", '"]')
    (data / "split.json").write_text(text.replace('"]", ', '"], ').replace("train", '"train"').replace("val", '"val"'))
    for stem in stems[:5]:
        Image.fromarray(np.zeros((32, 32), np.uint8)).save(data / "masks" / f"{stem}.png")
    assert "no foreground (foreground) anywhere in train. Hint: are the masks empty" in run()


def test_unknown_stems_and_overlap_in_the_split(run: Run, data: Path) -> None:
    (data / "split.json").write_text(
        '{\n "train": ["case_0", "case_1", "case_2"],\n "val": ["case_2",\n  "case_33"],\n "test": ["case_1"]\n}\n'
    )
    assert run().splitlines() == [
        f"{data}/split.json:3: 'case_2' stands in train and in val. Hint: keep it in one split.",
        f"{data}/split.json:4: val names 'case_33', which has no image and mask. Hint: did you mean case_3?",
        f"{data}/split.json:5: 'case_1' stands in train and in test. Hint: keep it in one split.",
    ]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("tests.nothing.there:f", "'tests.nothing.there:f': there is no module 'tests.nothing'. Hint: is it installed"),
        ("tests.toys:netwerk", "'tests.toys:netwerk': the module 'tests.toys' has no 'netwerk'. Hint: did you mean"),
        ("tests.toys.network", "found 'tests.toys.network'. Hint: write package.module:name."),
        ("tests.toys:broken_network", "tests.toys:broken_network raised ValueError: no network for 1 channels. Hint:"),
        (BAD_NETWORK, "gives 1×4×32×32 for an image of 1×1×32×32; expected 1×1×32×32, as there are 1 output channels"),
        ("tests.cli.test_bad_input:Shrinking", "gives 1×1×30×30 for an image of 1×1×32×32; expected 1×1×32×32"),
        (
            "tests.cli.test_bad_input:NamedOutputs",
            "returned dict, expected a tensor of logits (1, 1, 32, 32), or several, from fine to coarse.",
        ),
        ("tests.cli.test_bad_input:WithImages", "gives 1×2×32×32 for an image of 1×1×32×32; expected 1×1×"),
    ],
)
def test_a_network_that_cannot_be_used(run: Run, path: str, message: str) -> None:
    said = run("", f"model.build={path}")
    assert said.startswith("-s model.build: ")
    assert message in said


def test_pretrained_weights_that_do_not_fit(run: Run, tmp_path: Path) -> None:
    zeros = {name: torch.zeros_like(tensor) for name, tensor in small_unet(1, 1).state_dict().items()}
    save_file(zeros, tmp_path / "zeros.safetensors")
    assert "every weight in " in run("", "model.weights=zeros.safetensors")
    save_file(small_unet(3, 1).state_dict(), tmp_path / "rgb.safetensors")
    said = run("", "model.weights=rgb.safetensors")
    assert (
        "rgb.safetensors has model.0.conv.unit0.conv.weight as (16, 3, 3, 3), the network needs (16, 1, 3, 3)" in said
    )
    assert f"-s model.weights: {tmp_path}/none.pt: no such file." in run("", "model.weights=none.pt")


def test_contradictory_settings_and_typing_errors_come_with_line_and_column(run: Run, data: Path) -> None:
    text = f"""name: discs
data:
  root: {data.name}
  split: split.json
  ratio: [0.5, 0.5, 0]
training:
  epochs: 4
  epoch: 3
  crop: 40
loss:
  weights: {{dice: 0, bce: 0}}
scheduler: {{grace: 9}}
"""
    assert [line.partition(". ")[0] for line in run(text).splitlines()] == [
        "study.yaml:2:1 data: split and ratio contradict each other",
        "study.yaml:8:3 training.epoch: unknown setting",
        "study.yaml:11:3 loss.weights: every weight is zero in {'dice': 0.0, 'bce': 0.0}",
    ]
    text = text.replace("  split: split.json\n", "").replace("  epoch: 3\n", "").replace("dice: 0", "dice: 1")
    crop, grace = run(text).splitlines()
    assert crop == (
        "study.yaml:7:3 training.crop: 40 is no multiple of model.divisor, which is 16. Hint: change one of them."
    )
    assert grace == (
        "study.yaml:10:13 scheduler.grace: 9 is beyond training.epochs, which is 4. "
        "Hint: lower grace, or set scheduler.type: none."
    )


def test_problems_of_loss_network_and_space_come_together(run: Run, data: Path) -> None:
    text = f"""name: discs
data: {{root: {data.name}}}
model:
  build: tests.toys:nothing
loss:
  weights: {{dise: 1}}
search:
  space:
    parameters:
      training.lr: {{float: [1, 0.1]}}
"""
    said = run(text).splitlines()
    assert said[0].startswith("study.yaml:10:7 search.space.parameters.training.lr: ")
    assert said[1].startswith("study.yaml:6:13 loss.weights.dise: there is no such loss. Hint: did you mean dice?")
    assert said[2].startswith("study.yaml:4:3 model.build: 'tests.toys:nothing': the module 'tests.toys' has no ")
    assert len(said) == 3


def test_images_of_different_sizes_need_a_crop(run: Run, data: Path) -> None:
    for name in ("images", "masks"):
        Image.open(data / name / "case_4.png").resize((64, 48), 0).save(data / name / "case_4.png")
    said = run()
    assert (
        "training.crop: none is set, but the images have 2 sizes, such as 32×32 and 48×64; whole ones make no" in said
    )
    assert "Hint: set training.crop, the smallest image is 32×32." in said
