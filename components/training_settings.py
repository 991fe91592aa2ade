"""The section `training`: kinds, limits and defaults of its settings, in a study file and in Python alike."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from components.setting_types import Above0, Below1, Dotted, From0, Natural, Positive, Share, Strength, Text

OptimizerName = Literal["adamw", "sgd"] | Dotted
ScheduleName = Literal["constant", "cosine", "poly", "trapezoid"] | Dotted
PrecisionName = Literal["auto", "fp32", "bf16", "fp16"]
Size = Positive | list[Positive]  # one number, or one an axis
Window = Literal["auto", "whole"] | Positive | list[Positive]
Seed = Natural | Literal["per_trial"]
Compiled = bool | Text


@dataclass(frozen=True)
class TrainingSettings:
    """How a network is trained; docs/reference/study_file.md says what each setting means."""

    epochs: Positive = 20
    steps: Positive | None = None
    batch: Positive = 8
    optimizer: OptimizerName = "adamw"
    optimizer_arguments: Mapping[str, Any] = field(default_factory=dict)
    lr: Above0 = 1e-3
    weight_decay: From0 = 1e-5
    momentum: Below1 = 0.9
    lr_schedule: ScheduleName = "poly"
    lr_schedule_arguments: Mapping[str, Any] = field(default_factory=dict)
    warmup: Natural = 0
    clip_norm: Above0 | None = None
    accumulate: Positive = 1
    max_bad_steps: Natural = 3
    patience: Positive | None = None
    max_minutes: Above0 | None = None
    crop: Size | None = None
    foreground: Share = 0
    window: Window = "auto"
    overlap: Below1 = 0.25
    augment: str = "flip"
    augment_strength: Strength = 1.0
    mirror: list[Natural] | None = None
    precision: PrecisionName = "auto"
    step: str | None = None
    compile: Compiled = False
    seed: Seed = 0
