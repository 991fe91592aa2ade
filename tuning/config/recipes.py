"""Recipes: named sets of defaults for a training, from a small and quick one to nnU-Net's own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

RecipeName = Literal["small", "standard", "strong", "nnunet_like"]

_UNET = "components.training.network:small_unet"
_NNUNET = "components.training.network:nnunet"


@dataclass(frozen=True)
class Recipe:
    """Defaults that hold where a study file says nothing else.

    Attributes:
        summary: what it is for, in a few words.
        network: `build` and `arguments` of the section `model`; used unless the file names a network.
        training: of the section `training`.
        checkpoint: of the section `checkpoint`.
    """

    summary: str
    network: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    checkpoint: Mapping[str, Any] = field(default_factory=dict)


# What benchmarks/recipes.py measured at equal CPU seconds decides what `standard` and `strong` have.
_ADAMW = {"optimizer": "adamw", "lr": 3e-3, "weight_decay": 1e-4, "lr_schedule": "trapezoid"}
_NNUNET_SGD = {
    "optimizer": "sgd",
    "lr": 1e-2,
    "momentum": 0.99,
    "weight_decay": 3e-5,
    "lr_schedule": "poly",
    "clip_norm": 12.0,
}
RECIPES: Mapping[RecipeName, Recipe] = MappingProxyType(
    {
        "small": Recipe("a U-Net of 47,000 weights; for a first look and for demonstrations"),
        "standard": Recipe(
            "a residual U-Net of 400,000 weights in 2D; for two CPU cores and minutes to hours",
            network={"build": _UNET, "arguments": {"channels": [16, 32, 64, 128], "num_res_units": 2}},
            training={**_ADAMW, "batch": 8, "augment": "standard", "foreground": 0.33},
        ),
        "strong": Recipe(
            "a residual U-Net of 1,600,000 weights in 2D; for a GPU, or many hours",
            network={"build": _UNET, "arguments": {"channels": [32, 64, 128, 256], "num_res_units": 2}},
            training={**_ADAMW, "batch": 8, "augment": "strong", "foreground": 0.33, "clip_norm": 12.0},
            checkpoint={"averaging": "ema"},
        ),
        "nnunet_like": Recipe(
            "nnU-Net's network and training: deep supervision, SGD, 250 steps per epoch; for a GPU",
            network={"build": _NNUNET, "arguments": {}},
            training={**_NNUNET_SGD, "steps": 250, "augment": "strong", "foreground": 0.33},
        ),
    }
)


def lay_under(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings with what their recipe gives where they say nothing.

    Args:
        settings: as read from a study file; not changed. What is not a mapping, or no recipe, is left for the
            validation that follows.

    Example:
        >>> lay_under({"training": {"recipe": "standard", "lr": 1e-2}})["training"]["lr"]
        0.01
    """
    training = settings.get("training")
    name = training.get("recipe") if isinstance(training, dict) else None
    recipe = next((recipe for known, recipe in RECIPES.items() if known == name), None)
    if not isinstance(training, dict) or recipe is None:
        return settings
    found = dict(settings)
    if not {"build", "arguments"} & set(_section(settings, "model")):
        found["model"] = {**recipe.network, **_section(settings, "model")}
    found["training"] = {**recipe.training, **training}
    if found["training"].get("crop") is None and "foreground" not in training:
        found["training"].pop("foreground", None)  # whole cases show what they have
    if recipe.checkpoint:
        found["checkpoint"] = {**recipe.checkpoint, **_section(settings, "checkpoint")}
    return found


def _section(settings: dict[str, Any], name: str) -> dict[str, Any]:
    section = settings.get(name)
    return section if isinstance(section, dict) else {}
