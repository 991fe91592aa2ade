"""Pictures of cases: image, truth, prediction and error, as the kept checkpoints hold the predictions."""

import base64
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from components.errors import CheckpointError

if TYPE_CHECKING:
    from components.data import SegmentationData

Pixels = npt.NDArray[np.uint8]
PANELS = ("image", "truth", "prediction", "error")
MISSED, SPURIOUS, CONFUSED = (230, 159, 0), (86, 180, 233), (204, 121, 167)  # Okabe & Ito's colours
_CLASSES = ((0, 158, 115), (230, 159, 0), (86, 180, 233), (204, 121, 167), (240, 228, 66), (213, 94, 0))
_SHOWN = 0.55  # how much a colour covers the image
_LONGEST = 256  # pixels of a panel's longer side; more would not be seen in a column of four
_PREDICTED = "predicted"  # the name under which a trial's checkpoint holds its packed masks
_LOW, _HIGH = 1, 99  # percentiles that become black and white
_RGB = 3


@dataclass(frozen=True)
class Strip:
    """The panels of a case.

    Attributes:
        case: its name.
        panels: PNG files as data URLs, by name of `PANELS`.
        note: what else there is to say, such as which slice is shown.
    """

    case: str
    panels: dict[str, str]
    note: str


def predicted_masks(checkpoint: Path, data: "SegmentationData") -> dict[str, Pixels]:
    """The masks that a checkpoint's network predicted for the validation split, by case.

    Raises:
        CheckpointError: it is damaged, or holds no masks.
        ValueError: its masks are not those of this data.
    """
    from components.checkpoints import TrainingState, restore_checkpoint  # noqa: PLC0415 - loads torch
    from components.metrics.masks import PackedMasks  # noqa: PLC0415 - as above

    state = TrainingState(model=None, rng=False)
    restore_checkpoint(checkpoint, state)
    if _PREDICTED not in state.extra:
        raise CheckpointError(f"{checkpoint} holds no predicted masks.")
    packed = PackedMasks.from_tensors(data.mode, state.extra[_PREDICTED])
    masks = packed.unpack([mask.shape for mask in data.val.masks])
    return dict(zip(data.val.cases, masks, strict=True))


def draw_case(data: "SegmentationData", case: str, predicted: Pixels) -> Strip:
    """Draw a validation case; of a volume the slice with the most foreground.

    In the error panel what was missed is orange, what was found in vain blue, and what is of another class pink.
    """
    from components.data.dataset import IGNORED  # noqa: PLC0415 - loads torch

    index = data.val.cases.index(case)
    image, truth = data.val.images[index], data.val.masks[index]
    note = ""
    labels, found = _labels(data, truth), _labels(data, predicted)
    known = (
        np.ones(labels.shape, bool)
        if not data.ignore
        else (truth if data.mode == "multiclass" else truth[0]) != IGNORED
    )
    if labels.ndim > 2:  # noqa: PLR2004 - a volume
        slices = (labels > 0).sum(axis=tuple(range(1, labels.ndim)))
        middle = int(slices.argmax())
        image, labels, found, known = image[:, middle], labels[middle], found[middle], known[middle]
        note = f"slice {middle + 1} of {len(slices)} along the first axis, that with the most foreground"
    step = -(-max(labels.shape) // _LONGEST)
    labels, found, known = labels[::step, ::step], found[::step, ::step], known[::step, ::step]
    base = _grey(image[..., ::step, ::step])
    pictures = (base, _overlaid(base, labels), _overlaid(base, found), _error(base, labels, found, known))
    panels = {name: _url(picture) for name, picture in zip(PANELS, pictures, strict=True)}
    return Strip(case, panels, note)


def class_colour(index: int) -> tuple[int, int, int]:
    """The colour of a foreground class in the pictures."""
    return _CLASSES[index % len(_CLASSES)]


def _labels(data: "SegmentationData", mask: Pixels) -> npt.NDArray[np.int64]:
    """0 for background, else 1 + the (last) class of each pixel."""
    spatial = mask.shape if data.mode == "multiclass" else mask.shape[1:]
    labels = np.zeros(spatial, np.int64)
    for index in range(len(data.foreground)):
        labels[data.of_class(mask, index)] = index + 1
    return labels


def _grey(image: npt.NDArray[Any]) -> Pixels:
    """The image as RGB `(height, width, 3)`, between its percentiles."""
    shown = image if len(image) == _RGB else image[:1].repeat(_RGB, axis=0)
    shown = np.nan_to_num(shown.astype(float))
    low, high = np.percentile(shown, (_LOW, _HIGH))
    scaled = np.clip((shown - low) / max(high - low, 1e-12), 0, 1)
    return np.moveaxis((255 * scaled).astype(np.uint8), 0, -1)


def _overlaid(base: Pixels, labels: npt.NDArray[np.int64]) -> Pixels:
    picture = base.copy()
    for label in np.unique(labels[labels > 0]):
        _tint(picture, labels == label, class_colour(label - 1))
    return picture


def _error(
    base: Pixels, truth: npt.NDArray[np.int64], found: npt.NDArray[np.int64], known: npt.NDArray[np.bool_]
) -> Pixels:
    picture = (base * (1 - _SHOWN)).astype(np.uint8)
    wrong = (truth != found) & known
    for where, colour in (
        (wrong & (found == 0), MISSED),
        (wrong & (truth == 0), SPURIOUS),
        (wrong & (truth > 0) & (found > 0), CONFUSED),
    ):
        picture[where] = colour
    return picture


def _tint(picture: Pixels, where: npt.NDArray[np.bool_], colour: tuple[int, int, int]) -> None:
    picture[where] = (picture[where] * (1 - _SHOWN) + np.array(colour) * _SHOWN).astype(np.uint8)


def _url(picture: Pixels) -> str:
    from PIL import Image  # noqa: PLC0415 - only a report with images needs it

    file = BytesIO()
    Image.fromarray(picture).quantize(128).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
