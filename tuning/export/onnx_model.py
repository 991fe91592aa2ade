"""The ONNX model of a bundle, let out only when a fresh process without torch shows that it is the trial's model."""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from components.data import SegmentationData
from components.deployment import load_model, parity, write_onnx
from components.deployment.onnx_file import ONNX, OPSET, PT2
from components.errors import MissingExtraError
from components.losses.deep_supervision import outputs_of
from tuning.errors import ExportError
from tuning.export.file_gate import check_files
from tuning.export.source import Source

PARITY = "parity.json"
MOST_FLIPPED = 1e-4
MOST_DICE_CHANGE = 1e-3
_CASES = 4  # validation images of the gate, at each size at once and one by one
_LARGEST = {2: 256, 3: 64}  # along an axis in the gate, which looks at three sizes


def write_models(
    folder: Path, source: Source, formats: tuple[str, ...], *, refused: Exception | None = None
) -> dict[str, Any]:
    """Add `model.onnx` and, if asked for, `model.pt2` to a bundle that has its weights.

    A network that cannot be traced with open sizes, or whose trace with open sizes does not pass the gate, is tried at
    one size, that of its windows.

    Args:
        folder: the bundle.
        source: the trial's settings and data.
        formats: as `export_trial`.
        refused: why the gate has refused the model with open sizes; None before it has.

    Returns:
        What `bundle.json` says of windows and model: `tiling` and `onnx`.

    Raises:
        ExportError: the exporter cannot trace the network.
        MissingExtraError: the extra `export` is not installed.
    """
    tiling = source.tiling()
    model: dict[str, Any] = {"file": ONNX, "opset": OPSET, "input": "image", "output": "logits"}
    first = refused
    if first is None:
        try:
            _write(folder, source, formats, None)
            return {"tiling": tiling, "onnx": model | {"dynamic": ["batch", "sizes"], "fixed_size": None}}
        except MissingExtraError:
            raise
        except Exception as error:  # noqa: BLE001 - the exporter raises whatever the network's code leads it to
            first = error
    size = source.fixed_size()
    try:
        _write(folder, source, formats, size)
    except Exception as error:  # as above
        said = str(first).partition("\n")[0]
        raise ExportError(
            f"the network cannot be exported to ONNX ({type(first).__name__}: {said}), nor at the size "
            f"{'×'.join(map(str, size))} alone. Hint: segtune export --format safetensors"
        ) from error
    onnx = model | {"dynamic": ["batch"], "fixed_size": size, "why_fixed": str(first).partition("\n")[0]}
    return {"tiling": tiling | {"size": size}, "onnx": onnx}


def _write(folder: Path, source: Source, formats: tuple[str, ...], size: list[int] | None) -> None:
    write_onnx(
        folder / ONNX,
        load_model(folder),
        channels=source.data.in_channels,
        axes=source.data.spatial_dims,
        divisor=source.settings.model.divisor,
        size=size,
        pt2=folder / PT2 if "pt2" in formats else None,
    )


def check_parity(folder: Path, source: Source, size: list[int] | None, whole: dict[str, Any]) -> dict[str, Any]:
    """Compare the ONNX model with PyTorch in fp32 on validation images; writes `parity.json`, and the golden pair.

    Args:
        folder: the bundle, complete but for `parity.json`, with its `SHA256SUMS`.
        source: the trial's data.
        size: the only one that the model takes, if so.
        whole: Dice on the validation split, as recorded, again in the study's precision and in fp32; written beside.

    Returns:
        As `components.deployment.parity.compare`, with the limits and, as `files`, what `check_files` found.

    Raises:
        ExportError: a number is beyond its limit, or the bundle predicts a file otherwise; says which.
    """
    with TemporaryDirectory(prefix="segtune-parity-") as place:
        reference = Path(place) / "reference.npz"
        np.savez(reference, allow_pickle=False, **make_reference(folder, source, size))
        command = [sys.executable, "-I", "-B", str(parity.__file__), str(folder), str(reference)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own module
    if result.returncode:
        said = result.stderr.strip().rpartition("\n")[2] or f"exit status {result.returncode}"
        raise ExportError(f"the check of {ONNX} in a fresh process failed: {said}")
    found: dict[str, Any] = json.loads(result.stdout)
    refuse_beyond_limits(found)
    found["validation_dice"] = whole
    found["limits"] = {"flipped": MOST_FLIPPED, "dice": MOST_DICE_CHANGE}
    found["files"] = check_files(folder, source)
    (folder / PARITY).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return found


def refuse_beyond_limits(found: dict[str, Any]) -> None:
    """Raise `ExportError` where a number of the gate is beyond its limit; NaN is."""
    dice = found["dice"]
    undefined = [value is None for value in dice.values()]
    change = (0.0 if all(undefined) else np.inf) if any(undefined) else abs(dice["onnx"] - dice["pytorch"])
    wrong = [
        f"{what} {value:.2e} (at most {most:g})"
        for what, value, most in (
            ("share of flipped pixels", found["flipped"], MOST_FLIPPED),
            ("change of Dice", change, MOST_DICE_CHANGE),
        )
        if not value <= most
    ]
    if not np.isfinite(found["largest"]):
        wrong.append("a logit is NaN or infinite")
    if found["torch"]:
        wrong.append("torch was loaded, so that it was not the bundle alone that was looked at")
    if wrong:
        raise ExportError(
            f"{ONNX} does not give the masks of the network in PyTorch: {', '.join(wrong)}; largest difference of a "
            f"logit {found['largest']:.2e}. Hint: segtune export --format safetensors hands over the weights alone."
        )


def write_golden(folder: Path, source: Source, size: list[int] | None) -> None:
    """Write `golden_input.npy` (normalised) and `golden_output.npy` (logits of PyTorch in fp32) of one image."""
    made = make_reference(folder, source, size)
    np.save(folder / "golden_input.npy", made["image_0"][:1])
    np.save(folder / "golden_output.npy", made["logits_0"][:1])


def make_reference(folder: Path, source: Source, size: list[int] | None) -> dict[str, Any]:
    """Parts of validation images in three sizes, one of odd aspect, with PyTorch's logits and the true masks.

    A model that takes one size only is looked at with that.
    """
    torch.set_num_threads(source.settings.resources.cpus_per_trial)
    model, data, made = load_model(folder), source.data, {}
    sizes = [tuple(size)] if size else _sizes(data, source.settings.model.divisor)
    for number, taken in enumerate(sizes):
        cases = range(min(_CASES, len(data.val)))
        image = np.stack([_part(data.val.images[case], taken) for case in cases])
        with torch.inference_mode():
            outputs = outputs_of(model(torch.from_numpy(image)), axes=image.ndim)
        made[f"image_{number}"] = image
        made[f"logits_{number}"] = outputs[0].float().numpy()
        made[f"mask_{number}"] = np.stack([_part(data.val.masks[case], taken) for case in cases])
    return made


def _sizes(data: SegmentationData, divisor: int) -> list[tuple[int, ...]]:
    """The whole image up to a limit, about half of it, and one that is longer along its first axis."""
    most = _LARGEST[data.spatial_dims]
    middle = np.median([image.shape[1:] for image in data.val.images], axis=0)

    def fitted(size: float) -> int:
        return max(round(size / divisor), 2) * divisor

    whole = [max(min(float(size), most), 4.0 * divisor) for size in middle]  # so that the three differ
    odd = [whole[0], *(size * 5 / 8 for size in whole[1:])]
    return [tuple(map(fitted, sizes)) for sizes in (whole, [size / 2 for size in whole], odd)]


def _part(array: Any, size: tuple[int, ...]) -> Any:
    """The middle of an image or mask; what is too small is continued by mirroring."""
    spatial = array.shape[array.ndim - len(size) :]
    starts = [max(found - wanted, 0) // 2 for found, wanted in zip(spatial, size, strict=True)]
    part = array[(..., *(slice(start, start + wanted) for start, wanted in zip(starts, size, strict=True)))]
    axes = part.shape[array.ndim - len(size) :]
    missing = [(0, wanted - found) for found, wanted in zip(axes, size, strict=True)]
    return np.ascontiguousarray(np.pad(part, [(0, 0)] * (array.ndim - len(size)) + missing, mode="symmetric"))
