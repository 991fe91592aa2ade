import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from search_spaces import Simplex, SpaceError, simplex_uniforms, simplex_weights

UNIFORMS = st.lists(st.floats(0, 1), min_size=1, max_size=5)


def draw_weights(terms: int, count: int = 20_000) -> np.ndarray:
    uniforms = np.random.default_rng(7).random((count, terms - 1))
    return np.array([simplex_weights(row) for row in uniforms.tolist()])


@pytest.mark.parametrize("terms", [2, 3, 4, 6])
def test_weights_have_the_moments_of_the_uniform_simplex(terms: int) -> None:
    weights = draw_weights(terms)
    variance = (terms - 1) / (terms**2 * (terms + 1))
    covariance = np.where(np.eye(terms) == 1, variance, -1 / (terms**2 * (terms + 1)))
    np.testing.assert_allclose(weights.mean(axis=0), 1 / terms, atol=5 * math.sqrt(variance / len(weights)))
    np.testing.assert_allclose(np.cov(weights.T), covariance, atol=0.05 * variance)


@pytest.mark.parametrize("terms", [2, 3, 4, 6])
def test_each_weight_follows_the_marginal_of_the_uniform_simplex(terms: int) -> None:
    # Dirichlet(1, ..., 1) has Beta(1, K-1) marginals: F(w) = 1 - (1-w)^(K-1).
    # 2.5 is exceeded by 7 in a million true samples (Kolmogorov); there are 15 of them here.
    weights = draw_weights(terms)
    ranks = np.arange(1, len(weights) + 1) / len(weights)
    for column in weights.T:
        distance = np.abs(1 - (1 - np.sort(column)) ** (terms - 1) - ranks).max()
        assert distance * math.sqrt(len(weights)) < 2.5


def test_all_orders_of_three_weights_are_equally_likely() -> None:
    orders, counts = np.unique(np.argsort(draw_weights(3), axis=1), axis=0, return_counts=True)
    assert len(orders) == 6
    np.testing.assert_allclose(counts / counts.sum(), 1 / 6, atol=0.012)


@given(UNIFORMS, st.floats(0, 0.15))
@example([1.0, 1.0], 0.1)
@example([0.0, 0.0], 0.1)
def test_weights_sum_to_one_and_none_is_small(uniforms: list[float], min_weight: float) -> None:
    weights = simplex_weights(uniforms, min_weight)
    assert len(weights) == len(uniforms) + 1
    assert math.fsum(weights) == pytest.approx(1, abs=1e-12)
    assert all(w == 0 or w >= min_weight for w in weights)
    assert all(w >= 0 for w in weights)


def test_a_small_weight_becomes_zero_and_the_rest_is_rescaled() -> None:
    assert simplex_weights(simplex_uniforms((0.59, 0.4, 0.01)), 0.02) == pytest.approx((0.59 / 0.99, 0.4 / 0.99, 0))


def test_the_largest_weight_stays_even_when_all_are_small() -> None:
    assert simplex_weights(simplex_uniforms((0.4, 0.35, 0.25)), 0.5) == (1, 0, 0)


def test_two_terms_split_at_the_uniform_number() -> None:
    assert simplex_weights([0.3]) == pytest.approx((0.3, 0.7))


@given(st.lists(st.one_of(st.just(0.0), st.floats(0.02, 1)), min_size=2, max_size=5).filter(any))
def test_uniforms_give_back_the_weights(raw: list[float]) -> None:
    weights = [w / math.fsum(raw) for w in raw]
    assert simplex_weights(simplex_uniforms(weights)) == pytest.approx(weights, abs=1e-7)


@given(st.lists(st.floats(0.01, 0.99), min_size=1, max_size=4))
def test_weights_give_back_the_uniforms(uniforms: list[float]) -> None:
    assert simplex_uniforms(simplex_weights(uniforms)) == pytest.approx(uniforms, abs=1e-9)


@pytest.mark.parametrize("weights", [(1.0,), (0.5, 0.6), (1.5, -0.5), (math.nan, 1.0)])
def test_what_is_no_weighting_has_no_uniforms(weights: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="with sum 1"):
        simplex_uniforms(weights)


@pytest.mark.parametrize(("uniforms", "min_weight"), [([1.1], 0.0), ([-0.1], 0.0), ([math.nan], 0.0), ([0.5], 1.0)])
def test_numbers_out_of_range_are_refused(uniforms: list[float], min_weight: float) -> None:
    with pytest.raises(ValueError, match="must lie in"):
        simplex_weights(uniforms, min_weight)


def test_value_names_the_terms_in_order() -> None:
    assert Simplex(("dice", "bce", "focal")).value([0.75, 0.5]) == {"dice": 0.5, "bce": 0.25, "focal": 0.25}


@pytest.mark.parametrize(
    ("terms", "min_weight", "problem"),
    [
        (
            ("dice",),
            0.02,
            "weights need two terms to share. Hint: set a single term in the study file itself.",
        ),
        (("dice", "dice"), 0.02, "two of the terms ['dice', 'dice'] are equal. Hint: name each once."),
        (("dice", 1), 0.02, "term 1 must be a name."),
        ("dice", 0.02, "the terms must be a list of names, found 'dice'."),
        (("dice", "bce"), 0.5, "min_weight (0.5) must be at least 0 and below 1/2, an equal share."),
        (("dice", "bce"), "much", "min_weight ('much') must be a number."),
    ],
)
def test_a_simplex_without_sense_is_refused(terms: tuple[str, ...], min_weight: float, problem: str) -> None:
    with pytest.raises(SpaceError) as caught:
        Simplex(terms, min_weight)
    assert caught.value.problems == (problem,)
