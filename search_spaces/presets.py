"""Ready-made parameters for the searches that most users want."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from search_spaces.distributions import Choice, Float, Int
from search_spaces.errors import SpaceError, hint_for
from search_spaces.modes import BINARY, cross_entropy_term
from search_spaces.parameter import Parameter, When
from search_spaces.simplex import Simplex


def preset_parameters(name: str, mode: str = BINARY) -> tuple[Parameter, ...]:
    """Give the parameters of a preset.

    Raises:
        SpaceError: If there is no such preset or mode.

    Example:
        >>> [parameter.name for parameter in preset_parameters("loss_weights")]
        ['loss.weights']
    """
    if name not in PRESETS:
        raise SpaceError(f"there is no preset {name!r}. {hint_for(name, PRESETS)}")
    return _BUILDERS[name](cross_entropy_term(mode))


def _loss_weights(cross_entropy: str) -> tuple[Parameter, ...]:
    """The direction of the weights; under Adam their scale changes nothing, so it is not searched.

    The terms are the compounds that SegLossOdyssey (Ma et al., 2021) found most robust.
    """
    return (Parameter("loss.weights", Simplex(("dice", cross_entropy, "focal"))),)


def _checkpoint_strategies(_cross_entropy: str) -> tuple[Parameter, ...]:
    """Which weights are validated and kept, and when they are saved.

    Averaging changes the Dice, when to save what it costs and what a kill loses. How many are kept is no parameter: Ray
    Tune takes one number for all trials.
    """
    return (
        Parameter("checkpoint.averaging", Choice(("none", "ema", "swa", "soup"))),
        Parameter("checkpoint.ema_decay", Float(0.9, 0.999), when=When("checkpoint.averaging", "ema")),
        Parameter("checkpoint.strategy", Choice(("best", "epoch", "interval", "adaptive"))),
        Parameter("checkpoint.interval", Int(2, 5), when=When("checkpoint.strategy", "interval")),
    )


def _optimizer(_cross_entropy: str) -> tuple[Parameter, ...]:
    """The optimiser's settings over the ranges in use for segmentation; momentum for SGD only."""
    return (
        Parameter("training.optimizer", Choice(("adamw", "sgd"))),
        Parameter("training.lr", Float(1e-4, 1e-2, log=True)),
        Parameter("training.weight_decay", Float(1e-6, 1e-2, log=True)),
        Parameter("training.momentum", Float(0.8, 0.99), when=When("training.optimizer", "sgd")),
    )


def _loss_kinds(_cross_entropy: str) -> tuple[Parameter, ...]:
    """Losses of which each is built for another trouble; those that fit masks as well as classes."""
    return (Parameter("loss.preset", Choice(_LOSSES)),)


def _loss_schedules(_cross_entropy: str) -> tuple[Parameter, ...]:
    """How the weights move; `constant` and `random` (Lin et al., 2022) are the controls."""
    kind = "loss.schedule.type"
    return (
        Parameter(kind, Choice(("constant", "adaptive", "dwa", "softadapt", "relobralo", "uwso", "random"))),
        Parameter("loss.schedule.temperature", Float(0.5, 5.0, log=True), when=When(kind, ("dwa", "relobralo"))),
        Parameter("loss.schedule.strength", Float(0.25, 2.0, log=True), when=When(kind, "adaptive")),
    )


def _augmentation(_cross_entropy: str) -> tuple[Parameter, ...]:
    """How far images are changed before they are shown."""
    return (Parameter("training.augment", Choice(("none", "flip", "standard"))),)


def _recipe(cross_entropy: str) -> tuple[Parameter, ...]:
    """What decides most of a training; in Auto-nnU-Net the learning rate is in four of the five largest interactions.

    Becktepe et al. (2025), arXiv:2505.16561. The other parameters are what is usually tuned beside it.
    """
    return (
        Parameter("training.lr", Float(1e-3, 1e-2, log=True)),
        Parameter("training.weight_decay", Float(1e-5, 1e-2, log=True)),
        Parameter("training.augment_strength", Float(0.5, 2.0, log=True)),
        *_loss_weights(cross_entropy),
    )


def _full(cross_entropy: str) -> tuple[Parameter, ...]:
    """All of the others; weights are drawn where no ready-made loss is."""
    weights = tuple(Parameter(p.name, p.distribution, When("loss.preset", None)) for p in _loss_weights(cross_entropy))
    others = (_loss_schedules, _checkpoint_strategies, _optimizer, _augmentation)
    return (
        Parameter("loss.preset", Choice((None, *_LOSSES))),
        *weights,
        *(parameter for build in others for parameter in build(cross_entropy)),
    )


_LOSSES = ("balanced", "imbalanced", "rare_foreground", "hard_pixels", "small_lesions", "few_misses", "noisy_labels")
_BUILDERS: Mapping[str, Callable[[str], tuple[Parameter, ...]]] = {
    "loss_weights": _loss_weights,
    "loss_kinds": _loss_kinds,
    "loss_schedules": _loss_schedules,
    "checkpoint_strategies": _checkpoint_strategies,
    "optimizer": _optimizer,
    "augmentation": _augmentation,
    "recipe": _recipe,
    "full": _full,
}

PRESETS: Mapping[str, str] = MappingProxyType(
    {
        "loss_weights": "weights of Dice, cross-entropy and focal loss, with sum 1",
        "loss_kinds": "ready-made losses (loss.preset), each for another trouble",
        "loss_schedules": "how the loss weights move during training, with a constant control",
        "checkpoint_strategies": "averages of weights (moving, SWA, soup), and when checkpoints are saved",
        "optimizer": "optimiser, learning rate, weight decay, and momentum for SGD",
        "augmentation": "none, flips, or the standard set",
        "recipe": "learning rate, weight decay, strength of the augmentation, and loss weights",
        "full": "all of these at once; weights are drawn where no ready-made loss is",
    }
)
