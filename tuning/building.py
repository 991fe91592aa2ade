"""From a trial's settings to its network and its loss."""

from pathlib import Path

from torch import nn

from components.data import SegmentationData
from components.dotted import import_object
from components.hints import nearest
from components.losses import CombinedLoss, LossManager
from components.training import choose_precision
from components.training.pretrained import load_weights
from tuning.config import StudyConfig
from tuning.errors import StudyConfigError

_SEED_OFFSET = 1000  # baselines have negative numbers, seeds may not be


def build_model(settings: StudyConfig, data: SegmentationData) -> nn.Module:
    """The network on the CPU, with its pretrained weights if there are any.

    Raises:
        StudyConfigError: the path does not import, or it gives no network.
        InvalidInputError: the weights do not fit.
    """
    build = import_object(settings.model.build, "model.build")
    model = build(
        in_channels=data.in_channels,
        out_channels=len(data.classes),
        spatial_dims=data.spatial_dims,
        **settings.model.arguments,
    )
    if not isinstance(model, nn.Module):
        raise StudyConfigError(
            f"model.build: {settings.model.build} returned {type(model).__name__}, expected a torch.nn.Module."
        )
    if settings.model.weights is not None:
        load_weights(model, Path(settings.model.weights))
    return model


def build_loss(settings: StudyConfig, mode: str, ignore_index: int | None = None) -> CombinedLoss:
    """The combined loss, on the CPU; of a preset, or of the terms that the study names.

    Raises:
        StudyConfigError: a weight's name is no loss.
        InvalidInputError: a preset, a term, an option or a weight does not fit.
    """
    common = {
        "mode": mode,
        "ignore_index": ignore_index,
        "policy": None if settings.loss.policy is None else settings.loss.policy.model_dump(),
        "compile": settings.loss.compile,
    }
    if settings.loss.preset is not None:
        config = {"preset": settings.loss.preset, "weights": settings.loss.weights}
        return LossManager.create_loss_function(config | common)
    weights = settings.loss.weights or {"dice": 0.5, "ce" if mode == "multiclass" else "bce": 0.5}
    for name in weights.keys() - settings.loss.terms.keys() - set(LossManager.kinds()):
        hint = nearest(name, (*LossManager.kinds(), *settings.loss.terms))
        raise StudyConfigError(f"loss.weights.{name}: there is no such loss. {hint}")
    terms = {name: settings.loss.terms.get(name, {}) for name in {**weights, **settings.loss.terms}}
    return LossManager.create_loss_function({"type": "combined", "terms": terms, "weights": weights} | common)


def trial_seed(settings: StudyConfig, number: int) -> int:
    """The seed of a trial: that of all, or `training.seed: per_trial`, its own."""
    seed = settings.training.seed
    return number + _SEED_OFFSET if isinstance(seed, str) else seed


def resolve_precision(settings: StudyConfig) -> StudyConfig:
    """The settings with what `auto` means on this machine."""
    if settings.training.precision != "auto":
        return settings
    return settings.with_overrides({"training.precision": choose_precision("auto", device_of(settings))})


def device_of(settings: StudyConfig) -> str:
    """Where a trial computes."""
    return "cuda" if settings.resources.gpus_per_trial else "cpu"
