"""Pictures show image, truth, prediction and what is wrong, from the masks that a checkpoint holds."""

import base64
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from components.checkpoints import CheckpointManager
from components.data import SegmentationData, Split
from components.errors import CheckpointError
from components.metrics.masks import PackedMasks
from reports.images import CONFUSED, MISSED, PANELS, SPURIOUS, draw_case, predicted_masks


def data_of(mask: np.ndarray, *, classes: tuple[str, ...] = ("background", "one", "two")) -> SegmentationData:
    image = np.linspace(0, 1, mask.size, dtype=np.float32).reshape(1, *mask.shape)
    split = Split([image], [mask], ("case",), ("case",))
    return SegmentationData("made", "multiclass", classes, split, split, split)


def pixels(url: str) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB"))


def test_each_kind_of_error_has_its_colour() -> None:
    truth, found = np.zeros((4, 6), np.uint8), np.zeros((4, 6), np.uint8)
    truth[0], found[1] = 1, 1  # missed, found in vain
    truth[2], found[2] = 1, 2  # another class
    truth[3], found[3] = 2, 2  # right
    strip = draw_case(data_of(truth), "case", found)
    assert set(strip.panels) == set(PANELS)
    error = pixels(strip.panels["error"]).astype(int)
    for row, colour in ((0, MISSED), (1, SPURIOUS), (2, CONFUSED)):
        assert np.abs(error[row] - colour).max() <= 8  # PNG with a palette of 128 colours
    assert np.ptp(error[3], axis=1).max() <= 8  # grey
    assert not strip.note


def test_of_a_volume_the_slice_with_the_most_foreground_is_shown() -> None:
    truth = np.zeros((5, 4, 6), np.uint8)
    truth[1, 0], truth[3, :2] = 1, 2
    strip = draw_case(data_of(truth), "case", truth)
    assert strip.note == "slice 4 of 5 along the first axis, that with the most foreground"
    assert pixels(strip.panels["image"]).shape == (4, 6, 3)


def test_large_images_are_made_smaller() -> None:
    truth = np.zeros((700, 300), np.uint8)
    truth[0] = 1
    assert pixels(draw_case(data_of(truth), "case", truth).panels["truth"]).shape == (234, 100, 3)


def test_masks_come_from_the_checkpoint(tmp_path: Path) -> None:
    truth = np.zeros((4, 6), np.uint8)
    truth[1] = 1
    logits = torch.zeros(1, 3, 4, 6)
    logits[:, 2, 3] = 1
    masks = PackedMasks("multiclass")
    masks.add(logits)
    network = torch.nn.Linear(1, 1)
    manager = CheckpointManager(tmp_path / "with", model_name="net", save_strategy="all")
    saved = manager.save_checkpoint(network, None, None, 1, {}, extra={"predicted": masks.to_tensors()})
    assert saved is not None
    found = predicted_masks(Path(saved), data_of(truth))
    assert found["case"].tolist() == [[0] * 6] * 3 + [[2] * 6]
    other = CheckpointManager(tmp_path / "without", model_name="net", save_strategy="all")
    bare = other.save_checkpoint(network, None, None, 1, {})
    assert bare is not None
    with pytest.raises(CheckpointError, match="holds no predicted masks"):
        predicted_masks(Path(bare), data_of(truth))
