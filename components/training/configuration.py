"""Settings of a training by name, as a study file has them: ready-made ones, loaded, saved, compared and checked."""

import dataclasses
import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import yaml

from components.data.batches import AUGMENTATIONS
from components.errors import InvalidInputError
from components.losses import CombinedLoss, LossManager
from components.metrics.dice import Mode
from components.training.optimizers import LR_SCHEDULES, OPTIMIZERS

_PRECISIONS = ("auto", "fp32", "bf16", "fp16")
_STRATEGIES = ("best", "epoch", "interval", "all", "adaptive")


@dataclass(frozen=True)
class TrainingSettings:
    """The section `training`: each setting means what it means in a study file."""

    epochs: int = 20
    batch: int = 8
    optimizer: str = "adamw"
    lr: float = 1e-3
    weight_decay: float = 1e-5
    momentum: float = 0.9
    lr_schedule: str = "poly"
    warmup: int = 0
    clip_norm: float | None = None
    accumulate: int = 1
    max_bad_steps: int = 3
    patience: int | None = None
    max_minutes: float | None = None
    crop: int | None = None
    augment: str = "flip"
    precision: str = "auto"
    seed: int = 0


@dataclass(frozen=True)
class LossSettings:
    """The section `loss`, with what a study takes from its data: `mode` and `ignore_index`."""

    mode: Mode = "binary"
    ignore_index: int | None = None
    preset: str | None = None
    terms: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    schedule: Mapping[str, Any] = field(default_factory=lambda: {"type": "constant"})

    def build(self) -> CombinedLoss:
        """The loss.

        Raises:
            InvalidInputError: a preset, a term, an option or a weight does not fit.
        """
        common: dict[str, Any] = {"mode": self.mode, "ignore_index": self.ignore_index}
        if self.preset is not None:
            return LossManager.create_loss_function(common | {"preset": self.preset, "weights": dict(self.weights)})
        weights = dict(self.weights) or {"dice": 0.5, "ce" if self.mode == "multiclass" else "bce": 0.5}
        terms = {name: dict(self.terms.get(name, {})) for name in {**weights, **self.terms}}
        return LossManager.create_loss_function({"type": "combined", "terms": terms, "weights": weights} | common)


@dataclass(frozen=True)
class CheckpointSettings:
    """The section `checkpoint`, and what is monitored, which in a study is always the Dice."""

    strategy: str = "best"
    interval: int = 5
    max_checkpoints: int | None = 5
    monitor: str = "val_dice"
    mode: str = "max"


@dataclass(frozen=True)
class TrainingConfiguration:
    """All settings of a training.

    Raises:
        InvalidInputError: lists every problem, one a line, each with the setting's dotted path.

    Example:
        >>> configuration = TrainingConfiguration.from_mapping({"training": {"epochs": 3}})
        >>> configuration.training.epochs, configuration.checkpoint.strategy
        (3, 'best')
    """

    training: TrainingSettings = TrainingSettings()
    loss: LossSettings = field(default_factory=LossSettings)
    checkpoint: CheckpointSettings = CheckpointSettings()

    def __post_init__(self) -> None:
        problems = [*_problems_of_training(self.training), *_problems_of_checkpoint(self.checkpoint)]
        try:
            loss = self.loss.build()
            LossManager.create_loss_scheduler(loss, dict(self.loss.schedule), epochs=self.training.epochs)
        except InvalidInputError as error:
            problems += [f"loss: {line.removeprefix('loss: ')}" for line in str(error).splitlines()]
        if problems:
            raise InvalidInputError("\n".join(problems))

    @classmethod
    def from_mapping(cls, config: Mapping[str, Any] | None = None) -> Self:
        """From sections, of which any may be left out; `preset` names a ready-made one that the others change.

        Args:
            config: `training`, `loss` and `checkpoint`; and `preset`, a name of `training_presets()`. A `loss` with a
                `type` is read as `LossManager.create_loss_function` reads it, with one `<kind>_weight` per term.

        Raises:
            InvalidInputError: an unknown setting, or a value that does not fit.
        """
        given = dict(config or {})
        base: Any = _preset(given.pop("preset")) if "preset" in given else {}
        sections: dict[str, Any] = {section.name: section for section in dataclasses.fields(cls)}
        problems, built = _unknown(given, sections, ""), {}
        for name, kind in _SECTIONS.items():
            values = {**base.get(name, {}), **_flattened(name, given.get(name, {}))}
            known = {setting.name: setting for setting in dataclasses.fields(kind)}
            problems += _unknown(values, known, f"{name}.")
            built[name] = {key: value for key, value in values.items() if key in known}
        if problems:
            raise InvalidInputError("\n".join(problems))
        return cls(**{name: kind(**built[name]) for name, kind in _SECTIONS.items()})

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a YAML or JSON file.

        Raises:
            InvalidInputError: it is not there, is neither, or holds what does not fit.
        """
        try:
            found = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise InvalidInputError(f"{path}: cannot be read: {error}") from error
        if not isinstance(found, Mapping):
            raise InvalidInputError(f"{path}: found {type(found).__name__}, expected sections such as `training`.")
        return cls.from_mapping(found)

    def save(self, path: str | Path) -> None:
        """Write a YAML file.

        Its sections fit into a study file, but for `loss.mode`, `loss.ignore_index`, `checkpoint.monitor` and
        `checkpoint.mode`, which a study has from its data.
        """
        Path(path).write_text(yaml.safe_dump(self.to_mapping(), sort_keys=False, allow_unicode=True), encoding="utf-8")

    def to_mapping(self) -> dict[str, Any]:
        """All settings as plain values."""
        return dataclasses.asdict(self)

    def diff(self, other: "TrainingConfiguration") -> dict[str, tuple[Any, Any]]:
        """Settings that differ, by dotted path: here, there."""
        here, there = self.to_mapping(), other.to_mapping()
        return {
            f"{section}.{name}": (value, there[section][name])
            for section, settings in here.items()
            for name, value in settings.items()
            if value != there[section][name]
        }


def training_presets() -> Mapping[str, TrainingConfiguration]:
    """Ready-made configurations by name.

    `quick` to see that everything works; `balanced` as a start; `thorough` where time is no matter; `small_data` for a
    few dozen images, where augmentation and decay keep a network from learning them by heart; `imbalanced` where the
    foreground is a small part of the pixels.
    """
    return MappingProxyType({name: TrainingConfiguration.from_mapping({"preset": name}) for name in _PRESETS})


_SECTIONS: dict[str, Any] = {
    "training": TrainingSettings,
    "loss": LossSettings,
    "checkpoint": CheckpointSettings,
}
_PRESETS: Mapping[str, dict[str, dict[str, Any]]] = {
    "quick": {"training": {"epochs": 5, "lr": 3e-3}},
    "balanced": {
        "training": {"epochs": 50, "warmup": 2, "clip_norm": 12.0, "augment": "standard"},
    },
    "thorough": {
        "training": {"epochs": 200, "warmup": 5, "clip_norm": 12.0, "augment": "standard", "patience": 50},
        "loss": {"weights": {"dice": 0.5, "focal": 0.5}},
    },
    "small_data": {
        "training": {
            "epochs": 150,
            "batch": 4,
            "warmup": 5,
            "clip_norm": 12.0,
            "weight_decay": 1e-3,
            "augment": "standard",
            "patience": 40,
        },
    },
    "imbalanced": {
        "training": {"epochs": 100, "warmup": 3, "clip_norm": 12.0, "augment": "standard"},
        "loss": {"preset": "imbalanced"},
    },
}


def _preset(name: Any) -> dict[str, dict[str, Any]]:
    if name not in _PRESETS:
        raise InvalidInputError(f"preset: found {name!r}. {_nearest(str(name), _PRESETS)}")
    return _PRESETS[name]


def _flattened(section: str, given: Any) -> dict[str, Any]:
    """A section's settings; those of a loss also in the form of `LossManager.create_loss_function`."""
    if not isinstance(given, Mapping):
        raise InvalidInputError(f"{section}: found {type(given).__name__}, expected settings by name.")
    values = dict(given)
    if section != "loss" or "type" not in values:
        return values
    kind = values.pop("type")
    short = {name.removesuffix("_weight"): values.pop(name) for name in list(values) if name.endswith("_weight")}
    if kind != "combined":
        shared = {"mode", "ignore_index", "schedule"}
        options = {name: values.pop(name) for name in list(values) if name not in shared}
        return {**values, "terms": {kind: options}, "weights": {kind: 1.0}}
    return values | ({"weights": {**values.get("weights", {}), **short}} if short else {})


def _unknown(given: Mapping[str, Any], known: Mapping[str, Any], prefix: str) -> list[str]:
    return [f"{prefix}{name}: unknown setting. {_nearest(name, known)}" for name in given if name not in known]


def _nearest(name: str, known: Mapping[str, Any]) -> str:
    found = difflib.get_close_matches(name, list(known), n=1)
    return f"Hint: did you mean {found[0]}?" if found else f"Hint: there are {', '.join(known)}."


def _problems_of_training(training: TrainingSettings) -> list[str]:
    ranges: list[tuple[str, float | None, float, bool]] = [
        ("epochs", training.epochs, 1, True),
        ("batch", training.batch, 1, True),
        ("lr", training.lr, 0, False),
        ("weight_decay", training.weight_decay, 0, True),
        ("warmup", training.warmup, 0, True),
        ("clip_norm", training.clip_norm, 0, False),
        ("accumulate", training.accumulate, 1, True),
        ("max_bad_steps", training.max_bad_steps, 0, True),
        ("patience", training.patience, 1, True),
        ("max_minutes", training.max_minutes, 0, False),
        ("crop", training.crop, 1, True),
        ("seed", training.seed, 0, True),
    ]
    problems = [
        f"training.{name}: found {value!r}, must be {'at least' if included else 'above'} {least:g}."
        for name, value, least, included in ranges
        if value is not None and not _is_from(value, least, included=included)
    ]
    choices = [("optimizer", training.optimizer, OPTIMIZERS), ("lr_schedule", training.lr_schedule, LR_SCHEDULES)]
    choices.append(("precision", training.precision, _PRECISIONS))
    if ":" not in str(training.augment):
        choices.append(("augment", training.augment, (*AUGMENTATIONS, "standard")))
    problems += _odd_choices("training", choices)
    if not problems and training.warmup >= training.epochs:
        problems.append(f"training.warmup: found {training.warmup} of {training.epochs} epochs. Hint: leave some.")
    return problems


def _problems_of_checkpoint(checkpoint: CheckpointSettings) -> list[str]:
    choices = [("strategy", checkpoint.strategy, _STRATEGIES), ("mode", checkpoint.mode, ("max", "min"))]
    problems = _odd_choices("checkpoint", choices)
    for name, value in (("interval", checkpoint.interval), ("max_checkpoints", checkpoint.max_checkpoints)):
        if value is not None and not _is_from(value, 1, included=True):
            problems.append(f"checkpoint.{name}: found {value!r}, must be at least 1.")
    return problems


def _odd_choices(section: str, choices: list[tuple[str, str, tuple[str, ...]]]) -> list[str]:
    return [
        f"{section}.{name}: found {value!r}. {_nearest(str(value), dict.fromkeys(known))}"
        for name, value, known in choices
        if value not in known
    ]


def _is_from(value: Any, least: float, *, included: bool) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return False
    return value >= least if included else value > least
