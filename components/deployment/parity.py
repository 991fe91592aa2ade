"""Run in a fresh process: does a bundle's ONNX model give what the network gave in PyTorch?

python -I parity.py BUNDLE REFERENCE

It needs numpy, onnxruntime and the bundle, whose `predict.py` it uses. `REFERENCE` is an `.npz` with, for each size k,
`image_k` `(B, C, *spatial)` normalised, `logits_k` `(B, classes, *spatial)` of PyTorch in fp32 and `mask_k` as stored.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
_PERCENTILE = 99.9


def compare(bundle: Path, reference: Path) -> dict[str, Any]:
    """Run every size at batch 1 and at once.

    Returns:
        `sizes`, the `largest` and the `p999` difference of a logit, the share of pixels that `flipped`, `dice` as
        `pytorch` and `onnx` (None where neither truth nor prediction has foreground), and whether `torch` was loaded.
    """
    sys.path.insert(0, str(bundle))
    from predict import Predictor  # type: ignore[import-not-found]  # noqa: PLC0415 - the bundle's own

    predictor = Predictor(bundle)
    output = predictor.about["output"]
    stored = np.load(reference, allow_pickle=False)
    sizes, errors, flips, scores = [], [], [], []
    for number in range(len(stored.files) // 3):
        images, expected, truth = (stored[f"{name}_{number}"] for name in ("image", "logits", "mask"))
        singly = np.concatenate([predictor.logits(image[None]) for image in images])
        for found in (singly, predictor.logits(images)):
            ours, theirs = decided(found, output), decided(expected, output)
            errors.append(np.abs(found - expected).ravel())
            flips.append((ours != theirs).ravel())
            scores.append((hard_dice(theirs, truth, output), hard_dice(ours, truth, output)))
        sizes.append({"size": list(images.shape[2:]), "batches": [1, len(images)]})
    error = np.concatenate(errors)
    means = [_mean([pair[side] for pair in scores]) for side in (0, 1)]
    return {
        "sizes": sizes,
        "largest": float(error.max()),
        "p999": float(np.percentile(error, _PERCENTILE)),
        "flipped": float(np.concatenate(flips).mean()),
        "dice": dict(zip(("pytorch", "onnx"), means, strict=True)),
        "torch": "torch" in sys.modules,
    }


def decided(logits: Array, output: dict[str, Any]) -> Array:
    """Masks of logits, with classes along axis 1 unless the largest logit decides."""
    if output["mode"] == "multiclass":
        return np.asarray(logits.argmax(axis=1))
    from predict import logit_bounds  # noqa: PLC0415 - the bundle's own

    return np.asarray(logits > logit_bounds(output).reshape(1, -1, *[1] * (logits.ndim - 2)))


def hard_dice(mask: Array, truth: Array, output: dict[str, Any]) -> float | None:
    """Dice over all pixels of the cases together, mean over the foreground classes that occur; 255 is left out."""
    many = output["mode"] == "multiclass"
    found = []
    for index in range(1 if many else 0, len(output["classes"])):
        ours, theirs, known = (
            (mask == index, truth == index, truth != 255)  # noqa: PLR2004 - the value of no label
            if many
            else (mask[:, index] == 1, truth[:, index] == 1, truth[:, index] != 255)  # noqa: PLR2004 - as above
        )
        whole = int((ours & known).sum() + theirs.sum())
        if whole:
            found.append(2 * int((ours & theirs).sum()) / whole)
    return float(np.mean(found)) if found else None


def _mean(values: list[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None


if __name__ == "__main__":
    json.dump(compare(Path(sys.argv[1]), Path(sys.argv[2])), sys.stdout)
