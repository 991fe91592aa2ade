"""What a study file may say: one pydantic model a section."""

import itertools
import math
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    Strict,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from tuning.config.paths import set_by_path
from tuning.config.problems import describe_problems
from tuning.config.section import Positive, Section
from tuning.config.training import TrainingConfig
from tuning.errors import StudyConfigError

_PathText = Annotated[str, Field(min_length=1)]


_SOUP_INGREDIENTS = 3  # checkpoints kept for a soup unless said otherwise


class GroupConfig(Section):
    """Which cases belong together (a patient, a specimen, a field); a group stays in one split."""

    pattern: str | None = Field(None, description="regular expression on the stem; its first group names the group")
    csv: _PathText | None = Field(None, description="table with a row a case, relative to `data.root`")
    column: str | None = Field(None, description="column of that table that holds the group")
    stem: str = Field("stem", description="column of that table that holds the stem")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.pattern is None) == (self.csv is None):
            raise ValueError(
                "needs either pattern or csv. Hint: {pattern: '(.+)_\\d+'} or {csv: t.csv, column: patient}"
            )
        if (self.csv is None) != (self.column is None):
            raise ValueError("csv and column go together. Hint: {csv: table.csv, column: patient}")
        return self


class DataConfig(Section):
    """Where images and masks come from: a folder (`root`), or a function of your own (`build`)."""

    root: _PathText | None = Field(
        None, description="folder that holds images and masks of the same stem; relative to the study file"
    )
    images: _PathText = Field("images", description="folder of the images, relative to `root`")
    masks: _PathText = Field("masks", description="folder of the masks, relative to `root`")
    classes: list[str] | dict[str, int] | None = Field(
        None,
        description="names in the order of the mask's values (`[background, vein, artery]`, or `[nucleus]` for a "
        "binary one), or each name's value (`{background: 0, vein: 128, artery: 255}`); by default read from the masks",
    )
    ignore: Annotated[int, Field(ge=0, le=65535)] | None = Field(
        None, description="mask value of pixels without a label: no gradient, not counted, such as 255"
    )
    normalize: Literal["zscore", "zscore_nonzero", "minmax", "percentile", "none"] = Field(
        "zscore",
        description="of each image and channel: mean 0 and deviation 1, over all pixels or those that are not 0 (which "
        "stay 0); range to 0-1; the 1st to 99th percentile to "
        "0-1, clipped; or `none`, where integers are divided by their type's largest value",
    )
    split: _PathText | None = Field(
        None, description="JSON file with the stems of train, val and test, relative to `root`; default split.json"
    )
    ratio: Annotated[tuple[float, float, float], Strict(strict=False)] | None = Field(
        None, description="shares of train, val and test where there is no split file; default [0.7, 0.15, 0.15]"
    )
    split_seed: Annotated[int, Field(ge=0)] = Field(0, description="of the split by ratio, and of the folds")
    group: GroupConfig | None = Field(None, description="cases that belong together; by default each stands alone")
    folds: Annotated[int, Field(ge=2)] | None = Field(
        None, description="cross-validation: train and val are pooled and dealt to so many folds"
    )
    build: str | None = Field(
        None, description="in place of a folder: dotted path `package.module:function` that returns SegmentationData"
    )
    arguments: dict[str, Any] = Field(default_factory=dict, description="keyword arguments of that function")

    @field_validator("ratio")
    @classmethod
    def _check_ratio(cls, ratio: tuple[float, float, float] | None) -> tuple[float, float, float] | None:
        if ratio is not None and (min(ratio) < 0 or min(ratio[:2]) == 0):
            raise ValueError(f"found {list(ratio)}. Hint: train and val must be above 0, test at least 0")
        return ratio

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.root is None and self.build is None:
            raise ValueError("names no data. Hint: set root (a folder with images/ and masks/), or build (a function)")
        if self.build is not None:
            given = [
                name
                for name, field in type(self).model_fields.items()
                if name not in ("build", "arguments") and getattr(self, name) != field.default
            ]
            if given:
                raise ValueError(f"{', '.join(given)} belong to a folder, but build is set too. Hint: keep one")
        elif self.arguments:
            raise ValueError("arguments are those of build, which is not set. Hint: remove them, or set build")
        if self.split is not None and self.ratio is not None:
            raise ValueError("split and ratio contradict each other. Hint: keep one")
        return self


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

    empty: Literal["smooth", "skip"] = Field(
        "smooth", description="a sample and class without foreground: smoothing decides, or region losses leave it out"
    )
    absent: Literal["count", "skip"] = Field(
        "count", description="a class that no pixel of a batch has: as any other, or region losses leave it out"
    )
    soft_labels: Literal["keep", "threshold"] = Field(
        "keep", description="targets between 0 and 1: as they are, or cut at ½"
    )


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


class SearchConfig(Section):
    """How many settings are tried, where they are drawn from and by whom."""

    trials: Positive = Field(20, description="settings tried, baselines not counted")
    sampler: Literal["tpe", "random"] = Field("tpe", description="who draws the settings")
    startup_trials: Positive = Field(8, description="settings drawn at random before tpe takes over")
    seed: Annotated[int, Field(ge=0)] = Field(0, description="of the sampler")
    baselines: bool = Field(True, description="run the field's usual losses first, at full budget, never pruned")  # noqa: FBT003
    space: dict[str, Any] = Field(
        default_factory=lambda: {"presets": ["loss_weights"]}, description="`presets` and `parameters`"
    )


class SchedulerConfig(Section):
    """Early stopping of weak trials."""

    type: Literal["asha", "none"] = Field("asha", description="`none` trains every trial to the end")
    grace: Positive = Field(3, description="epochs that every trial gets")
    reduction: float = Field(3, gt=1, description="the best 1/reduction of a rung go on")

    def rungs(self, epochs: int) -> list[int]:
        """Epochs at which weak trials may be stopped."""
        if self.type == "none":
            return []
        levels = itertools.takewhile(
            lambda epoch: epoch <= epochs, (self.grace * self.reduction**level for level in itertools.count())
        )
        return [math.ceil(level) for level in levels]


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
        "file journal.log in the study directory",
    )


class StudyConfig(Section):
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
    storage: StorageConfig = StorageConfig()

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        problems, divisor = [], self.model.divisor
        for name in ("crop", "window"):
            size = getattr(self.training, name)
            if any(part % divisor for part in (size if isinstance(size, list) else [size]) if isinstance(part, int)):
                problems.append(
                    f"training.{name}: {size} is no multiple of model.divisor, which is {divisor}. "
                    "Hint: change one of them."
                )
        if self.training.foreground and self.training.crop is None:
            problems.append("training.foreground: is of crops, and training.crop is not set. Hint: set it.")
        if self.scheduler.type == "asha" and self.scheduler.grace > self.training.epochs:
            problems.append(
                f"scheduler.grace: {self.scheduler.grace} is beyond training.epochs, which is {self.training.epochs}. "
                "Hint: lower grace, or set scheduler.type: none."
            )
        if self.checkpoint.max_checkpoints == 1 and self.may_make_soups:
            problems.append(
                "checkpoint.max_checkpoints: found 1, but a soup of one checkpoint is that one. Hint: keep 2 or more."
            )
        if problems:
            raise ValueError("\n".join(problems))
        return self

    @property
    def may_make_soups(self) -> bool:
        """Whether a trial may average its best checkpoints at the end."""
        presets, parameters = (self.search.space.get(name) for name in ("presets", "parameters"))
        searched = (isinstance(presets, list) and "checkpoint_strategies" in presets) or (
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
