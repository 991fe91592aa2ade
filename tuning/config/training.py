"""The section `training` of a study file."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from tuning.config.section import Positive, Section


class TrainingConfig(Section):
    """How one trial trains."""

    epochs: Positive = Field(20, description="full budget of a trial, in epochs")
    batch: Positive = Field(8, description="cases a training step")
    optimizer: Literal["adamw", "sgd"] = Field("adamw", description="sgd with Nesterov momentum")
    lr: float = Field(1e-3, gt=0, description="learning rate at the start")
    weight_decay: float = Field(1e-5, ge=0, description="of the optimiser")
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd")
    lr_schedule: Literal["constant", "cosine", "poly"] = Field("poly", description="over the full budget")
    warmup: Annotated[int, Field(ge=0)] = Field(0, description="first epochs, in which the learning rate rises to `lr`")
    clip_norm: Annotated[float, Field(gt=0)] | None = Field(
        None, description="largest L2 norm of the gradient over all weights; none: not clipped"
    )
    accumulate: Positive = Field(1, description="batches whose gradients make a step, each weighed by its cases")
    max_bad_steps: Annotated[int, Field(ge=0)] = Field(
        3,
        description="steps an epoch whose loss or gradient is not finite, left out; one more fails the trial",
    )
    patience: Positive | None = Field(
        None, description="epochs without a better Dice after which a trial (a fold) is complete; none: the full budget"
    )
    max_minutes: Annotated[float, Field(gt=0)] | None = Field(
        None, description="of training after which a trial (a fold) is complete, all its attempts together"
    )
    crop: Positive | list[Positive] | None = Field(
        None,
        description="size of the random crop that each case gives an epoch, one number or one an axis; none: whole",
    )
    foreground: float = Field(
        0,
        ge=0,
        le=1,
        description="share of the crops that are sure to hold foreground, each class alike; the others lie anywhere; "
        "0.33 suits volumes and images that are mostly background",
    )
    window: Literal["auto", "whole"] | Positive | list[Positive] = Field(
        "auto",
        description="validation by a sliding window of this size, one number or one an axis; `whole` images at once; "
        "`auto` takes `crop` for volumes of more than eight crops, and otherwise whole images",
    )
    overlap: float = Field(0.25, ge=0, lt=1, description="of neighbouring windows, as a share of their size")
    augment: str = Field(
        "flip",
        description="`none`; `flip`: mirror along each axis with probability ½; `standard`: also right-angle turns, "
        "contrast, brightness and noise; or a function of yours, `package.module:name`, that returns a callable of "
        "(images, masks, generator) or a dictionary transform of MONAI's",
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto",
        description="of the forward pass, in validation too. `auto`: bf16 where this machine computes it natively, "
        "else fp32 (on older GPUs fp16); the study records what it became, for all its trials",
    )
    step: str | None = Field(
        None,
        description="a function of yours, `package.module:name`, that returns what computes a batch's loss in place of "
        "the loop (see how_to/your_own_code.md)",
    )
    compile: bool = Field(
        default=False,
        description="run the network in code compiled for it; costs up to a minute at each trial's start, and needs a "
        "C++ compiler",
    )
    seed: Annotated[int, Field(ge=0)] | Literal["per_trial"] = Field(
        0, description="shared by all trials, so that settings are compared and not luck; or `per_trial`"
    )

    @field_validator("warmup")
    @classmethod
    def _leaves_epochs(cls, warmup: int, info: ValidationInfo) -> int:
        epochs = info.data.get("epochs")
        if epochs is not None and warmup >= epochs:
            raise ValueError(f"found {warmup} of {epochs} epochs. Hint: leave some for the schedule after it.")
        return warmup
