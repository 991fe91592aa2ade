"""What a study file may say: one pydantic model a section."""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from components.mask_policy import Absent, Empty, SoftLabels
from components.references import refuse_password
from tuning.config.data import DataConfig
from tuning.config.paths import set_by_path
from tuning.config.problems import describe_problems
from tuning.config.recipes import lay_under
from tuning.config.retrain import FinalistsConfig, RetrainConfig
from tuning.config.script import ScriptConfig
from tuning.config.search import SchedulerConfig, SearchConfig
from tuning.config.section import Positive, Section
from tuning.config.stop import StopConfig
from tuning.config.trackers import TrackersConfig
from tuning.config.training import TrainingConfig
from tuning.errors import StudyConfigError

_PathText = Annotated[str, Field(min_length=1)]


_SOUP_PRESETS = {"checkpoint_strategies", "full"}
_SOUP_INGREDIENTS = 3  # checkpoints kept for a soup unless said otherwise


class ModelConfig(Section):
    """The network: a function or class by dotted path, called with channels, classes and spatial dimensions."""

    build: str = Field(
        "components.training.network:small_unet",
        description="called with `in_channels`, `out_channels`, `spatial_dims` and the arguments",
    )
    arguments: dict[str, Any] = Field(default_factory=dict, description="further keyword arguments")
    weights: _PathText | None = Field(
        None, description="pretrained weights: safetensors, or a state dict of torch.save; relative to the study file"
    )
    divisor: Positive = Field(
        16, description="images are padded by mirroring to a multiple of it; what the network predicts there is cut off"
    )


class LossPolicyConfig(Section):
    """What empty masks, absent classes and soft labels mean to all terms; `data.ignore` names ignored pixels."""

    empty: Empty = Field(
        "smooth", description="a sample and class without foreground: smoothing decides, or region losses leave it out"
    )
    absent: Absent = Field(
        "count", description="a class that no pixel of a batch has: as any other, or region losses leave it out"
    )
    soft_labels: SoftLabels = Field("keep", description="targets between 0 and 1: as they are, or cut at ½")


class LossConfig(Section):
    """The combined loss of a trial and how its weights move."""

    preset: str | None = Field(
        None,
        description="terms and weights for a common use, in place of `terms`: `balanced`, `imbalanced`, "
        "`thin_structures`, …; all are in how_to/choose_a_loss.md",
    )
    terms: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="options of each term; a term that has a weight needs no entry"
    )
    weights: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default_factory=dict,
        description="weight of each term; by default those of `preset`, or dice and bce (ce for classes), half each",
    )
    schedule: dict[str, Any] = Field(
        default_factory=lambda: {"type": "constant"},
        description="`type` (`constant`, `linear`, `cosine`, `step`, `steal`, `adaptive`, `dwa`, `softadapt`, "
        "`relobralo`, `uwso`, `gradient_norm`, `uncertainty` or `random`) and its options, see schedules.md",
    )
    policy: LossPolicyConfig | None = Field(None, description="what empty masks, absent classes and soft labels mean")

    compile: bool = Field(
        default=False,
        description="compute the loss in code compiled for it; costs seconds at the first trial's start, and needs a "
        "C++ compiler (without one the loss runs as if this were false)",
    )

    @field_validator("weights")
    @classmethod
    def _check_weights(cls, weights: dict[str, float], info: ValidationInfo) -> dict[str, float]:
        # Beside a preset, terms that are not named keep their weights.
        if weights and not any(weights.values()) and info.data.get("preset") is None:
            raise ValueError(f"every weight is zero in {weights}. Hint: at least one must be above 0")
        return weights

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.preset is not None and self.terms:
            raise ValueError("preset and terms contradict each other. Hint: keep one; weights may stand beside preset")
        return self


class CheckpointConfig(Section):
    """When a trial saves and how much of it is kept."""

    strategy: Literal["best", "epoch", "interval", "all", "adaptive"] = Field(
        "best", description="on a gain, each epoch, each `interval` epochs, everything, or by cost and gain"
    )
    interval: Positive = Field(5, description="epochs between checkpoints of the strategy `interval`")
    max_checkpoints: Positive | None = Field(
        None,
        description="best checkpoints kept a trial, beside the latest; default 1, where soups may be made 3, and no "
        "limit for `all`",
    )
    averaging: Literal["none", "ema", "swa", "soup"] = Field(
        "none",
        description="which weights are validated and kept: the network's own, their moving average over steps (ema) or "
        "mean over the last epochs (swa), or at the end the mean of those best checkpoints that gain by it (soup)",
    )
    ema_decay: float = Field(
        0.99, ge=0, lt=1, description="what the moving average keeps a step; 0.999 where an epoch has hundreds of steps"
    )
    swa_start: float = Field(0.75, ge=0, lt=1, description="share of the epochs after which `swa` begins")
    compare_averages: bool = Field(
        False,  # noqa: FBT003
        description="also validate the network's own weights, ema and swa each epoch, and a soup at the end",
    )

    max_gib: float | None = Field(
        None,
        gt=0,
        description="all checkpoints of the study together, in GiB; the worst ended trials give theirs up first",
    )


class MetricsConfig(Section):
    """What is measured besides Dice, IoU, precision and recall; the objective is Dice whatever stands here."""

    surface: bool = Field(
        True,  # noqa: FBT003
        description="surface Dice and HD95 of the best masks, once when a trial reaches its end",
    )
    tolerance: float = Field(
        1.0,
        ge=0,
        description="of the surface Dice: how far a border may be off, in pixels, or in mm where the files say how "
        "large a voxel is; take what two annotators differ by",
    )


class ResourcesConfig(Section):
    """What a trial may use, and how many run at a time."""

    cpus_per_trial: Positive = Field(1, description="its threads are set to them")
    gpus_per_trial: float = Field(0, ge=0, description="a share below 1 lets trials share a GPU")
    concurrent: Positive | None = Field(None, description="trials at a time; default as many as the machine holds")
    retries: Annotated[int, Field(ge=0)] = Field(2, description="new starts of a trial whose worker died")


class StorageConfig(Section):
    """Where the journal of the study lives."""

    url: Annotated[str, Field(pattern=r"^[a-z0-9+]+://")] | None = Field(
        None,
        description="database of Optuna, such as `sqlite:////shared/studies.db` or `postgresql://…`, in place of the "
        "file journal.log in the study directory; a password comes from the environment: "
        "`postgresql://me:${DB_PASSWORD}@host/studies`",
    )

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str | None) -> str | None:
        return url if url is None else refuse_password(url)


class StudyConfig(Section):
    """A whole study file.

    Example:
        >>> settings = {"name": "brain", "data": {"build": "components.data.mni152:mni152_slices"}}
        >>> StudyConfig.load(settings).training.epochs
        20
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="names the study and its folder")
    data: DataConfig
    script: ScriptConfig | None = Field(
        None, description="a training script of one's own, in place of data and network"
    )
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    loss: LossConfig = LossConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    metrics: MetricsConfig = MetricsConfig()
    search: SearchConfig = SearchConfig()
    scheduler: SchedulerConfig = SchedulerConfig()
    stop: StopConfig = StopConfig()
    resources: ResourcesConfig = ResourcesConfig()
    storage: StorageConfig = StorageConfig()
    trackers: TrackersConfig = TrackersConfig()
    finalists: FinalistsConfig | None = Field(None, description="trained again by `run` once the search has ended")
    retrain: RetrainConfig | None = Field(None, description="in place of a search; `segtune finalists` writes it")

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, settings: Any) -> Any:
        """A script has its own data, a recipe its own defaults."""
        if not isinstance(settings, dict):
            return settings
        return lay_under({"data": {}, **settings} if settings.get("script") is not None else settings)

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        problems, divisor = self._find_foreign(), self.model.divisor
        for name in ("crop", "window"):
            size = getattr(self.training, name)
            if any(part % divisor for part in (size if isinstance(size, list) else [size]) if isinstance(part, int)):
                problems.append(
                    f"training.{name}: {size} is no multiple of model.divisor, which is {divisor}. "
                    "Hint: change one of them."
                )
        if self.training.foreground and self.training.crop is None:
            problems.append("training.foreground: is of crops, and training.crop is not set. Hint: set it.")
        if self.scheduler.type == "pbt":
            problems += self._find_unfit_for_populations()
        elif self.scheduler.type == "race" and self.script is not None:
            problems.append(
                "scheduler.type: race pauses trials, and a script saves its checkpoints when it likes. Hint: asha."
            )
        elif self.scheduler.type != "none" and self.scheduler.grace > self.training.epochs:
            problems.append(
                f"scheduler.grace: {self.scheduler.grace} is beyond training.epochs, which is {self.training.epochs}. "
                "Hint: lower grace, or set scheduler.type: none."
            )
        if self.scheduler.score != "last" and self.data.folds and self.scheduler.type != "pbt":
            problems.append(
                f"scheduler.score: found {self.scheduler.score!r}, but with data.folds the Dice is a mean over the "
                "best of the folds already. Hint: remove it."
            )
        if self.checkpoint.max_checkpoints == 1 and self.may_make_soups:
            problems.append(
                "checkpoint.max_checkpoints: found 1, but a soup of one checkpoint is that one. Hint: keep 2 or more."
            )
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _find_unfit_for_populations(self) -> list[str]:
        """What a population cannot have: each epoch's Dice and weights must be what the trial goes on with."""
        scheduler, trials = self.scheduler, self.search.trials
        problems = []
        if trials % scheduler.population:
            problems.append(
                f"search.trials: {trials} is no multiple of scheduler.population, which is {scheduler.population}. "
                "Hint: change one of them."
            )
        if scheduler.interval >= self.training.epochs:
            problems.append(
                f"scheduler.interval: {scheduler.interval} is not below training.epochs, which is "
                f"{self.training.epochs}. Hint: lower it, so that a population compares itself at least once."
            )
        found = {
            "script": self.script is not None,
            "data.folds": bool(self.data.folds),
            "training.max_minutes": self.training.max_minutes is not None,
            "search.budget": self.search.budget is not None,
            "search.sampler: grid": self.search.sampler == "grid",
            f"scheduler.score: {scheduler.score}": scheduler.score != "last",
        }
        hint = "Hint: remove it, or take another scheduler.type."
        return problems + [f"{name}: does not go with pbt. {hint}" for name, there in found.items() if there]

    def _find_foreign(self) -> list[str]:
        """Settings that contradict what is trained: the study's network on its data, or a script."""
        if self.script is None:
            named = "set root (a folder with images/ and masks/), or build (a function), or script"
            return [] if self.data.is_named else [f"data: names no data. Hint: {named}."]
        found = [name for name in ("data", "model", "loss", "metrics") if getattr(self, name) != _default(name)]
        for section, names in (("training", {"epochs"}), ("checkpoint", _OF_SCRIPTS)):
            usual = _default(section)
            found += [
                f"{section}.{name}"
                for name, value in getattr(self, section)
                if name not in names and value != getattr(usual, name)
            ]
        return [
            f"{path}: belongs to studies without a script, which does this itself. Hint: drop it." for path in found
        ]

    @property
    def may_make_soups(self) -> bool:
        """Whether a trial may average its best checkpoints at the end."""
        presets, parameters = (self.search.space.get(name) for name in ("presets", "parameters"))
        searched = (isinstance(presets, list) and bool(_SOUP_PRESETS & set(map(str, presets)))) or (
            isinstance(parameters, dict) and "checkpoint.averaging" in parameters
        )
        return searched or self.checkpoint.averaging == "soup" or self.checkpoint.compare_averages

    @property
    def keep(self) -> int | None:
        """How many best checkpoints each trial keeps; None keeps all."""
        checkpoint = self.checkpoint
        if checkpoint.max_checkpoints is not None:
            return checkpoint.max_checkpoints
        if checkpoint.strategy == "all":
            return None
        return _SOUP_INGREDIENTS if self.may_make_soups else 1

    @property
    def budget(self) -> int:
        """Epochs of a whole trial, over all its folds."""
        return self.training.epochs * (self.data.folds or 1)

    @classmethod
    def load(cls, settings: dict[str, Any]) -> "StudyConfig":
        """Validate a mapping as read from a file.

        Args:
            settings: nested mapping.

        Raises:
            StudyConfigError: lists every problem, one a line, each beginning with the setting's dotted path.
        """
        try:
            return cls.model_validate(settings)
        except ValidationError as error:
            raise StudyConfigError(describe_problems(error, settings, cls)) from None

    def with_overrides(self, overrides: dict[str, Any]) -> "StudyConfig":
        """The study as one trial sees it: sampled values laid over the settings by dotted path.

        Raises:
            StudyConfigError: a path is not a setting of a trial, or a value does not fit it.
        """
        settings = self.model_dump()
        for path, value in overrides.items():
            set_by_path(settings, path, value)
        return type(self).load(settings)


_OF_SCRIPTS = {"strategy", "interval", "max_checkpoints", "max_gib"}  # what a study decides of a script's checkpoints


def _default(section: str) -> Any:
    return DataConfig() if section == "data" else StudyConfig.model_fields[section].default
