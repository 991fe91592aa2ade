"""The sections `finalists` and `retrain` of a study file."""

from typing import Annotated, Any

from pydantic import Field

from tuning.config.section import Positive, Section

Seed = Annotated[int, Field(ge=0)]


class FinalistsConfig(Section):
    """What is trained again once the search has ended, see how_to/finalists.md."""

    top: Positive = Field(3, description="best settings of the search; the best baseline comes along")
    seeds: Annotated[int, Field(ge=2)] = Field(5, description="new seeds that each is trained with; two carry no claim")
    tta: bool = Field(
        False,  # noqa: FBT003
        description="score the test split over mirrored images, along the axes that the training mirrored",
    )


class RetrainConfig(Section):
    """Trainings that are given and not drawn: each setting with each seed. `segtune finalists` writes it."""

    settings: Annotated[dict[str, dict[str, Any]], Field(min_length=1)] = Field(
        description="overrides by dotted path, by the setting's name"
    )
    seeds: Annotated[list[Seed], Field(min_length=1)] = Field(description="`training.seed` of each training")
    baseline: str = Field(description="name of the setting that the others must beat")
    searched: dict[str, float] = Field(default_factory=dict, description="Dice of each setting in its search")
