"""Whole images, and windows that slide over large ones."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from components.data import Split
from components.errors import InvalidInputError
from components.metrics.masks import PackedMasks
from components.training import SlidingWindow, evaluate, predict, seed_everything, small_unet


class Recorder(nn.Module):
    """Gives twice the image, and notes the shapes that it saw; `edge` spoils what lies at a window's border."""

    def __init__(self, edge: float = 0.0) -> None:
        super().__init__()
        self.seen: list[tuple[int, ...]] = []
        self.scale = nn.Parameter(torch.tensor(2.0))
        self._edge = edge

    def forward(self, images: Tensor) -> Sequence[Tensor]:
        self.seen.append(tuple(images.shape))
        logits = self.scale * images
        logits[:, :, 0] += self._edge
        return logits, logits[..., ::2, ::2]


def test_windows_give_what_a_pointwise_network_gives_at_once() -> None:
    images = torch.randn(2, 1, 20, 16, 9)
    model = Recorder().eval()
    with torch.inference_mode():
        assert torch.allclose(predict(model, images, SlidingWindow((8, 16, 8), 0.25, 4)), 2 * images, atol=1e-6)
    assert {shape[2:] for shape in model.seen} == {(8, 16, 8)}
    assert max(shape[0] for shape in model.seen) == 4


def test_an_axis_shorter_than_the_window_is_taken_whole_and_not_padded() -> None:
    model = Recorder().eval()
    with torch.inference_mode():
        predict(model, torch.randn(1, 1, 12, 20), SlidingWindow((16, 8)))
    assert {shape[2:] for shape in model.seen} == {(12, 8)}


def test_a_window_that_covers_the_image_changes_nothing() -> None:
    seed_everything(0)
    model, images = small_unet(1, 3, spatial_dims=3).eval(), torch.randn(1, 1, 16, 16, 12)
    with torch.inference_mode():
        whole = predict(model, images)
        assert torch.equal(predict(model, images, SlidingWindow((16, 32, 12))), whole)
        assert not torch.equal(predict(model, images, SlidingWindow((16, 8, 12), 0.5)), whole)


def test_where_windows_overlap_the_middle_of_one_outweighs_the_edge_of_another() -> None:
    images = torch.zeros(1, 1, 12, 8)
    with torch.inference_mode():
        logits = predict(Recorder(edge=1.0).eval(), images, SlidingWindow((8, 8), 0.5))[0, 0, :, 4]
    assert logits[0] == 1
    assert 0 < logits[4] < 0.01


def test_evaluation_by_windows_gives_dice_and_masks_of_the_whole_image() -> None:
    random = np.random.default_rng(0)
    sizes = [(21, 10, 9), (8, 8, 8)]
    masks = [(random.random(size) < 0.3).astype(np.uint8)[None] for size in sizes]
    images = [2 * mask.astype(np.float32) - 1 for mask in masks]
    images[0][0, 20, 9, 8] *= -1  # one wrong voxel, in the last corner
    split, packed, model = Split(images, masks, ("a", "b"), ("a", "b")), PackedMasks("binary"), Recorder()
    scores = evaluate(
        model, split, mode="binary", batch=1, divisor=4, window=SlidingWindow((8, 8, 8), batch=3), masks=packed
    )
    predicted = packed.unpack([mask.shape for mask in masks])
    assert [int((a != b).sum()) for a, b in zip(predicted, masks, strict=True)] == [1, 0]
    assert scores.per_case[1, 0] == 1
    assert 0.99 < scores.per_case[0, 0] < 1
    assert {shape[2:] for shape in model.seen} == {(8, 8, 8)}
    whole = evaluate(Recorder(), split, mode="binary", batch=1, divisor=4)
    assert whole.per_case.tolist() == scores.per_case.tolist()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_windows_in_either_precision_give_fp32(precision: str) -> None:
    model = small_unet(1, 2, channels=(4, 8)).eval()
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
        assert predict(model, torch.randn(1, 1, 16, 8), SlidingWindow((8, 8))).dtype == torch.float32


@pytest.mark.parametrize(
    ("size", "overlap", "batch"), [((), 0, 1), ((8, 0), 0, 1), ((8,), 1.0, 1), ((8,), -0.1, 1), ((8,), 0, 0)]
)
def test_a_window_that_cannot_slide_is_refused(size: tuple[int, ...], overlap: float, batch: int) -> None:
    with pytest.raises(InvalidInputError, match=r"^sliding window: size and batch must be at least 1"):
        SlidingWindow(size, overlap, batch)


def test_a_window_of_other_axes_than_the_images_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"^training\.window: found \[8, 8\], the images have 3 axes\.$"):
        predict(Recorder(), torch.zeros(1, 1, 8, 8, 8), SlidingWindow((8, 8)))


@pytest.mark.parametrize("window", [None, SlidingWindow((8, 8))])
def test_logits_of_another_size_than_the_images_are_refused_and_not_scored_pixels_away(
    window: SlidingWindow | None,
) -> None:
    images, masks = [np.zeros((1, 16, 12), np.float32)], [np.ones((1, 16, 12), np.uint8)]
    split = Split(images, masks, ("a",), ("a",))
    found = "1×1×14×10 for images of 1×1×16×12" if window is None else r"\d×1×6×6 for images of \d×1×8×8"
    with pytest.raises(InvalidInputError, match=f"^network: gives logits of {found}; expected the size of the images"):
        evaluate(nn.Conv2d(1, 1, 3), split, mode="binary", batch=1, window=window)
