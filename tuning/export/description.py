"""What `bundle.json` says of a model."""

from typing import Any

from tuning.export.handover import Handover
from tuning.identity import versions

_COLOURS = ((0, 0, 0), (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0))


def describe(record: dict[str, Any], handover: Handover) -> dict[str, Any]:
    """Architecture, what it takes and gives, and where it comes from.

    Args:
        record: of the study, `study.yaml`.
        handover: the network.
    """
    data, settings = record["data"], handover.settings
    return {
        "study": settings["name"],
        "trial": handover.label,
        "epoch": handover.epoch,
        "network": handover.network or describe_network(data, settings),
        "input": {
            "channels": data["channels"],
            "axes": _axes(data),
            "files": data.get("files_per_image", 1),
            "order": "B, C, *spatial; channels as stored, colours red, green, blue",
            "normalize": settings["data"]["normalize"] if settings["data"]["root"] else None,
            "orientation": data.get("orientation", {}).get("used"),
            "divisor": settings["model"]["divisor"],
        },
        "output": {
            "mode": data["mode"],
            "classes": data["classes"],
            "colours": [_COLOURS[index % len(_COLOURS)] for index in range(max(len(data["classes"]), 2))],
            "activation": "softmax" if data["mode"] == "multiclass" else "sigmoid",
            "threshold": None if data["mode"] == "multiclass" else [0.5] * len(data["classes"]),
        },
        "seed": handover.seed,
        "parameters": handover.parameters,
        "members": handover.members,
        "precision": settings["training"]["precision"],
        "data_fingerprint": data["fingerprint"],
        "data_cases": data["cases"],
        "versions": versions(),
    }


def describe_network(data: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """The dotted path and the keyword arguments that build a trial's network.

    Args:
        data: as in the study's record.
        settings: of the trial.
    """
    model = settings["model"]
    arguments = {"in_channels": data["channels"], "out_channels": len(data["classes"]), "spatial_dims": _axes(data)}
    return {"build": model["build"], "arguments": {**arguments, **model["arguments"]}}


def _axes(data: dict[str, Any]) -> int:
    return len(next(iter(data["sizes"].values()))["median"])
