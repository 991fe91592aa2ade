"""Settings of a training by name, as a study file has them: ready-made ones, loaded, saved, compared and checked."""

import dataclasses
import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Self, get_type_hints

import yaml

from components.errors import InvalidInputError
from components.hints import nearest
from components.losses import CombinedLoss, LossManager
from components.metrics.dice import Mode
from components.setting_types import From0, Positive, Text, problem_of
from components.training.named import augmentation_problem
from components.training_settings import TrainingSettings
from components.yaml_text import parse

_QUOTED = re.compile("'([^']*)'")


@dataclass(frozen=True)
class LossSettings:
    """The section `loss`, with what a study takes from its data: `mode` and `ignore_index`."""

    mode: Mode = "binary"
    ignore_index: int | None = None
    preset: str | None = None
    terms: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    weights: Mapping[str, From0] = field(default_factory=dict)
    schedule: Mapping[str, Any] = field(default_factory=lambda: {"type": "constant"})
    policy: Mapping[str, str] | None = None
    compile: bool = False

    def build(self) -> CombinedLoss:
        """The loss.

        Raises:
            InvalidInputError: a preset, a term, an option or a weight does not fit.
        """
        common: dict[str, Any] = {
            "mode": self.mode,
            "ignore_index": self.ignore_index,
            "policy": self.policy,
            "compile": self.compile,
        }
        if self.preset is not None:
            return LossManager.create_loss_function(common | {"preset": self.preset, "weights": dict(self.weights)})
        weights = dict(self.weights) or {"dice": 0.5, "ce" if self.mode == "multiclass" else "bce": 0.5}
        terms = {name: dict(self.terms.get(name, {})) for name in {**weights, **self.terms}}
        return LossManager.create_loss_function({"type": "combined", "terms": terms, "weights": weights} | common)


@dataclass(frozen=True)
class CheckpointSettings:
    """The section `checkpoint`, and what is monitored, which in a study is always the Dice."""

    strategy: Literal["best", "epoch", "interval", "all", "adaptive"] = "best"
    interval: Positive = 5
    max_checkpoints: Positive | None = 5
    monitor: Text = "val_dice"
    mode: Literal["max", "min"] = "max"


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

    training: TrainingSettings = field(default_factory=TrainingSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    checkpoint: CheckpointSettings = CheckpointSettings()

    def __post_init__(self) -> None:
        sections = {name: getattr(self, name) for name in _SECTIONS}
        problems = [line for name, section in sections.items() for line in _problems_of(name, section)]
        if not problems:
            problems = [*_contradictions(self.training), *_problems_of_loss(self.loss, self.training.epochs)]
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
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInputError(f"{path}: cannot be read: {error}") from error
        loader, _, found = parse(text, str(path))
        if loader.duplicates:
            places = [f"{path}:{mark.line + 1}:{mark.column + 1} {problem}" for mark, problem in loader.duplicates]
            raise InvalidInputError("\n".join(places))
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
        raise InvalidInputError(f"preset: found {name!r}. {nearest(str(name), _PRESETS)}")
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
    return [f"{prefix}{name}: unknown setting. {nearest(name, known)}" for name in given if name not in known]


def _problems_of(section: str, settings: Any) -> list[str]:
    """Values of another kind, or beyond their limits."""
    kinds, problems = get_type_hints(type(settings), include_extras=True), []
    for setting in dataclasses.fields(settings):
        value = getattr(settings, setting.name)
        problem = problem_of(value, kinds[setting.name])
        if problem:
            hint = _hint(value, problem)
            problems.append(f"{section}.{setting.name}: found {value!r}, {problem}.{hint}")
    return problems


def _hint(value: Any, problem: str) -> str:
    if isinstance(value, list | Mapping):
        return " Hint: choices and ranges belong to a study's search.space." if "at " not in problem else ""
    close = difflib.get_close_matches(str(value), _QUOTED.findall(problem), n=1)
    return f" Hint: did you mean {close[0]}?" if close else ""


def _contradictions(training: TrainingSettings) -> list[str]:
    """What no setting of the section is wrong in by itself."""
    problems = []
    if problem := augmentation_problem(training.augment):
        problems.append(problem)
    if training.warmup >= training.epochs:
        problems.append(f"training.warmup: found {training.warmup} of {training.epochs} epochs. Hint: leave some.")
    if training.foreground and training.crop is None:
        problems.append("training.foreground: is of crops, and training.crop is not set. Hint: set it.")
    return problems


def _problems_of_loss(settings: LossSettings, epochs: int) -> list[str]:
    if settings.preset is not None and settings.terms:
        return ["loss: preset and terms contradict each other. Hint: keep one; weights may stand beside preset."]
    try:
        LossManager.create_loss_scheduler(settings.build(), dict(settings.schedule), epochs=epochs)
    except InvalidInputError as error:
        return [f"loss: {line.removeprefix('loss: ')}" for line in str(error).splitlines()]
    return []
