"""A bundle as a MONAI bundle: `configs/metadata.json`, `configs/inference.json`, `models/model.pt`."""

import json
from pathlib import Path
from typing import Any

from components.deployment.adapters.source import open_bundle
from components.deployment.bundle import WEIGHTS
from components.deployment.card import CARD
from components.deployment.runtime import logit_bounds

_SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
_VOLUME = 3
_WRITTEN_TURNED = {"_target_": "Transposed", "keys": "pred", "indices": [0, 2, 1]}  # MONAI's PILWriter turns it back
_SCALE: dict[str, dict[str, Any]] = {
    "zscore": {"_target_": "NormalizeIntensityd", "keys": "image", "channel_wise": True},
    "zscore_nonzero": {"_target_": "NormalizeIntensityd", "keys": "image", "channel_wise": True, "nonzero": True},
    "minmax": {"_target_": "ScaleIntensityd", "keys": "image", "channel_wise": True},
    "none": {
        "_target_": "Lambdad",
        "keys": "image",
        "func": "$lambda image: image if image.is_floating_point() else image / torch.iinfo(image.dtype).max",
    },
    "percentile": {
        "_target_": "ScaleIntensityRangePercentilesd",
        "keys": "image",
        "lower": 1,
        "upper": 99,
        "b_min": 0,
        "b_max": 1,
        "clip": True,
        "channel_wise": True,
    },
}


def write_monai(bundle: Path, to: Path) -> None:
    """Write a MONAI bundle; `python -m monai.bundle run --config_file configs/inference.json` predicts with it.

    Its network runs in PyTorch, so that the code that builds it must be importable there.

    Args:
        bundle: the bundle.
        to: folder to make.

    Raises:
        BundleError: the bundle is not whole, has no ONNX model, or the folder exists.

    Example:
        >>> write_monai(Path("bundle"), Path("monai_bundle"))  # doctest: +SKIP
    """
    about = open_bundle(bundle, to)
    import torch  # noqa: PLC0415 - only this adapter needs it
    from safetensors.torch import load_file  # noqa: PLC0415 - as above

    for folder in ("configs", "models", "docs"):
        (to / folder).mkdir(parents=True)
    torch.save(load_file(bundle / WEIGHTS), to / "models" / "model.pt")
    for name, content in (("metadata", _metadata(about)), ("inference", _inference(about))):
        (to / "configs" / f"{name}.json").write_text(json.dumps(content, indent=4) + "\n", encoding="utf-8")
    card = bundle / CARD
    (to / "docs" / "README.md").write_bytes(card.read_bytes() if card.exists() else b"")


def _metadata(about: dict[str, Any]) -> dict[str, Any]:
    given, output, versions = about["input"], about["output"], about["versions"]
    many = output["mode"] == "multiclass"
    shape = about["onnx"]["fixed_size"] or [f"{given['divisor']}*n"] * given["axes"]
    named = output["classes"] if many else ["background", *output["classes"]]
    common = {"type": "image", "dtype": "float32", "spatial_shape": shape}
    return {
        "schema": _SCHEMA,
        "version": "1.0.0",
        "changelog": {"1.0.0": f"exported from {about['study']}, {about['trial']}, epoch {about['epoch']}"},
        "monai_version": versions["monai"],
        "pytorch_version": versions["torch"].partition("+")[0],
        "numpy_version": versions["numpy"],
        "required_packages_version": {},
        "task": f"Segmentation of {', '.join(output['classes'])}",
        "description": f"{about['study']}, {about['trial']}",
        "authors": "",
        "copyright": "",
        "network_data_format": {
            "inputs": {
                "image": {
                    **common,
                    "format": "magnitude",
                    "modality": "n/a",
                    "num_channels": given["channels"],
                    "value_range": [],
                    "is_patch_data": False,
                    "channel_def": {str(index): f"channel {index}" for index in range(given["channels"])},
                }
            },
            "outputs": {
                "pred": {
                    **common,
                    "format": "segmentation",
                    "num_channels": len(output["classes"]),
                    "value_range": [],
                    "is_patch_data": False,
                    "channel_def": {str(index): name for index, name in enumerate(named)},
                }
            },
        },
    }


def _inference(about: dict[str, Any]) -> dict[str, Any]:
    given, tiling, network = about["input"], about["tiling"], about["network"]
    many_masks = about["output"]["mode"] != "multiclass" and len(about["output"]["classes"]) > 1
    as_picture = given["axes"] != _VOLUME and not many_masks
    return {
        "imports": [
            "$import torch",
            "$from monai.inferers import sliding_window_inference",
            "$from pathlib import Path",
        ],
        "bundle_root": ".",
        "dataset_dir": "images",
        "output_dir": "masks",
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "network_def": {"_target_": network["build"].replace(":", "."), **network["arguments"]},
        "network": "$@network_def.to(@device).eval()",
        "weights": "$torch.load(Path(@bundle_root) / 'models' / 'model.pt', map_location=@device, weights_only=True)",
        "data": "$[{'image': str(path)} for path in sorted(Path(@dataset_dir).rglob('*')) if path.is_file()]",
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [*_reading(given), *_scaling(given["normalize"]), _padding(about)],
        },
        "window": tiling["size"],
        "inferer": (
            "$lambda image: sliding_window_inference(image, [min(pair) for pair in zip(image.shape[2:], @window)], 1, "
            f"@network, overlap={tiling['overlap']}, mode='gaussian')"
        ),
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "Lambdad", "keys": "pred", "func": _decision(about["output"], given["axes"])},
                {
                    "_target_": "Invertd",
                    "keys": "pred",
                    "transform": "@preprocessing",
                    "orig_keys": "image",
                    "nearest_interp": True,
                    "to_tensor": True,
                },
                *([_WRITTEN_TURNED] if as_picture else []),
                {
                    "_target_": "SaveImaged",
                    "keys": "pred",
                    "output_dir": "@output_dir",
                    "output_ext": ".png" if as_picture else ".nii.gz",
                    "output_postfix": "",
                    "output_dtype": "$torch.uint8",
                    "separate_folder": False,
                    "resample": False,
                },
            ],
        },
        "logits": "$lambda image: @inferer(image[None].to(@device))[0].cpu()",
        "predict": "$lambda item: @postprocessing({**item, 'pred': @logits(item['image'])})",
        "run": [
            "$@network.load_state_dict(@weights)",
            "$torch.set_grad_enabled(False)",
            "$[@predict(@preprocessing(item)) for item in @data]",
        ],
    }


def _reading(given: dict[str, Any]) -> list[dict[str, Any]]:
    read: dict[str, Any] = {"_target_": "LoadImaged", "keys": "image", "ensure_channel_first": True, "dtype": None}
    if given["axes"] != _VOLUME:
        return [{**read, "reader": "PILReader", "reverse_indexing": False}]
    return [{**read, "reader": "NibabelReader"}, {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"}]


def _scaling(how: str | None) -> list[dict[str, Any]]:
    as_float = {"_target_": "CastToTyped", "keys": "image", "dtype": "$torch.float32"}
    if how is None:
        return [as_float]
    return [_SCALE[how], as_float] if how == "none" else [as_float, _SCALE[how]]


def _padding(about: dict[str, Any]) -> dict[str, Any]:
    """Mirrored at the ends, as in training."""
    mirrored = {"keys": "image", "method": "end", "mode": "symmetric"}
    if about["onnx"]["fixed_size"]:
        return {"_target_": "SpatialPadd", "spatial_size": about["onnx"]["fixed_size"], **mirrored}
    return {"_target_": "DivisiblePadd", "k": about["input"]["divisor"], **mirrored}


def _decision(output: dict[str, Any], axes: int) -> str:
    """From logits to a mask with one channel, or for labels that overlap one a class."""
    if output["mode"] == "multiclass":
        return "$lambda logits: logits.argmax(dim=0, keepdim=True).to(torch.uint8)"
    bounds = [float(bound) for bound in logit_bounds(output)]
    return f"$lambda logits: (logits > torch.tensor({bounds}).reshape(-1, {', '.join(['1'] * axes)})).to(torch.uint8)"
