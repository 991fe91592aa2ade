from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.tune.schedulers import MedianStoppingRule

from tuning.config import SchedulerConfig, StudyConfig
from tuning.errors import StudyConfigError
from tuning.rules import HyperbandRule, MedianRule, score_of
from tuning.scheduler import StudyScheduler

EPOCHS = 9
KINDS = [
    {"type": kind, "score": score} for kind in ("asha", "hyperband", "median") for score in ("last", "best", "smoothed")
]
Histories = st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=EPOCHS), min_size=4, max_size=9)


def scheduler(kind: dict[str, Any]) -> StudyScheduler:
    return StudyScheduler(SchedulerConfig(grace=1, reduction=3, **kind), EPOCHS)


def live(study: StudyScheduler, number: int, epoch: int, dice: float) -> str:
    trial = SimpleNamespace(config={"number": number}, trial_id=f"ray-{number}")
    return study.on_trial_result(None, trial, {"epoch": epoch, "val_dice": dice})


@pytest.mark.parametrize("kind", KINDS)
@given(histories=Histories, data=st.data())
@settings(max_examples=25, deadline=None)
def test_every_rule_decides_after_a_kill_as_without_it(
    kind: dict[str, Any], histories: list[list[float]], data: st.DataObject
) -> None:
    told: dict[int, dict[int, float]] = {}
    whole, stops = scheduler(kind), {}
    for number, history in enumerate(histories):
        for epoch, dice in enumerate(history, start=1):
            told.setdefault(number, {})[epoch] = dice
            if live(whole, number, epoch, dice) == "STOP":
                stops[number] = whole.stops[number]
                break
    killed = data.draw(st.integers(0, len(histories) - 1))
    reported = data.draw(st.integers(0, len(told[killed])))
    checkpointed = data.draw(st.integers(0, reported))

    resumed = scheduler(kind)
    for number in range(killed):
        resumed.replay(number, told[number])
    resumed.replay(killed, {epoch: dice for epoch, dice in told[killed].items() if epoch <= reported})
    stop = stops.get(killed) if reported == len(told[killed]) else None  # what was decided stands in the record
    for number in range(killed, len(histories)):
        for epoch, dice in told[number].items():
            if number > killed or (epoch > checkpointed and not stop):
                live(resumed, number, epoch, dice)
    assert resumed.stops == {
        number: s for number, s in stops.items() if number > killed or (number == killed and not stop)
    }


@given(histories=Histories)
@settings(max_examples=40, deadline=None)
def test_the_median_rule_decides_as_tunes_own(histories: list[list[float]]) -> None:
    ours = MedianRule(grace=2)
    theirs = MedianStoppingRule("epoch", "val_dice", "max", grace_period=2, min_time_slice=float("inf"))
    for number, history in enumerate(histories):
        trial: Any = f"trial {number}"
        for epoch, dice in enumerate(history, start=1):
            stand_in = _Trial(trial)
            stops = theirs.on_trial_result(None, stand_in, {"epoch": epoch, "val_dice": dice}) == "STOP"
            assert (ours.judge(number, epoch, dice) is not None) == stops
            if stops:
                break


class _Trial(str):
    __slots__ = ()

    @property
    def trial_id(self) -> str:
        return str(self)


def test_the_median_rule_says_what_it_compared() -> None:
    rule = MedianRule(grace=1)
    assert [rule.judge(number, 1, dice) for number, dice in enumerate((0.9, 0.8, 0.7))] == [None] * 3
    assert rule.judge(3, 1, 0.5) == "median at epoch 1: best Dice 0.5000 below 0.8000, the median of 3 others"
    assert rule.judge(4, 1, 0.85) is None


def test_hyperband_deals_trials_to_brackets_by_their_number_alone() -> None:
    rule = HyperbandRule(1, 3, 9)
    counts = Counter(rule.bracket(number) for number in range(600))
    assert [round(counts[index] / 600, 2) for index in range(3)] == [0.55, 0.27, 0.18]  # 9 : 4.5 : 3
    again = HyperbandRule(1, 3, 9)
    assert [rule.bracket(number) for number in range(50)] == [again.bracket(number) for number in range(50)]


def test_a_trial_of_a_late_bracket_is_not_stopped_early() -> None:
    rule = HyperbandRule(1, 3, 9)
    late = [number for number in range(40) if rule.bracket(number) == 2]
    assert all(rule.judge(number, 1, 1 - number / 100) is None for number in late)
    early = [number for number in range(40) if rule.bracket(number) == 0]
    assert any(rule.judge(number, 1, 1 - number / 100) for number in early)


def test_the_best_so_far_saves_a_trial_that_one_noisy_epoch_would_end() -> None:
    noisy, steady = {1: 0.9, 2: 0.9, 3: 0.1}, {1: 0.5, 2: 0.5, 3: 0.5}
    outcomes = {}
    for score in ("last", "best"):
        study = StudyScheduler(SchedulerConfig(grace=3, reduction=3, score=score), EPOCHS)
        for epoch, dice in steady.items():
            live(study, 0, epoch, dice)
        outcomes[score] = [live(study, 1, epoch, dice) for epoch, dice in noisy.items()][-1]
    assert outcomes == {"last": "STOP", "best": "CONTINUE"}


def test_the_smoothed_score_is_the_mean_of_three_epochs() -> None:
    dice = {1: 0.3, 2: 0.6, 3: 0.9, 4: 0.0}
    assert [round(score_of(dice, epoch, "smoothed"), 3) for epoch in (1, 2, 3, 4)] == [0.3, 0.45, 0.6, 0.5]


@pytest.mark.parametrize(
    ("section", "line"),
    [
        ({"scheduler": {"type": "pb2"}}, "scheduler.type: PB2 is left out"),
        ({"scheduler": {"type": "pbt", "population": 8}}, "search.trials: 20 is no multiple of scheduler.population"),
        ({"scheduler": {"type": "pbt", "interval": 20}}, "scheduler.interval: 20 is not below training.epochs"),
        ({"scheduler": {"type": "pbt", "score": "best"}}, "scheduler.score: best: does not go with pbt"),
        ({"scheduler": {"type": "pbt"}, "data": {"root": "x", "folds": 3}}, "data.folds: does not go with pbt"),
        ({"scheduler": {"type": "pbt"}, "search": {"sampler": "grid"}}, "search.sampler: grid: does not go with pbt"),
        ({"scheduler": {"type": "pbt"}, "training": {"max_minutes": 1}}, "training.max_minutes: does not go with pbt"),
        ({"search": {"sampler": "cma-es"}}, "search.sampler: CMA-ES is left out: it unpickles"),
        ({"search": {"sampler": "nsga2"}}, "search: nsga2 is for several objectives"),
        ({"search": {"sampler": "grid", "warm_start": ["x"]}}, "search: grid does not learn from a warm_start"),
        ({"search": {"objectives": {"seconds": "minimize"}}}, "search: objectives must begin with val_dice: maximize"),
        ({"search": {"constraints": ["fast"]}}, "search.constraints: 'fast' is no bound"),
        ({"scheduler": {"type": "median", "grace": 99}}, "scheduler.grace: 99 is beyond training.epochs"),
        ({"scheduler": {"score": "best"}, "data": {"root": "x", "folds": 3}}, "scheduler.score: found 'best'"),
    ],
)
def test_what_cannot_be_had_is_refused_with_the_reason(section: dict[str, Any], line: str) -> None:
    with pytest.raises(StudyConfigError) as caught:
        StudyConfig.load({"name": "x", "data": {"root": "x"}, **section})
    assert str(caught.value).startswith(line)
