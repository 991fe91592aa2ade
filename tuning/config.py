"""What a study file may say: one pydantic model a section, and the settings of a single trial."""

import difflib
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tuning.errors import StudyConfigError

TRIAL_SECTIONS = ("model", "training", "loss", "checkpoint")
_Positive = Annotated[int, Field(ge=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(_Section):
    """Where images and masks come from: a function by dotted path that returns `SegmentationData`."""

    build: str = Field(description="dotted path `package.module:function` of the function that loads the data")
    arguments: dict[str, Any] = Field(default_factory=dict, description="keyword arguments of that function")


class ModelConfig(_Section):
    """The network: a function or class by dotted path, called with channels, classes and spatial dimensions."""

    build: str = Field(
        "components.training.network:small_unet",
        description="called with `in_channels`, `out_channels`, `spatial_dims` and the arguments",
    )
    arguments: dict[str, Any] = Field(default_factory=dict, description="further keyword arguments")


class TrainingConfig(_Section):
    """How one trial trains."""

    epochs: _Positive = Field(20, description="full budget of a trial, in epochs")
    batch: _Positive = Field(8, description="cases a training step")
    optimizer: Literal["adamw", "sgd"] = "adamw"
    lr: float = Field(1e-3, gt=0, description="learning rate at the start")
    weight_decay: float = Field(1e-5, ge=0)
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd")
    lr_schedule: Literal["constant", "cosine", "poly"] = Field("poly", description="over the full budget")
    augment: Literal["none", "flip"] = "flip"
    precision: Literal["fp32", "bf16"] = "fp32"
    seed: Annotated[int, Field(ge=0)] | Literal["per_trial"] = Field(
        0, description="shared by all trials, so that settings are compared and not luck; or `per_trial`"
    )


class LossConfig(_Section):
    """The combined loss of a trial and how its weights move."""

    terms: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="options of each term; a term that has a weight needs no entry"
    )
    weights: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default_factory=dict, description="weight of each term; by default dice and bce (ce for classes), half and half"
    )
    schedule: dict[str, Any] = Field(
        default_factory=lambda: {"type": "constant"}, description="`type: constant | linear | adaptive` and its options"
    )


class CheckpointConfig(_Section):
    """When a trial saves and how much of it is kept."""

    strategy: Literal["best", "epoch", "interval", "all", "adaptive"] = "best"
    interval: _Positive = Field(5, description="epochs between checkpoints of the strategy `interval`")
    max_checkpoints: _Positive | None = Field(
        None, description="best checkpoints kept a trial, beside the latest; default 1, and no limit for `all`"
    )

    @property
    def keep(self) -> int | None:
        """How many best checkpoints are kept; None keeps all."""
        return None if self.strategy == "all" and self.max_checkpoints is None else self.max_checkpoints or 1


class SearchConfig(_Section):
    """How many settings are tried, where they are drawn from and by whom."""

    trials: _Positive = Field(20, description="settings tried, baselines not counted")
    sampler: Literal["tpe", "random"] = "tpe"
    startup_trials: _Positive = Field(8, description="settings drawn at random before tpe takes over")
    seed: Annotated[int, Field(ge=0)] = Field(0, description="of the sampler")
    baselines: bool = Field(True, description="run the field's usual losses first, at full budget, never pruned")  # noqa: FBT003
    space: dict[str, Any] = Field(
        default_factory=lambda: {"presets": ["loss_weights"]}, description="`presets` and `parameters`"
    )


class SchedulerConfig(_Section):
    """Early stopping of weak trials."""

    type: Literal["asha", "none"] = "asha"
    grace: _Positive = Field(3, description="epochs that every trial gets")
    reduction: float = Field(3, gt=1, description="the best 1/reduction of a rung go on")


class ResourcesConfig(_Section):
    """What a trial may use, and how many run at a time."""

    cpus_per_trial: _Positive = 1
    gpus_per_trial: float = Field(0, ge=0)
    concurrent: _Positive | None = Field(None, description="trials at a time; default as many as the machine holds")
    retries: Annotated[int, Field(ge=0)] = Field(2, description="new starts of a trial whose worker died")


class StudyConfig(_Section):
    """A whole study file.

    Example:
        >>> settings = {"name": "brain", "data": {"build": "components.data.mni152:mni152_slices"}}
        >>> StudyConfig.load(settings).training.epochs
        20
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="names the study and its folder")
    data: DataConfig
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    loss: LossConfig = LossConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    search: SearchConfig = SearchConfig()
    scheduler: SchedulerConfig = SchedulerConfig()
    resources: ResourcesConfig = ResourcesConfig()

    @model_validator(mode="after")
    def _check_budget(self) -> "StudyConfig":
        if self.scheduler.type == "asha" and self.scheduler.grace > self.training.epochs:
            raise ValueError(
                f"scheduler.grace ({self.scheduler.grace}) is beyond training.epochs ({self.training.epochs}). "
                "Hint: lower grace, or set scheduler.type: none."
            )
        return self

    @classmethod
    def load(cls, settings: dict[str, Any], source: str = "study") -> "StudyConfig":
        """Validate a mapping as read from a file.

        Args:
            settings: nested mapping.
            source: what errors name as the place.

        Raises:
            StudyConfigError: lists every problem, one a line.
        """
        try:
            return cls.model_validate(settings)
        except ValidationError as error:
            raise StudyConfigError(_describe(error, source)) from None

    def with_overrides(self, overrides: dict[str, Any]) -> "StudyConfig":
        """The study as one trial sees it: sampled values laid over the settings by dotted path.

        Raises:
            StudyConfigError: a path is not a setting of a trial, or a value does not fit it.
        """
        settings = self.model_dump()
        for path, value in overrides.items():
            set_by_path(settings, path, value)
        return type(self).load(settings, source="trial settings")


def set_by_path(settings: dict[str, Any], path: str, value: Any) -> None:
    """Set `settings["a"]["b"] = value` for the dotted path `a.b`, making mappings on the way."""
    *parents, last = path.split(".")
    for name in parents:
        settings = settings.setdefault(name, {})
    settings[last] = value


def settings_difference(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> dict[str, tuple[Any, Any]]:
    """Dotted paths whose values differ, with the old and the new value."""
    changed: dict[str, tuple[Any, Any]] = {}
    for key in old.keys() | new.keys():
        path, before, after = f"{prefix}{key}", old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            changed |= settings_difference(before, after, f"{path}.")
        elif before != after:
            changed[path] = (before, after)
    return dict(sorted(changed.items()))


def _describe(error: ValidationError, source: str) -> str:
    return "\n".join(f"{source}: {_describe_problem(problem)}" for problem in error.errors())


def _describe_problem(problem: Any) -> str:
    path = ".".join(str(part) for part in problem["loc"]) or "study"
    if problem["type"] == "extra_forbidden":
        return f"{path}: unknown setting. {_hint(problem['loc'])}"
    found = "" if problem["type"] in ("missing", "value_error") else f" Found: {problem['input']!r}."
    return f"{path}: {problem['msg'].removeprefix('Value error, ')}.{found}"


def _hint(location: tuple[str | int, ...]) -> str:
    section = StudyConfig.model_fields.get(str(location[0])) if len(location) > 1 else None
    model = section.annotation if section else StudyConfig
    known = list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []
    close = difflib.get_close_matches(str(location[-1]), known, n=1)
    return f"Hint: did you mean {close[0]}?" if close else f"Hint: there are {', '.join(known)}."
