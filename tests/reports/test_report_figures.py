"""Figures show the numbers of their tables."""

import math

import numpy as np
import pandas as pd
import pytest

from reports.costs import duration
from reports.figures import (
    case_dots,
    class_bars,
    finalists_intervals,
    importance_bars,
    learning_curves,
    optimisation_history,
    parallel_axes,
    strategy_costs,
    term_curves,
    ternary_weights,
)
from reports.importance import setting_importances
from reports.sampling import sample_trials
from reports.settings import flat_settings, loss_family, schedule_name, strategy_name
from reports.statistics import settings_means
from tests.reports_scores import noisy_scores

TRIALS = pd.DataFrame(
    {
        "number": [-1, 0, 1, 2],
        "baseline": ["dice", None, None, None],
        "state": ["complete", "complete", "pruned", "failed"],
        "best_dice": [0.7, 0.8, 0.5, math.nan],
    }
)
EPOCHS = pd.DataFrame(
    {
        "number": [-1, -1, 0, 0, 1, 2],
        "epoch": [1, 2, 1, 2, 1, 1],
        "val_dice": [0.6, 0.7, 0.5, 0.8, 0.5, math.nan],
    }
)


def test_curves_have_a_line_a_trial_and_a_cross_where_one_was_stopped() -> None:
    figure = learning_curves(EPOCHS, TRIALS, rungs=[1])
    traces = {trace.name: trace for trace in figure.data}
    assert list(traces["baseline"].y) == [0.6, 0.7, None]
    assert list(traces["best: trial 0"].y) == [0.5, 0.8]
    (cross,) = [trace for trace in figure.data if trace.mode == "markers" and trace.marker.symbol == "x"]
    assert (list(cross.x), list(cross.y)) == ([1], [0.5])
    assert [note.text for note in figure.layout.annotations] == ["rung 1"]


def test_the_history_rises_to_the_best_so_far() -> None:
    figure = optimisation_history(TRIALS)
    traces = {trace.name: trace for trace in figure.data}
    assert list(traces["finished"].y) == [0.8]
    assert list(traces["stopped early"].x) == [1]
    assert list(traces["best so far"].y) == [0.8, 0.8]
    assert figure.layout.annotations[0].text == "best baseline, dice: 0.7000"


def test_an_empty_study_draws_empty_figures() -> None:
    assert not learning_curves(EPOCHS.iloc[:0], TRIALS.iloc[:0]).data
    assert not optimisation_history(TRIALS.iloc[:0]).data


def test_axes_place_values_between_their_ends() -> None:
    settings = pd.DataFrame({"lr": [1e-4, 1e-2, 1e-3], "kind": ["a", "b", None]})
    figure = parallel_axes(settings, pd.Series([0.5, 0.6, 0.7]))
    lines = [list(trace.y)[:3] for trace in figure.data]
    assert lines[0] == pytest.approx([0.0, 0.48, 0.0], abs=0.03)
    assert lines[1][0] == 1.0
    assert lines[2][0] == pytest.approx(0.5)  # on a log axis
    assert [trace.name for trace in figure.data] == ["0.500 to 0.500", "0.600 to 0.600", "0.700 to 0.700"]


def test_the_map_scales_weights_to_one() -> None:
    weights = pd.DataFrame({"a": [2.0, 0, 0], "b": [1.0, 0, 1], "c": [1.0, 0, 0]})
    (trace,) = ternary_weights(weights, pd.Series([0.5, 0.6, 0.7])).data
    assert (list(trace.a), list(trace.b), list(trace.c)) == ([0.5, 0], [0.25, 1], [0.25, 0])
    (pair,) = ternary_weights(weights[["a", "b"]], pd.Series([0.5, math.nan, 0.7])).data
    assert list(pair.x) == [pytest.approx(2 / 3), 0]


def test_importance_finds_the_setting_that_decides() -> None:
    random = np.random.default_rng(0)
    settings = pd.DataFrame(
        {"decides": random.random(60), "idle": random.random(60), "word": ["x", "y"] * 30, "same": 1}
    )
    shares = setting_importances(settings, settings["decides"] * 0.1 + 0.8)
    assert shares.sum() == pytest.approx(1)
    assert shares.idxmax() == "decides"
    assert "same" not in shares
    assert list(importance_bars(shares).data[0].y)[-1] == "decides"
    assert setting_importances(settings[:7], settings["decides"][:7]).empty


def test_equal_importances_stand_in_the_order_of_their_names() -> None:
    assert list(importance_bars(pd.Series({"b": 0.5, "a": 0.5})).data[0].y) == ["b", "a"]  # from below
    assert list(importance_bars(pd.Series({"a": 0.5, "b": 0.5})).data[0].y) == ["b", "a"]


def test_cases_are_ordered_by_their_gain() -> None:
    pairs = pd.DataFrame({"case": ["a", "b", "c"], "baseline": [0.5, 0.6, 0.7], "tuned": [0.6, 0.5, math.nan]})
    figure = case_dots(pairs, ("baseline dice", "trial 1"))
    assert [list(trace.x) for trace in figure.data[1:]] == [[0.6, 0.5], [0.5, 0.6]]
    assert list(figure.layout.yaxis.ticktext) == ["b", "a"]


def test_bars_and_intervals_show_the_table() -> None:
    classes = pd.DataFrame({"class": ["x"], "baseline": [0.5], "tuned": [math.nan]})
    assert list(class_bars(classes, ("b", "t")).data[0].text) == ["0.500"]
    strategies = pd.DataFrame(
        {"strategy": ["best", "best", "epoch"], "mib_written": [1.0, 3, 9], "mib_kept": [1.0, 1, 2]}
    )
    assert list(strategy_costs(strategies).data[0].x) == [2.0, 9.0]
    means = settings_means(noisy_scores({"base": 0, "a": 0.03}))
    finalist, baseline = finalists_intervals(means, "base").data
    assert (list(finalist.y), list(baseline.y)) == (["a"], ["base"])
    assert finalist.error_x.array[0] == pytest.approx(means["high"][0] - means["mean"][0])


def test_terms_are_drawn_over_epochs() -> None:
    terms = pd.DataFrame({"term": ["dice", "bce", "dice"], "epoch": [1, 1, 2], "weight": [0.5, 0.5, 0.7]})
    assert {trace.name: list(trace.y) for trace in term_curves(terms, "weight").data} == {
        "dice": [0.5, 0.7],
        "bce": [0.5],
    }


def test_text_is_not_plotlys_html() -> None:
    figure = case_dots(pd.DataFrame({"case": ["<b>x"], "baseline": [0.1], "tuned": [0.2]}), ("<i>", "t"))
    assert figure.data[1].name == "&lt;i&gt;"
    assert figure.data[1].text[0] == "&lt;b&gt;x"


def test_a_sample_keeps_baselines_and_the_best() -> None:
    trials = pd.DataFrame(
        {"number": range(100), "baseline": ["b"] * 2 + [None] * 98, "best_dice": np.arange(100) / 100}
    )
    sample = sample_trials(trials, 20)
    assert len(sample) == 20
    assert {0, 1, 99, 98, 97, 96, 95, 94} <= set(sample["number"])
    assert sample["number"].is_monotonic_increasing
    assert len(sample_trials(trials, 100)) == 100


def test_settings_are_named_in_words() -> None:
    assert flat_settings({"a": {"b": 1, "c": {"d": "x"}}, "e": [1]}) == {"a.b": 1, "a.c.d": "x", "e": "[1]"}
    assert loss_family({"loss.weights": {"dice": 0.5, "bce": 0.0}}, {}) == "dice"
    assert loss_family({"loss.preset": "balanced"}, {}) == "balanced"
    assert loss_family({}, {"loss": {"weights": {"b": 1, "a": 1}}}) == "a + b"
    assert schedule_name({"loss.schedule": {"type": "dwa"}}, {}) == "dwa"
    assert strategy_name({"checkpoint.averaging": "ema"}, {"checkpoint": {"strategy": "epoch"}}) == "epoch, ema"


def test_times_are_said_as_people_say_them() -> None:
    assert [duration(seconds) for seconds in (3.21, 75, 3725)] == ["3.2 s", "1 min 15 s", "1 h 2 min"]
