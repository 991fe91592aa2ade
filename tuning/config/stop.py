"""The section `stop` of a study file."""

from typing import Annotated

from pydantic import Field

from tuning.config.section import Positive, Section


class StopConfig(Section):
    """When the whole study ends before `search.trials` are drawn; every rule may change between attempts."""

    epochs: Positive | None = Field(None, description="trained in all trials together, baselines included")
    minutes: Annotated[float, Field(gt=0)] | None = Field(None, description="of wall-clock time, all attempts together")
    plateau: Positive | None = Field(
        None,
        description="drawn trials, in the order of their numbers, without a gain of the best Dice; failed ones are not "
        "counted",
    )
    min_gain: float = Field(0, ge=0, description="of Dice above which a trial ends a plateau")
    dice: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="validation Dice that is enough, of any trial; with folds, over all of them"
    )
    cpu_hours: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description="cost: the seconds of all recorded epochs times `resources.cpus_per_trial`; what a kill made lost "
        "is not counted",
    )
    same_failures: Annotated[int, Field(ge=0)] = Field(
        3, description="trials, the first of the study, that all fail for the same reason; 0: never"
    )
