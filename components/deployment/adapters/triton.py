"""A bundle's network in the layout of a Triton model repository."""

import json
import shutil
from pathlib import Path

from components.deployment.adapters.source import open_bundle
from components.deployment.runtime import MODEL

_MOST_AT_ONCE = 8
_CONFIG = """name: {name}
platform: "onnxruntime_onnx"
max_batch_size: {batch}
input [ {{ name: "image" data_type: TYPE_FP32 dims: [ {given} ] }} ]
output [ {{ name: "logits" data_type: TYPE_FP32 dims: [ {gives} ] }} ]
dynamic_batching {{ }}
"""


def write_triton(bundle: Path, to: Path) -> None:
    """Write a model repository with one model, named as the bundle's folder, version 1.

    Triton runs the network alone: from `image` `(B, C, *spatial)`, normalised and padded, to `logits`. What comes
    before and after is the client's; the bundle's `predict.py` shows how.

    Args:
        bundle: with its ONNX model.
        to: folder to make, for `tritonserver --model-repository`.

    Raises:
        BundleError: the bundle is not whole, has no ONNX model, or the folder exists.

    Example:
        >>> write_triton(Path("bundle"), Path("models"))  # doctest: +SKIP
    """
    about = open_bundle(bundle, to)
    name = bundle.resolve().name
    sizes = about["onnx"]["fixed_size"] or [-1] * about["input"]["axes"]
    channels, outputs = about["input"]["channels"], len(about["output"]["classes"])
    text = _CONFIG.format(
        name=json.dumps(name),
        batch=_MOST_AT_ONCE,
        given=", ".join(map(str, [channels, *sizes])),
        gives=", ".join(map(str, [outputs, *sizes])),
    )
    version = to / name / "1"
    version.mkdir(parents=True)
    shutil.copyfile(bundle / MODEL, version / MODEL)
    (to / name / "config.pbtxt").write_text(text, encoding="utf-8")
