"""How often the statistics are wrong, by the simulation of benchmarks/honesty.py in a few of its cells."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from benchmarks import honesty
from reports.statistics import conclude, holm, holm_of_studies
from reports.statistics.crossed import behrens_fisher_tail, crossed_parts, tail
from reports.trained_again import Finalists
from tests.reports_scores import noisy_scores

_STUDIES = 2_000


@pytest.mark.parametrize("noise", honesty.NOISES)
@pytest.mark.parametrize("design", [(3, 3, 30), (3, 8, 6), (5, 1, 6), (5, 8, 30), (10, 3, 10)])
def test_where_all_settings_are_equal_few_studies_claim_and_intervals_cover(
    noise: str, design: tuple[int, int, int]
) -> None:
    found = honesty.run(honesty.NOISES[noise], design, _STUDIES)
    assert found["named"] <= 0.05
    assert found["claimed"] <= 0.06
    assert 0.93 - _sampling() <= found["difference"] <= 0.97 + _sampling()
    assert 0.93 - _sampling() <= found["mean"] <= 0.97 + _sampling()


def test_five_seeds_and_thirty_groups_find_a_gain_of_two_hundredths() -> None:
    assert honesty.run(honesty.Noise(), (5, 3, 30), 4 * _STUDIES, gain=0.02)["right"] >= 0.79


@pytest.mark.parametrize("noise", honesty.NOISES.values())
@pytest.mark.parametrize("finalists", [1, 3])
def test_two_seeds_name_nobody_and_give_no_interval(noise: honesty.Noise, finalists: int) -> None:
    random = np.random.default_rng(0)
    scores = honesty.simulate(random, noise, 0.2, seeds=2, groups=30, finalists=finalists)
    found = conclude(scores, "baseline")
    assert found.winner is None
    assert not found.comparisons["claim"].any()
    assert found.comparisons[["low", "high"]].isna().all(axis=None)
    with pytest.raises(ValueError, match="nothing is claimed"):
        honesty.judge(honesty.draw_scores(random, noise, 0.0, (1, 2, 2, 30)))


def test_lines_of_two_seeds_say_that_there_is_no_interval() -> None:
    lines = Finalists(noisy_scores({"base": 0, "a": 0.03}, seeds=2), "base").lines()
    assert lines[0] == "tested    a     Dice 0.8253, no interval, 2 seeds, 30 groups"
    assert lines[-1].endswith("+0.0354 (no interval); no claim is made on 2 seeds (at least 3 are needed).")


@pytest.mark.parametrize("design", [(3, 3, 6), (5, 4, 10), (3, 1, 30)])
@pytest.mark.parametrize("noise", [honesty.NUCLEI, honesty.Noise(step=0.05)])
def test_studies_judged_at_once_are_judged_as_the_report_does(
    noise: honesty.Noise, design: tuple[int, int, int]
) -> None:
    seeds, finalists, groups = design
    gain = 0.04
    scores = honesty.draw_scores(np.random.default_rng(1), noise, gain, (8, finalists + 1, seeds, groups))
    found = honesty.judge(scores, gain)
    for number, values in enumerate(scores):
        alone = conclude(honesty.as_table(values), "baseline")
        row = alone.comparisons.iloc[0]
        against = alone.comparisons[alone.comparisons["second"] == "baseline"]
        assert found.named[number] == (alone.winner is not None)
        assert found.right[number] == (alone.winner == "a")
        assert found.claimed[number] == against["claim"].any()
        assert found.constant[number] == math.isnan(row["low"])
        assert found.difference[number] == (row["low"] <= gain <= row["high"])


def test_the_two_parts_of_the_variance_are_those_that_the_scores_were_drawn_with() -> None:
    random = np.random.default_rng(0)
    seeds, groups = 4, 12
    scores = random.normal(0, 0.3, (20_000, seeds, 1)) + random.normal(0, 1, (20_000, 1, groups))
    mean, of_seeds, of_groups = crossed_parts(scores + random.normal(0, 0.5, scores.shape))
    assert mean.var() == pytest.approx(of_seeds.mean() + of_groups.mean(), rel=0.03)
    assert of_seeds.mean() == pytest.approx(0.3**2 / seeds + 0.5**2 / (seeds * groups), rel=0.03)
    assert of_groups.mean() == pytest.approx(1 / groups, rel=0.03)


@settings(max_examples=30)
@given(st.floats(0, 6), st.floats(0.05, 5), st.sampled_from([(2, 5), (4, 29), (9, 199)]))
def test_the_tail_of_two_t_variables_is_their_convolution(
    distance: float, ratio: float, freedoms: tuple[float, float]
) -> None:
    one, two = freedoms
    density, beyond = stats.t(one).pdf, stats.t(two).sf
    expected, _ = integrate.quad(lambda x: density(x) * beyond(distance - x * math.sqrt(ratio)), -200, 200, limit=200)
    found = behrens_fisher_tail(np.array(distance), np.array(ratio), np.array(1.0), freedoms)
    assert float(found) == pytest.approx(expected, rel=0.01, abs=1e-5)


@given(st.floats(-4, 4), st.floats(0.0, 5), st.floats(0.01, 5))
def test_a_tail_is_a_probability_symmetric_and_less_extreme_than_the_normal(
    distance: float, first: float, second: float
) -> None:
    parts = np.array(first), np.array(second)
    above, below = (float(tail(np.array(sign * distance), parts[0], parts[1], (2, 5))) for sign in (1, -1))
    assert above + below == pytest.approx(1)
    assert min(above, below) >= stats.norm.sf(abs(distance) / math.sqrt(first + second)) - 1e-6


@given(st.lists(st.lists(st.floats(0, 1) | st.just(math.nan), min_size=4, max_size=4), min_size=1, max_size=5))
def test_many_studies_are_corrected_as_each_alone(p_values: list[list[float]]) -> None:
    together = holm_of_studies(np.array(p_values))
    for row, corrected in zip(p_values, together, strict=True):
        assert holm(row) == pytest.approx(list(corrected), nan_ok=True)
        compared = [p for p in row if not math.isnan(p)]
        if compared:
            assert np.nanmin(corrected) == pytest.approx(min(1.0, 4 * min(compared)))


def _sampling() -> float:
    """Two standard errors of a share of 95 % among the studies that are simulated here."""
    return 2 * math.sqrt(0.95 * 0.05 / _STUDIES)
