"""The section `training` of a study file."""

from typing import Any

from pydantic import Field, ValidationInfo, field_validator

from components.setting_types import Above0, Below1, From0, Natural, Positive, Share, Strength
from components.training_settings import (
    Compiled,
    OptimizerName,
    PrecisionName,
    ScheduleName,
    Seed,
    Size,
    TrainingSettings,
    Window,
)
from tuning.config.recipes import RecipeName
from tuning.config.section import Section

_USUAL = TrainingSettings()  # kinds, limits and defaults are those of a training without a study


class TrainingConfig(Section):
    """How one trial trains."""

    recipe: RecipeName | None = Field(
        None,
        description="a named set of defaults for network and training, each of which can be changed: `small`, "
        "`standard`, `strong` or `nnunet_like` (see how_to/train_well.md)",
    )
    epochs: Positive = Field(_USUAL.epochs, description="full budget of a trial, in epochs")
    steps: Positive | None = Field(
        _USUAL.steps,
        description="steps of the optimiser in an epoch, whatever the number of cases (nnU-Net: 250); none: one pass "
        "over the training cases",
    )
    batch: Positive = Field(_USUAL.batch, description="cases a training step")
    optimizer: OptimizerName = Field(
        _USUAL.optimizer,
        description="`adamw`, `sgd` (with Nesterov momentum), or any other by its import path, such as "
        "`torch.optim:RAdam`",
    )
    optimizer_arguments: dict[str, Any] = Field(
        default_factory=dict, description="further keyword arguments of the optimiser, such as `betas`"
    )
    lr: Above0 = Field(_USUAL.lr, description="learning rate at the start")
    weight_decay: From0 = Field(_USUAL.weight_decay, description="of the optimiser")
    momentum: Below1 = Field(_USUAL.momentum, description="of sgd")
    lr_schedule: ScheduleName = Field(
        _USUAL.lr_schedule,
        description="over the full budget: `constant`, `cosine`, `poly`, `trapezoid` (constant, then a cooldown over "
        "the last fifth), or one of PyTorch's by its import path, such as `torch.optim.lr_scheduler:StepLR`, stepped "
        "once per epoch",
    )
    lr_schedule_arguments: dict[str, Any] = Field(
        default_factory=dict, description="keyword arguments of a schedule that is named by its import path"
    )
    warmup: Natural = Field(_USUAL.warmup, description="first epochs, in which the learning rate rises to `lr`")
    clip_norm: Above0 | None = Field(
        _USUAL.clip_norm, description="largest L2 norm of the gradient over all weights; none: not clipped"
    )
    accumulate: Positive = Field(
        _USUAL.accumulate, description="batches whose gradients make a step, each weighed by its cases"
    )
    max_bad_steps: Natural = Field(
        _USUAL.max_bad_steps,
        description="steps an epoch whose loss or gradient is not finite, left out; one more fails the trial",
    )
    patience: Positive | None = Field(
        _USUAL.patience,
        description="epochs without a better Dice after which a trial (a fold) is complete; none: the full budget",
    )
    max_minutes: Above0 | None = Field(
        _USUAL.max_minutes,
        description="of training after which a trial (a fold) is complete, all its attempts together",
    )
    crop: Size | None = Field(
        _USUAL.crop,
        description="size of the random crop that each case gives an epoch, one number or one an axis; none: whole",
    )
    foreground: Share = Field(
        _USUAL.foreground,
        description="share of the crops that are sure to hold foreground, each class alike; the others lie anywhere; "
        "0.33 suits volumes and images that are mostly background",
    )
    window: Window = Field(
        _USUAL.window,
        description="validation by a sliding window of this size, one number or one an axis; `whole` images at once; "
        "`auto` takes `crop` for volumes of more than eight crops, and otherwise whole images",
    )
    overlap: Below1 = Field(_USUAL.overlap, description="of neighbouring windows, as a share of their size")
    augment: str = Field(
        _USUAL.augment,
        description="`none`; `flip`: mirror along each axis with probability ½; `standard`: also right-angle turns, "
        "contrast, brightness and noise; `strong`: also rotation, scaling, elastic deformation, blur, low resolution "
        "and gamma (see how_to/train_well.md); or a function of yours, `package.module:name`, that returns a callable "
        "of (images, masks, generator) or a dictionary transform of MONAI's",
    )
    augment_strength: Strength = Field(
        _USUAL.augment_strength,
        description="how far `standard` and `strong` change images: 0 only mirrors and turns, 2 changes twice as much; "
        "may be searched",
    )
    mirror: list[Natural] | None = Field(
        _USUAL.mirror,
        description="spatial axes, from 0, along which images may be mirrored by `flip`, `standard` and `strong`, and "
        "in test-time augmentation; `[]`: none; by default all. Right-angle turns need the last two",
    )
    precision: PrecisionName = Field(
        _USUAL.precision,
        description="of the forward pass, in validation too. `auto`: bf16 where this machine computes it natively, "
        "else fp32 (on older GPUs fp16); the study records what it became, for all its trials",
    )
    step: str | None = Field(
        _USUAL.step,
        description="a function of yours, `package.module:name`, that returns what computes a batch's loss in place of "
        "the loop (see how_to/your_own_code.md)",
    )
    compile: Compiled = Field(
        _USUAL.compile,
        description="run the network in code compiled for it; costs up to a minute at each trial's start, and needs a "
        "C++ compiler; or the name of a backend of `torch.compile` other than its default",
    )
    seed: Seed = Field(
        _USUAL.seed, description="shared by all trials, so that settings are compared and not luck; or `per_trial`"
    )

    @field_validator("warmup")
    @classmethod
    def _leaves_epochs(cls, warmup: int, info: ValidationInfo) -> int:
        epochs = info.data.get("epochs")
        if epochs is not None and warmup >= epochs:
            raise ValueError(f"found {warmup} of {epochs} epochs. Hint: leave some for the schedule after it.")
        return warmup
