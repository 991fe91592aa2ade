"""Reliability and temperature against numbers from a sheet of paper and against another way to get them."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from components.errors import InvalidInputError
from components.metrics import LogitSample, fit_temperature, reliability


def sampled(logits: Sequence[float], truth: Sequence[int]) -> LogitSample:
    sample = LogitSample("binary")
    sample.add(torch.tensor(logits)[None, None, None], torch.tensor(truth)[None, None, None])
    return sample


def overconfident(pixels: int = 4000, scale: float = 3.0) -> tuple[Tensor, Tensor]:
    """Logits of three classes that are `scale` times what the truth was drawn by."""
    draw = torch.Generator().manual_seed(0)
    honest = 2 * torch.randn(pixels, 3, generator=draw)
    truth = torch.multinomial(honest.softmax(1), 1, generator=draw).squeeze(1)
    return (scale * honest).T.reshape(1, 3, 1, pixels), truth.reshape(1, 1, pixels)


def test_the_error_is_that_of_the_bins() -> None:
    """Probability 0.9 three times, once wrong; 0.2 twice, once right: (3·|0.9 - 2/3| + 2·|0.2 - 1/2|) / 5."""
    found = reliability(sampled([math.log(9)] * 3 + [math.log(0.25)] * 2, [1, 1, 0, 1, 0]))
    assert found.ece == pytest.approx((3 * (0.9 - 2 / 3) + 2 * 0.3) / 5)
    assert [(entry.pixels, round(entry.probability, 6), entry.found) for entry in found.bins] == [
        (2, 0.2, 0.5),
        (3, 0.9, 2 / 3),
    ]
    assert [(entry.low, entry.high) for entry in found.bins] == [(2 / 15, 3 / 15), (13 / 15, 14 / 15)]
    assert found.nll == pytest.approx(-(2 * math.log(0.9) + math.log(0.1) + math.log(0.2) + math.log(0.8)) / 5)


def test_of_several_classes_the_largest_probability_counts() -> None:
    sample = LogitSample("multiclass")
    logits = torch.tensor([[2.0, 1.0, 1.0], [0.0, 0.0, 0.0]]).log_softmax(1)
    sample.add(logits.T.reshape(1, 3, 1, 2), torch.tensor([[[0, 2]]]))
    most = math.e**2 / (math.e**2 + 2 * math.e)
    found = reliability(sample)
    assert found.ece == pytest.approx((1 - most + 1 / 3) / 2)
    assert found.nll == pytest.approx(-(math.log(most) + math.log(1 / 3)) / 2)


def test_the_temperature_is_that_of_the_sheet_of_paper() -> None:
    """Of logit 2 three in four are foreground: 2 / T must be ln 3."""
    assert fit_temperature(sampled([2.0] * 4, [1, 1, 1, 0])) == pytest.approx(2 / math.log(3), rel=1e-3)


def test_overconfident_logits_are_cooled_to_what_they_were_drawn_by() -> None:
    logits, truth = overconfident()
    sample = LogitSample("multiclass")
    sample.add(logits, truth)
    temperature = fit_temperature(sample)
    assert temperature == pytest.approx(3, rel=0.05)
    before, after = reliability(sample), reliability(sample, temperature)
    assert after.nll < before.nll
    assert before.ece > 0.1
    assert after.ece < 0.03
    # The same likelihood by torch, at each of many temperatures: none is better.
    flat = logits.reshape(3, -1).T
    others = [float(torch.nn.functional.cross_entropy(flat / t, truth.ravel())) for t in np.linspace(2, 4, 81)]
    assert after.nll <= min(others) + 1e-6


@given(st.lists(st.tuples(st.floats(-9, 9), st.booleans()), min_size=1, max_size=30))
def test_no_temperature_makes_it_worse(pixels: list[tuple[float, bool]]) -> None:
    sample = sampled([logit for logit, _ in pixels], [int(true) for _, true in pixels])
    temperature = fit_temperature(sample)
    assert 1 / 16 <= temperature <= 16
    assert reliability(sample, temperature).nll <= reliability(sample).nll + 1e-6
    assert 0 <= reliability(sample).ece <= 1


@pytest.mark.parametrize(("logits", "truth"), [([3.0, -3.0], [1, 0]), ([3.0, -3.0], [0, 1]), ([0.0], [1])])
def test_where_no_temperature_is_best_nothing_is_scaled(logits: list[float], truth: list[int]) -> None:
    assert fit_temperature(sampled(logits, truth)) == 1


def test_the_sample_depends_on_the_cases_alone() -> None:
    draw = torch.Generator().manual_seed(1)
    logits, truth = torch.randn(5, 1, 20, 30, generator=draw), torch.randint(2, (5, 1, 20, 30), generator=draw)
    one, each = LogitSample("binary", most=400), LogitSample("binary", most=400)
    one.add(logits, truth)
    for case in range(5):
        each.add(logits[case : case + 1], truth[case : case + 1])
    assert one.logits.shape == (400, 1)
    assert (one.logits == each.logits).all()
    assert (one.truth == each.truth).all()
    assert set(one.logits.ravel()) < set(logits.double().ravel().tolist())
    # Uniform: of 400 drawn from five equal cases 80 are expected of each, with a deviation of 8.
    of_first = np.isin(one.logits, logits[0].double().numpy()).sum()
    assert 50 < of_first < 110


def test_ignored_pixels_are_left_out_and_classes_stay_together() -> None:
    sample = LogitSample("multiclass", ignore_index=255)
    sample.add(torch.tensor([[[[1.0, 2.0, 3.0]], [[4.0, 5.0, 6.0]]]]), torch.tensor([[[0, 255, 1]]]))
    assert sorted(zip(sample.logits.tolist(), sample.truth.tolist(), strict=True)) == [([1, 4], 0), ([3, 6], 1)]


def test_what_tells_nothing_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="the sample holds no pixel"):
        fit_temperature(LogitSample("binary"))
    with pytest.raises(InvalidInputError, match="a logit is NaN or infinite"):
        reliability(sampled([float("nan")], [1]))
