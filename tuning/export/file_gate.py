"""Lets a bundle's own `predict.py` predict files of the validation split, and compares with the study's validation."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from components.data.folder.pairs import Pair
from components.deployment import load_model, read_bundle
from components.deployment.carried import PREDICT
from components.deployment.parity import hard_dice
from components.deployment.runtime import logit_bounds
from components.image_reader import VOLUMES, find_image_files, read_stored_values, suffix_of
from components.metrics.masks import PackedMasks
from components.training import evaluate
from components.training.mirrored import Mirrored
from tuning.errors import ExportError
from tuning.export.source import Source
from tuning.serving import read_pairs, why_not_served
from tuning.validation import sliding_window

MOST_PIXELS = 1e-3  # of a case; PyTorch and onnxruntime round differently, and a pixel on the border may flip
MOST_DICE_CHANGE = 1e-3
_CASES = 3

_FEW_PIXELS = 2  # that may flip in a small image, whose share and Dice one pixel changes by much
_CHANNEL = re.compile(r"_\d{4}$")

Mask = npt.NDArray[np.uint8]


def check_files(folder: Path, source: Source) -> dict[str, Any]:
    """Run the bundle's predictor as a user does, on the files of the first validation cases.

    Args:
        folder: the bundle with its `predict.py` and `SHA256SUMS`.
        source: the trial's settings and data.

    Returns:
        `cases`, each with its `case`, `file`, share and number of `pixels` that `differ`, and `dice` in the `study` and
        of the `bundle`; the `largest` share; the `limits`; and `only_arrays`, why no file was compared, or None.

    Raises:
        ExportError: a mask is missing, or is not that of the study's validation; names the case.
    """
    pairs, why = _files_of(folder, source)
    limits = {"differ": MOST_PIXELS, "dice": MOST_DICE_CHANGE}
    if not pairs:
        return {"cases": [], "largest": None, "limits": limits, "only_arrays": why}
    output = read_bundle(folder)["output"]
    expected = _study_masks(folder, source, list(pairs))
    cases: list[dict[str, Any]] = []
    with TemporaryDirectory(prefix="segtune-files-") as place:
        found = _bundle_masks(folder, pairs, Path(place))
        for index, pair in pairs.items():
            ours, theirs, truth = found[index], expected[index], np.asarray(source.data.val.masks[index])
            if ours.squeeze().shape != theirs.squeeze().shape:
                raise ExportError(
                    f"the bundle's {PREDICT} reads {pair.image} otherwise than the study: its mask has the shape "
                    f"{ours.shape}, that of case {pair.stem} in the study {theirs.shape}. {_HINT}"
                )
            ours = ours.reshape(theirs.shape)
            cases.append(
                {
                    "case": pair.stem,
                    "file": pair.image.name,
                    "differ": float((ours != theirs).mean()),
                    "pixels": int((ours != theirs).sum()),
                    "dice": {
                        "study": hard_dice(theirs[None], truth[None], output),
                        "bundle": hard_dice(ours[None], truth[None], output),
                    },
                }
            )
    refuse_other_masks(cases)
    return {
        "cases": cases,
        "largest": max(float(case["differ"]) for case in cases),
        "limits": limits,
        "only_arrays": None,
    }


_HINT = "Hint: segtune export --format safetensors hands over the weights alone."


def refuse_other_masks(cases: list[dict[str, Any]]) -> None:
    """Raise `ExportError` for the case that differs most, where a case or the mean Dice is beyond its limit."""
    scored = [case["dice"] for case in cases if None not in case["dice"].values()]
    change = abs(float(np.mean([dice["bundle"] - dice["study"] for dice in scored]))) if scored else 0.0
    worst = max(cases, key=lambda case: float(case["differ"]))
    alike = worst["differ"] <= MOST_PIXELS and change <= MOST_DICE_CHANGE
    if alike or sum(case["pixels"] for case in cases) <= _FEW_PIXELS:
        return
    study, bundle = (
        "undefined" if (dice := worst["dice"][name]) is None else f"{dice:.4f}" for name in ("study", "bundle")
    )
    raise ExportError(
        f"the bundle's {PREDICT} does not give the study's mask of case {worst['case']} ({worst['file']}): "
        f"{worst['differ']:.2e} of the pixels differ (at most {MOST_PIXELS:g}); Dice {study} in the study, {bundle} "
        f"from the file; the mean Dice changes by {change:.2e} (at most {MOST_DICE_CHANGE:g}). {_HINT}"
    )


def _files_of(folder: Path, source: Source) -> tuple[dict[int, Pair], str]:
    """Validation cases by their place in the split, no two with a mask of one name; or why there are none."""
    config = source.settings.data
    by_stem = {pair.stem: pair for pair in read_pairs(config)}
    if why := why_not_served(config):
        return {}, why
    size = read_bundle(folder).get("onnx", {}).get("fixed_size")
    chosen: dict[int, Pair] = {}
    for index, case in enumerate(source.data.val.cases):
        pair, fits = by_stem[case], size is None or list(source.data.val.images[index].shape[1:]) == list(size)
        if len(chosen) < _CASES and fits and _name(pair) not in map(_name, chosen.values()):
            chosen[index] = pair
    return chosen, "" if chosen else "the network takes one size, into which no image of the validation split fits"


def _name(pair: Pair) -> str:
    """Of the mask that is written, without its suffix."""
    return _CHANNEL.sub("", _stem(pair.image)) if pair.more else _stem(pair.image)


def _stem(file: Path) -> str:
    return file.name[: len(file.name) - len(suffix_of(file))]


def _bundle_masks(folder: Path, pairs: dict[int, Pair], place: Path) -> dict[int, Mask]:
    """What `predict.py` writes, in a process of its own."""
    files = [str(file.absolute()) for pair in pairs.values() for file in pair.images]
    command = [sys.executable, "-B", str((folder / PREDICT).resolve()), *files, "--out", str(place / "masks")]
    result = subprocess.run(  # noqa: S603 - the bundle's own predictor
        command, capture_output=True, text=True, errors="replace", check=False, cwd=place
    )
    if result.returncode:
        said = result.stderr.strip().rpartition("\n")[2] or f"exit status {result.returncode}"
        raise ExportError(f"the bundle's {PREDICT} does not predict files of the validation split: {said}")
    written = {_stem(path): path for path in find_image_files(place / "masks")}
    return {index: _read_mask(written[_name(pair)]) for index, pair in pairs.items()}


def _read_mask(path: Path) -> Mask:
    """As written; the classes of a volume, which lie behind its axes, come to the front."""
    mask = read_stored_values(path)
    is_many = suffix_of(path) in VOLUMES and mask.ndim > 3  # noqa: PLR2004 - axes of a volume
    return np.asarray(np.moveaxis(mask, -1, 0) if is_many else mask)


class _Shifted(nn.Module):
    """Gives logits that are 0 where the bundle cuts its masks."""

    def __init__(self, network: nn.Module, bounds: Tensor) -> None:
        super().__init__()
        self.network, self.bounds = network, bounds

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images)
        return logits - self.bounds.reshape(1, -1, *[1] * (logits.ndim - 2))


def _study_masks(folder: Path, source: Source, indices: list[int]) -> dict[int, Mask]:
    """Masks of the study's validation of the same weights, in fp32, with the bundle's threshold and mirroring."""
    about, data = read_bundle(folder), source.data
    network: nn.Module = Mirrored(load_model(folder), data.mode, about["tta"]["axes"] if about["tta"]["used"] else [])
    if data.mode != "multiclass":
        network = _Shifted(network, torch.from_numpy(logit_bounds(about["output"])))
    some = replace(
        data.val,
        **{
            name: tuple(values[index] for index in indices) if len(values := getattr(data.val, name)) else ()
            for name in ("images", "masks", "cases", "groups", "stored_digests", "spacings")
        },
    )
    packed = PackedMasks(data.mode)
    torch.set_num_threads(source.settings.resources.cpus_per_trial)
    evaluate(
        network,
        some,
        mode=data.mode,
        batch=1,
        divisor=source.settings.model.divisor,
        window=sliding_window(data, source.settings),
        ignore_index=data.ignore_index,
        scored=data.scored,
        masks=packed,
    )
    return dict(zip(indices, packed.unpack([mask.shape for mask in some.masks]), strict=True))
