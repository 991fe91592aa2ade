import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import Choice, Float, Simplex, SpaceError
from search_spaces.perturbation import perturb

TERMS = ("dice", "bce", "focal")
Uniforms = st.tuples(st.floats(0, 1), st.floats(0, 1))


@given(seed=st.integers(), value=st.floats(1e-4, 1e-1))
def test_a_float_moves_by_a_fifth_and_stays_in_its_range(seed: int, value: float) -> None:
    found = perturb(Float(1e-4, 1e-1, log=True), value, Random(seed), resample=0)
    assert found in {max(value * 0.8, 1e-4), min(value * 1.2, 1e-1)}


def test_a_stepped_float_stays_on_its_steps() -> None:
    found = {perturb(Float(0.0, 1.0, step=0.25), 0.5, Random(seed), resample=0) for seed in range(20)}
    assert found == {0.5}  # 0.4 and 0.6 are nearest to it


@given(seed=st.integers(), uniforms=Uniforms, resample=st.floats(0, 1))
def test_weights_stay_on_the_simplex_and_small_ones_are_zero(
    seed: int, uniforms: tuple[float, float], resample: float
) -> None:
    simplex = Simplex(TERMS)
    weights = perturb(simplex, simplex.value(uniforms), Random(seed), resample)
    assert list(weights) == list(TERMS)
    assert math.isclose(sum(weights.values()), 1)
    assert all(weight == 0 or weight >= simplex.min_weight for weight in weights.values())


@given(seed=st.integers())
def test_a_zero_weight_stays_zero_until_it_is_drawn_anew(seed: int) -> None:
    weights = {"dice": 0.6, "bce": 0.4, "focal": 0.0}
    moved = perturb(Simplex(TERMS), weights, Random(seed), resample=0)
    assert moved["focal"] == 0
    assert any(math.isclose(moved["dice"] / moved["bce"], 1.5 * ratio) for ratio in (1, 1.2 / 0.8, 0.8 / 1.2))


def test_drawn_anew_a_logarithm_is_uniform_and_zeros_come_back() -> None:
    random = Random(0)
    drawn = [perturb(Float(1e-4, 1.0, log=True), 1.0, random, resample=1) for _ in range(2000)]
    assert 0.45 < sum(value < 1e-2 for value in drawn) / len(drawn) < 0.55
    weights = {"dice": 1.0, "bce": 0.0, "focal": 0.0}
    assert any(perturb(Simplex(TERMS), weights, random, resample=1)["focal"] > 0 for _ in range(5))


def test_a_choice_is_refused() -> None:
    with pytest.raises(SpaceError, match="only floats and weights"):
        perturb(Choice(("a", "b")), "a", Random(0))
