"""Who won: means and intervals over seeds and groups, paired tests, and no claim without grounds."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from components.errors import InvalidInputError
from reports.rows import rows_of
from reports.statistics import (
    compare_settings,
    conclude,
    estimate_mean,
    group_scores,
    holm,
    probability_best,
    settings_means,
    winners_curse,
)
from tests.reports_scores import noisy_scores, scores_table


def test_cases_are_averaged_in_their_group_and_classes_after_that() -> None:
    rows = [("a", 1, "x", 0.2), ("b", 1, "x", 0.4), ("c", 2, "x", 0.9), ("a", 1, "y", 0.5), ("c", 2, "y", math.nan)]
    scores = pd.DataFrame(rows, columns=["case", "group", "class", "dice"]).assign(setting="s", seed=0)
    assert group_scores(scores).of("s").tolist() == [[pytest.approx((0.3 + 0.5) / 2), 0.9]]


def test_a_group_that_is_undefined_in_one_training_is_left_out() -> None:
    scores = group_scores(scores_table({"a": [[0.5, 0.6], [0.7, math.nan]], "b": [[0.1, 0.2], [0.3, 0.4]]}))
    assert scores.of("a").tolist() == [[0.5], [0.7]]
    one, two = scores.paired("a", "b")
    assert (one - two).ravel().tolist() == pytest.approx([0.4, 0.4])


def test_where_only_groups_vary_the_interval_is_that_of_the_t_test_over_groups() -> None:
    values = np.array([0.1, 0.3, 0.2, 0.5, 0.4, -0.2])
    found = estimate_mean(np.tile(values, (3, 1)))
    assert found.interval() == pytest.approx(stats.t.interval(0.95, 5, values.mean(), stats.sem(values)), rel=1e-5)
    assert found.p_above_zero() == pytest.approx(stats.ttest_1samp(values, 0, alternative="greater").pvalue)


def test_where_only_seeds_vary_the_interval_is_that_of_the_t_test_over_seeds() -> None:
    values = np.array([0.1, 0.3, 0.2, 0.5, 0.4])
    found = estimate_mean(np.tile(values[:, None], 6))
    assert found.interval() == pytest.approx(stats.t.interval(0.95, 4, values.mean(), stats.sem(values)), rel=1e-5)
    assert found.p_above_zero() == pytest.approx(stats.ttest_1samp(values, 0, alternative="greater").pvalue)


@pytest.mark.parametrize(("seeds", "groups"), [(1, 30), (2, 30), (10, 5)])
def test_where_nothing_may_be_claimed_there_is_no_interval(seeds: int, groups: int) -> None:
    found = estimate_mean(np.random.default_rng(0).normal(size=(seeds, groups)))
    assert found.error > 0
    assert np.isnan([*found.interval(), found.p_above_zero()]).all()
    means = settings_means(noisy_scores({"base": 0, "a": 0}, seeds=seeds, groups=groups))
    assert means[["low", "high"]].isna().all(axis=None)
    pairs = compare_settings(noisy_scores({"base": 0, "a": 0, "b": 0}, seeds=seeds, groups=groups), "base")
    assert pairs[["low", "high", "p", "p_corrected"]].isna().all(axis=None)


def test_a_difference_that_never_varies_carries_no_claim() -> None:
    hard = np.random.default_rng(0).normal(0.8, 0.1, 12)
    found = conclude(scores_table({"base": np.tile(hard, (3, 1)), "a": np.tile(hard + 0.01, (3, 1))}), "base")
    assert found.winner is None
    assert found.sentence == (
        "No significant winner: a against base +0.0100 (no interval); no claim is made where the difference is the "
        "same in every group and seed (12 groups, 3 seeds)."
    )


def test_an_interval_that_holds_0_carries_no_claim() -> None:
    random = np.random.default_rng(0)
    seeds, groups = random.normal(0, 0.001, (5, 1)), random.normal(0, 0.01, 30)
    noise = seeds - seeds.mean() + groups - groups.mean()
    error = estimate_mean(noise).error
    scores = scores_table({"base": np.full((5, 30), 0.8), "a": 0.8 + noise + 1.9 * error})
    found = conclude(scores, "base")
    assert found.comparisons["p_corrected"][0] < 0.05
    assert found.winner is None
    assert "corrected, but the interval holds 0, 30 groups" in found.sentence


def test_the_error_holds_the_luck_of_seeds_and_of_groups() -> None:
    seeds, groups = np.array([0.0, 0.02, 0.04]), np.linspace(-0.1, 0.1, 8)
    found = estimate_mean(seeds[:, None] + groups)  # no noise beside: the two errors add
    assert found.error**2 == pytest.approx(seeds.var(ddof=1) / 3 + groups.var(ddof=1) / 8)
    assert estimate_mean(np.tile(groups, (3, 1))).error == pytest.approx(stats.sem(groups))


@given(st.floats(-1, 1), st.floats(0.1, 10), st.integers(2, 5), st.integers(2, 8), st.integers(0, 99))
def test_estimates_follow_shift_and_scale(shift: float, scale: float, seeds: int, groups: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(seeds, groups))
    plain, moved = estimate_mean(values), estimate_mean(values * scale + shift)
    assert moved.mean == pytest.approx(plain.mean * scale + shift, abs=1e-9)
    assert moved.error == pytest.approx(plain.error * scale)
    if plain.supports_claims:
        assert moved.interval() == pytest.approx([scale * end + shift for end in plain.interval()], abs=1e-4)


def test_holm_corrects_step_by_step() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    corrected = holm([0.01, math.nan])
    assert corrected[0] == 0.02  # what could not be tested counts as compared
    assert math.isnan(corrected[1])


def test_what_is_better_is_named() -> None:
    found = conclude(noisy_scores({"base": 0, "better": 0.03, "same": 0}), "base")
    assert found.winner == "better"
    assert found.sentence.startswith("better beats base: +0.0")
    assert found.sentence.endswith("30 groups, 5 seeds.")
    rows = found.comparisons.set_index(["first", "second"])
    assert rows["claim"].to_dict() == {("better", "base"): True, ("same", "base"): False, ("better", "same"): True}
    assert found.means["setting"].tolist()[0] == "better"
    assert found.means["p_best"][0] > 0.99


def test_no_winner_is_said_plainly() -> None:
    found = conclude(noisy_scores({"base": 0, "a": 0, "b": 0}, seed=2), "base")
    assert found.winner is None
    assert found.sentence.startswith("No significant winner: ")


def test_a_worse_setting_is_no_winner() -> None:
    found = conclude(noisy_scores({"base": 0, "worse": -0.05}), "base")
    assert found.winner is None
    assert found.comparisons["p"][0] > 0.99


@pytest.mark.parametrize(
    ("seeds", "groups", "reason"),
    [
        (5, 5, "no claim is made on 5 independent groups"),
        (1, 30, "no claim is made on 1 seed ("),
        (2, 30, "on 2 seeds (at least 3 are needed)"),
    ],
)
def test_too_few_groups_or_seeds_carry_no_claim(seeds: int, groups: int, reason: str) -> None:
    found = conclude(noisy_scores({"base": 0, "better": 0.2}, seeds=seeds, groups=groups), "base")
    assert found.winner is None
    assert reason in found.sentence
    assert not found.comparisons["claim"].any()


def test_settings_that_cannot_be_told_apart_are_said_so() -> None:
    assert "It is not told apart from " in conclude(noisy_scores({"base": 0, "a": 0.03, "b": 0.03}), "base").sentence


def test_other_seeds_are_compared_without_pairing_them() -> None:
    scores = noisy_scores({"base": 0, "better": 0.03})
    scores.loc[scores["setting"] == "better", "seed"] += 100
    row = compare_settings(scores, "base").iloc[0]
    paired = compare_settings(noisy_scores({"base": 0, "better": 0.03}), "base").iloc[0]
    assert row["difference"] == pytest.approx(paired["difference"])
    assert (row["seeds"], row["groups"], row["claim"]) == (5, 30, True)


def test_probabilities_of_being_best_follow_the_means() -> None:
    shares = probability_best(noisy_scores({"base": 0, "a": 0.004, "b": -0.05}))
    assert shares.sum() == pytest.approx(1)
    assert shares["b"] < 0.001
    equal = probability_best(scores_table({"a": np.full((2, 6), 0.5) + np.eye(2, 6) * 0.1, "b": np.full((2, 6), 0.5)}))
    assert 0.5 < equal["a"] < 1


def test_the_gap_of_the_search_is_what_it_promised_too_much() -> None:
    scores = scores_table({"a": [[0.8, 0.8], [0.82, 0.82]], "b": [[0.7, 0.7], [0.7, 0.7]]})
    gaps = winners_curse({"a": 0.85, "b": 0.7, "never": 0.9}, scores).set_index("setting")["gap"]
    assert gaps.to_dict() == {"a": pytest.approx(0.04), "b": pytest.approx(0.0)}


def test_the_gap_averages_both_sides_over_cases_as_the_search_does() -> None:
    large = [{"case": f"a{index}", "group": "a", "dice": 0.9} for index in range(9)]
    scores = pd.DataFrame(
        [{"setting": "s", "seed": 1, **row} for row in [*large, {"case": "b", "group": "b", "dice": 0.5}]]
    )
    searched = 0.86  # the mean of the ten cases; that of the two groups is 0.7
    assert winners_curse({"s": searched}, scores)["gap"].tolist() == [pytest.approx(0.0)]
    trainings = pd.DataFrame({"setting": "s", "seed": [1, 2], "dice": [0.84, 0.86]})
    (row,) = rows_of(winners_curse({"s": searched}, trainings))
    assert (row.retrained, row.gap) == (pytest.approx(0.85), pytest.approx(0.01))
    assert row.low < 0.85 < row.high


def test_what_cannot_be_compared_is_said_in_words() -> None:
    scores = scores_table({"base": [[0.8, math.nan]], "a": [[math.nan, 0.9]]})
    assert conclude(scores, "base").sentence == "No significant winner: a and base have no scored case in common."
    one = scores_table({"base": [[0.8]], "a": [[0.9]]})
    assert conclude(one, "base").sentence == (
        "No significant winner: a against base +0.1000 (no interval); no claim is made on 1 independent group (at "
        "least 6 are needed)."
    )


def test_means_say_how_much_seeds_differ() -> None:
    means = settings_means(scores_table({"a": [[0.7, 0.8], [0.8, 0.9]], "b": [[0.5, 0.5]]})).set_index("setting")
    assert means["seed_sd"]["a"] == pytest.approx(0.1 / math.sqrt(2))
    assert math.isnan(means["seed_sd"]["b"])
    assert means["seeds"].to_dict() == {"a": 2, "b": 1}


def test_a_setting_without_scores_makes_no_claim() -> None:
    scores = pd.concat([noisy_scores({"base": 0, "a": 0.03}), noisy_scores({"none": 0}).assign(dice=math.nan)])
    found = compare_settings(scores, "base").set_index("first")
    assert found["groups"]["none"] == 0
    assert not found["claim"]["none"]
    shares = settings_means(scores).set_index("setting")["p_best"]
    assert shares["none"] == 0
    assert shares["a"] > 0.99
    assert conclude(scores, "base").winner == "a"


def test_bad_tables_are_refused() -> None:
    scores = noisy_scores({"base": 0, "a": 0})
    with pytest.raises(InvalidInputError, match="no column group"):
        conclude(scores.drop(columns="group"), "base")
    with pytest.raises(InvalidInputError, match="a case stands twice"):
        conclude(pd.concat([scores, scores]), "base")
    with pytest.raises(InvalidInputError, match="found 'other'; the table has base, a"):
        conclude(scores, "other")
    assert conclude(scores[scores["setting"] == "base"], "base").winner is None
