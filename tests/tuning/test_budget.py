"""A budget of time: how it is read, what it decides, and that a study keeps to what was decided."""

import math
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import small_settings
from tuning import Study, StudyConfig
from tuning.budget import DECIDED, EpochCost, describe_spending, expected_epochs, spend
from tuning.config import pick
from tuning.dry_run import dry_run
from tuning.duration import parse_duration
from tuning.errors import StudyConfigError
from tuning.record import StudyDirectory

SECOND = EpochCost(8, 0.1, 0.2)  # an epoch of one pass takes one
USUAL = ("bce", "dice", "dice_bce", "dice_focal")


def config(**changes: Any) -> StudyConfig:
    return StudyConfig.load(small_settings(**changes))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("30m", 1800),
        ("30 min", 1800),
        ("2h", 7200),
        ("1h30m", 5400),
        ("1.5 H", 5400),
        ("1d", 86400),
        ("until 6:30", 8 * 3600),
        ("until 22", 23.5 * 3600),
        ("overnight", 8.5 * 3600),
    ],
)
def test_a_duration_is_read_as_people_write_it(text: str, seconds: float) -> None:
    assert parse_duration(text, datetime(2026, 12, 1, 22, 30)) == seconds  # noqa: DTZ001


@pytest.mark.parametrize("text", ["", "2x", "-1h", "h", "1h 5", "30", "until 25:00", "until", "1e3 s", "0m", "1hm"])
def test_what_is_not_a_time_to_spend_is_refused_with_the_forms(text: str) -> None:
    said = "must not be empty" if not text else "found .*Hint: write 30m, 2h"
    with pytest.raises(StudyConfigError, match=rf"^search\.budget: {said}"):
        config(search={"budget": text})


def test_a_population_has_no_budget_of_time() -> None:
    with pytest.raises(StudyConfigError, match=r"search\.budget: does not go with pbt"):
        config(search={"budget": "1h", "trials": 10}, scheduler={"type": "pbt", "interval": 1})


@given(
    seconds=st.floats(60, 1e6),
    epoch=st.floats(0.05, 60),
    workers=st.integers(1, 16),
    baselines=st.sampled_from([True, False, ["bce", "dice"], [*USUAL, "nnunet"]]),
)
def test_what_is_planned_fits_into_the_time(seconds: float, epoch: float, workers: int, baselines: Any) -> None:
    study = config(search={"baselines": baselines})
    decided = spend(study, seconds, cost=EpochCost(8, epoch / 10, epoch / 5), workers=workers, usual=USUAL)
    assert decided.keys() == {*DECIDED, "stop.minutes"}
    planned = study.with_overrides(decided)
    assert 60 * (planned.stop.minutes or 0) <= seconds
    if planned.search.trials:
        assert isinstance(planned.search.baselines, list)
        epochs = planned.training.epochs * len(planned.search.baselines) + planned.search.trials * expected_epochs(
            planned
        )
        assert epochs * epoch <= seconds * workers
    assert planned.training.epochs * epoch <= seconds or planned.training.epochs == 1


def race(**search: Any) -> StudyConfig:
    return config(search=search, scheduler={"type": "race"})


def rounds(planned: StudyConfig, workers: int) -> float:
    """Epochs of one worker after another until the race is over, where all wait for each other at each rung."""
    count, baselines, before, found = planned.search.trials, len(planned.search.baselines or []), 0, 0.0
    rungs = planned.scheduler.rungs(planned.training.epochs)
    for rung in [*rungs, planned.training.epochs]:
        found += (rung - before) * math.ceil((count + baselines) / workers)
        count = planned.scheduler.promoted(count, is_last=rung == rungs[-1]) if rung in rungs else 0
        before = rung
    return found


@given(
    seconds=st.floats(120, 1e5),
    step=st.floats(0.01, 5),
    rest=st.floats(0, 20),
    workers=st.integers(1, 16),
    steps=st.sampled_from([None, 250]),
)
def test_a_race_ends_in_its_time_and_spends_it(
    seconds: float, step: float, rest: float, workers: int, steps: int | None
) -> None:
    study = race().with_overrides({"training.steps": steps})
    cost = EpochCost(8, step, rest)
    decided = spend(study, seconds, cost=cost, workers=workers, usual=USUAL)
    assert decided.keys() == {*DECIDED, "stop.minutes"}
    planned = study.with_overrides(decided)
    if planned.scheduler.type != "race" or planned.training.epochs < 16 or not planned.search.trials:
        return  # too little time for one
    taken = rounds(planned, workers) * cost.seconds(planned.training.steps)
    assert taken <= seconds
    if planned.training.epochs >= 50:
        assert taken > 0.7 * seconds - 60
    each = planned.training.steps or 8
    assert steps or planned.training.epochs >= 80 or each == 8
    assert planned.search.baselines == ["dice_bce"]


def test_a_longer_race_trains_longer_and_more_and_looks_at_validation_as_often() -> None:
    cost = EpochCost(8, 0.1, 0.2)
    short, long = (spend(race(), seconds, cost=cost, workers=2, usual=USUAL) for seconds in (300, 7200))
    assert long["training.steps"] > 5 * short["training.steps"]
    assert long["search.trials"] > 3 * short["search.trials"]
    assert 90 <= long["training.epochs"] <= 96
    said = describe_spending(race().with_overrides(long))
    assert f"{long['search.trials']} trials race, pausing at epoch 6 and 24, 1 to the end" in said


def test_more_time_gives_longer_trainings_and_not_only_more_of_them() -> None:
    short, long = (spend(config(), seconds, cost=SECOND, workers=2, usual=USUAL) for seconds in (600, 6000))
    assert long["training.epochs"] > 9 * short["training.epochs"]
    assert abs(long["search.trials"] - short["search.trials"]) <= 1


def test_too_little_time_for_two_trainings_trains_the_safest_setting_alone() -> None:
    decided = spend(config(), 60, cost=EpochCost(8, 0.5, 1.0), workers=2, usual=USUAL)
    assert (decided["search.trials"], decided["search.baselines"]) == (0, ["dice_bce"])
    assert "too little time for a search" in describe_spending(config().with_overrides(decided))


def test_baselines_that_are_named_are_kept() -> None:
    study = config(search={"baselines": ["bce", "nnunet"]})
    assert spend(study, 600, cost=SECOND, workers=2, usual=USUAL)["search.baselines"] == [
        "bce",
        "nnunet",
    ]
    assert (
        spend(config(search={"baselines": False}), 600, cost=SECOND, workers=2, usual=USUAL)["search.baselines"] == []
    )


@pytest.mark.usefixtures("ray_session")
def test_a_study_spends_its_time_and_goes_on_with_what_was_decided(
    study_config: Callable[..., StudyConfig], folder: Path
) -> None:
    settings = study_config(search={"budget": "15s"})
    first = Study(settings, folder).run()
    recorded = Study.open(folder).config
    decided = dict(pick(recorded.model_dump(), DECIDED))
    assert recorded.stop.minutes is not None
    assert 0 < recorded.stop.minutes < 15 / 60
    assert decided["search.baselines"] == ["dice_bce"]
    again = Study(settings, folder).run()  # the same command; its time is over
    assert [trial.number for trial in again.trials] == [trial.number for trial in first.trials]
    assert dict(pick(Study.open(folder).config.model_dump(), DECIDED)) == decided
    more = Study.open(folder).with_more_trials(3)
    assert more.config.search.trials == decided["search.trials"] + 3


def test_a_budget_beside_an_end_of_its_own_is_refused(study_config: Callable[..., StudyConfig], folder: Path) -> None:
    settings = study_config(search={"budget": "5m"}, stop={"minutes": 3})
    with pytest.raises(StudyConfigError, match=r"^stop\.minutes: contradicts search\.budget"):
        Study(settings, folder).run()
    assert not StudyDirectory(folder).exists()


def test_a_dry_run_says_what_a_budget_would_become(study_config: Callable[..., StudyConfig], folder: Path) -> None:
    lines = dry_run(study_config(search={"budget": "1h"}), folder).plan.lines
    (budget,) = [line for line in lines if line.startswith("budget")]
    assert budget.startswith("budget    59 min 52 s: a full training has ")
    assert "1 baseline gets one; up to " in budget
    assert not folder.exists()
