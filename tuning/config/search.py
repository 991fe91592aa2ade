"""The sections `search` and `scheduler`: what is tried, who draws it, and when it is stopped."""

import itertools
import math
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from search_spaces.constraints import Constraint
from search_spaces.errors import SpaceError
from tuning.config.section import Positive, Section
from tuning.duration import seconds_of
from tuning.objective import OBJECTIVE

TAUGHT = ("tpe", "gp")  # samplers that learn from the trials of other studies
_LEFT_OUT = {
    "cmaes": "CMA-ES is left out: it unpickles its state from the journal, which may come from elsewhere. "
    "Hint: tpe, or gp for a few numbers.",
    "pb2": "PB2 is left out: it needs GPy, which is not kept up. Hint: take pbt.",
}


Direction = Literal["maximize", "minimize"]


def _dice_alone() -> dict[str, Direction]:
    return {OBJECTIVE: "maximize"}


class SearchConfig(Section):
    """How many settings are tried, where they are drawn from and by whom."""

    trials: Annotated[int, Field(ge=0)] = Field(
        20, description="settings tried, baselines not counted; a grid ends by itself"
    )
    budget: Annotated[str, Field(min_length=1)] | None = Field(
        None,
        description="time that the study spends, such as `30m`, `2h`, `overnight` or `until 6:30`; a measured "
        "epoch then decides `training.epochs`, `search.trials`, the rungs and `stop.minutes`",
    )
    sampler: Literal["tpe", "gp", "qmc", "random", "grid", "nsga2"] = Field(
        "tpe", description="who draws the settings, see how_to/choose_a_sampler.md"
    )
    startup_trials: Positive = Field(
        8, description="settings drawn at random before tpe or gp takes over; the size of a generation of nsga2"
    )
    history: Annotated[int, Field(ge=50)] = Field(
        1000, description="most trials that tpe and gp look at: the 25 best and the latest"
    )
    seed: Annotated[int, Field(ge=0)] = Field(0, description="of the sampler")
    baselines: bool | list[str] = Field(
        True,  # noqa: FBT003
        description="run the field's usual losses first, at full budget, never pruned; or some by name: `bce` (`ce` "
        "for classes), `dice`, `dice_bce`, `dice_focal`, and `nnunet`, which has nnU-Net's optimiser too",
    )
    space: dict[str, Any] = Field(
        default_factory=lambda: {"presets": ["loss_weights"]}, description="`presets` and `parameters`"
    )
    constraints: list[str] = Field(
        default_factory=list,
        description="what a trial must keep to, such as `worst class Dice >= 0.6` or `seconds <= 600`; one that does "
        "not is infeasible: the sampler avoids its like, and it is never the best",
    )
    objectives: dict[str, Direction] = Field(
        default_factory=_dice_alone,
        description="metrics that tpe or nsga2 search for together; `val_dice` comes first, and the scheduler follows "
        "it",
    )
    try_first: list[dict[str, Any]] = Field(
        default_factory=list,
        description="settings by dotted path that the first trials have; what they leave out is drawn",
    )
    warm_start: list[Annotated[str, Field(min_length=1)]] = Field(
        default_factory=list,
        description="directories of other studies, relative to the study file; tpe and gp learn from those of their "
        "trials that lie in this space",
    )

    @field_validator("budget")
    @classmethod
    def _check_budget(cls, budget: str | None) -> str | None:
        if budget is not None:
            seconds_of(budget)
        return budget

    @field_validator("sampler", mode="before")
    @classmethod
    def _explain_sampler(cls, sampler: Any) -> Any:
        if isinstance(sampler, str) and sampler.replace("-", "").replace("_", "").lower() == "cmaes":
            raise ValueError(_LEFT_OUT["cmaes"])
        return sampler

    @field_validator("constraints")
    @classmethod
    def _check_constraints(cls, constraints: list[str]) -> list[str]:
        try:
            metrics = [Constraint.parse(text).metric for text in constraints]
        except SpaceError as error:
            raise ValueError(str(error)) from None
        if len(set(metrics)) < len(metrics):
            raise ValueError("names a metric twice. Hint: one bound a metric")
        return constraints

    @model_validator(mode="after")
    def _check(self) -> "SearchConfig":
        names = list(self.objectives)
        if names[:1] != [OBJECTIVE] or self.objectives[OBJECTIVE] != "maximize":
            raise ValueError(f"objectives must begin with {OBJECTIVE}: maximize. Hint: add the others below it")
        if len(names) > 1 and self.sampler not in ("tpe", "nsga2", "random", "qmc", "grid"):
            raise ValueError(f"{self.sampler} searches for one objective. Hint: take sampler tpe or nsga2")
        if self.sampler == "nsga2" and len(names) == 1:
            raise ValueError("nsga2 is for several objectives. Hint: name two in objectives, or take sampler tpe")
        if self.warm_start and self.sampler not in TAUGHT:
            raise ValueError(f"{self.sampler} does not learn from a warm_start. Hint: take sampler tpe or gp")
        if self.warm_start and len(names) > 1:
            raise ValueError("warm_start knows one objective, val_dice. Hint: remove one of the two settings")
        return self


class SchedulerConfig(Section):
    """Early stopping of weak trials, see how_to/choose_a_scheduler.md."""

    type: Literal["race", "asha", "hyperband", "median", "pbt", "none"] = Field(
        "asha",
        description="`race` pauses trials at rungs and promotes the best, `pbt` stops no trial, but weak ones copy the "
        "checkpoint of strong ones, `none` trains all to the end",
    )
    grace: Positive = Field(3, description="epochs that every trial gets")
    reduction: float = Field(3, gt=1, description="the best 1/reduction of a rung go on (race, asha, hyperband)")
    survivors: Positive = Field(1, description="drawn trials that are trained to the end, beside the baselines (race)")
    score: Literal["last", "best", "smoothed"] = Field(
        "last",
        description="what trials are compared by: the epoch's Dice, the best so far, or the mean of the last three",
    )
    population: Annotated[int, Field(ge=2)] = Field(
        10, description="trials that go on from each other (pbt); divides search.trials"
    )
    interval: Positive = Field(4, description="epochs after which a population compares itself (pbt)")
    quantile: float = Field(
        0.25, gt=0, le=0.5, description="share of the population that goes on from the best such share (pbt)"
    )
    resample: float = Field(
        0.25, ge=0, le=1, description="probability to draw a setting anew, rather than to multiply by 0.8 or 1.2 (pbt)"
    )
    mutable: list[str] = Field(
        default_factory=list,
        description="settings that change when a trial goes on from another: `training.lr`, `loss.weights` (pbt); "
        "default: those of the two that the space searches",
    )

    @field_validator("type", mode="before")
    @classmethod
    def _explain_type(cls, kind: Any) -> Any:
        if isinstance(kind, str) and kind.lower() == "pb2":
            raise ValueError(_LEFT_OUT["pb2"])
        return kind

    @property
    def pauses(self) -> bool:
        """Whether trials wait for each other at the rungs, with a checkpoint of that epoch."""
        return self.type in ("race", "pbt")

    def promoted(self, count: int, *, is_last: bool) -> int:
        """How many of so many drawn trials go on from a rung (race)."""
        return self.survivors if is_last else max(self.survivors, math.ceil(count / self.reduction))

    def rungs(self, epochs: int) -> list[int]:
        """Epochs at which trials are compared; none for rules that look at every epoch."""
        if self.type == "pbt":
            return list(range(self.interval, epochs, self.interval))
        if self.type not in ("race", "asha", "hyperband"):
            return []
        levels = itertools.takewhile(
            lambda epoch: epoch <= epochs, (self.grace * self.reduction**level for level in itertools.count())
        )
        found = [math.ceil(level) for level in levels]
        return [rung for rung in found if rung < epochs] if self.type == "race" else found

    def describe(self) -> str:
        """Say in a few words who is stopped."""
        best = f"best 1/{self.reduction:g} go on"
        by = "" if self.score == "last" else f", by the {self.score} Dice"
        return {
            "race": f"a race: trials pause from epoch {self.grace} on, {best}{by}, {self.survivors} to the end",
            "asha": f"ASHA, from epoch {self.grace}, {best}{by}",
            "hyperband": f"HyperBand, from epoch {self.grace}, {best}{by}",
            "median": f"below the median, from epoch {self.grace}{by}",
            "pbt": f"nobody; populations of {self.population}, each {self.interval} epochs the weakest "
            f"{self.quantile:.0%} go on from the best",
            "none": "none",
        }[self.type]
