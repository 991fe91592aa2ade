"""Averages of weights against torch's own, written-out formulas, and what no average may do."""

import copy
import math
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

from components.averaging import ExponentialAverage, StochasticAverage, greedy_soup, recompute_batch_norm
from components.checkpoints import CheckpointManager
from components.errors import InvalidInputError


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5), nn.Conv2d(2, 1, 1))


def moving(model: nn.Module, steps: int) -> Iterator[nn.Module]:
    """The model at each of some steps of a random walk."""
    for _ in range(steps):
        with torch.no_grad():
            for tensor in (*model.parameters(), *model.buffers()):
                tensor.add_(1) if tensor.dtype == torch.int64 else tensor.add_(torch.randn_like(tensor))
        yield model


def assert_equal(one: nn.Module, other: nn.Module) -> None:
    for (name, left), right in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        if left.is_floating_point():  # torch averages counters too, here they are the last ones
            torch.testing.assert_close(left, right, msg=name)


def test_the_mean_of_epochs_is_torchs() -> None:
    model = network()
    ours, theirs = StochasticAverage(model), AveragedModel(model)
    for step in moving(model, 5):
        ours.update(step)
        theirs.update_parameters(step)
    for left, right in zip(ours.network.parameters(), theirs.module.parameters(), strict=True):
        torch.testing.assert_close(left, right)
    assert ours.count == 5


def test_the_exponential_average_is_torchs_once_its_ramp_has_ended() -> None:
    model = network()
    ours = ExponentialAverage(model, decay=0.3)
    theirs = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.3), use_buffers=True)  # type: ignore[no-untyped-call]
    for step in moving(model, 3):  # (1 + t) / (10 + t) reaches 0.3 at t = 3
        ours.update(step)
    theirs.load_state_dict(ours.state_dict())
    for step in moving(model, 4):
        ours.update(step)
        theirs.update_parameters(step)
    assert_equal(ours.network, theirs.module)


def test_the_ramp_follows_the_formula() -> None:
    model = nn.Linear(1, 1, bias=False)
    average, expected = ExponentialAverage(model, decay=0.9), 0.0
    for step, value in enumerate([5.0, 1.0, 2.0, 7.0]):
        nn.init.constant_(model.weight, value)
        average.update(model)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = value if step == 0 else decay * expected + (1 - decay) * value
        assert float(average.network.state_dict()["weight"]) == pytest.approx(expected)


def test_an_average_shares_no_memory_and_counts_what_are_no_floats() -> None:
    model = network()
    average = ExponentialAverage(model, decay=0.0)
    for step in moving(model, 3):
        average.update(step)
    assert_equal(average.network, model)  # with no decay it is the network
    assert int(average.network.state_dict()["1.num_batches_tracked"]) == 3
    before = copy.deepcopy(average.network.state_dict())
    for _ in moving(model, 1):
        pass
    assert all(torch.equal(value, before[name]) for name, value in average.network.state_dict().items())


@pytest.mark.parametrize("kind", [ExponentialAverage, StochasticAverage])
def test_an_average_goes_on_from_a_checkpoint_bit_for_bit(kind: type, tmp_path: object) -> None:
    model = network()
    whole = kind(model)
    for step in moving(model, 3):
        whole.update(step)
    manager = CheckpointManager(str(tmp_path))
    manager.save_checkpoint(model, epoch=1, metrics={"val_dice": 0.5}, ema=whole)
    again = kind(network(7))
    manager.load_checkpoint("best", network(8), ema=again)
    for step in moving(model, 3):
        whole.update(step)
        again.update(step)
    assert again.count == whole.count == 6
    assert all(torch.equal(value, whole.state_dict()[name]) for name, value in again.state_dict().items())


@pytest.mark.parametrize("decay", [-0.1, 1.0, math.nan])
def test_a_decay_out_of_range_is_refused(decay: float) -> None:
    with pytest.raises(InvalidInputError, match="ema decay"):
        ExponentialAverage(network(), decay)


def test_recomputed_statistics_are_those_of_the_data() -> None:
    model = network().eval()
    images = torch.randn(8, 1, 6, 6) * 3 + 1
    state = torch.get_rng_state()
    recompute_batch_norm(model, torch.split(images, 4))
    assert torch.equal(torch.get_rng_state(), state)
    assert not model.training
    features = model[0](images).detach()
    torch.testing.assert_close(model[1].running_mean, features.mean((0, 2, 3)))
    batches = torch.stack([part.var((0, 2, 3)) for part in torch.split(features, 4)])
    torch.testing.assert_close(model[1].running_var, batches.mean(0))
    other = network().eval()
    update_bn(torch.split(images, 4), other)
    torch.testing.assert_close(model[1].running_var, other[1].running_var)


def test_without_batch_norm_no_image_is_looked_at() -> None:
    def images() -> Iterator[Tensor]:
        raise AssertionError
        yield

    recompute_batch_norm(nn.Conv2d(1, 1, 1), images())


def points(values: list[float]) -> list[dict[str, Tensor]]:
    return [
        {"w": torch.tensor([value], dtype=torch.float64), "n": torch.tensor(place)}
        for place, value in enumerate(values)
    ]


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=8))
def test_a_soup_is_never_worse_than_its_best_candidate_and_is_the_mean_of_its_ingredients(values: list[float]) -> None:
    def score(weights: dict[str, Tensor]) -> float:
        return -abs(float(weights["w"]) - 1)

    candidates = sorted(points(values), key=score, reverse=True)
    soup = greedy_soup(candidates, score, score(candidates[0]))
    assert soup.score >= max(score(candidate) for candidate in candidates)
    assert soup.score == pytest.approx(score(soup.weights))
    mean = sum(float(candidates[place]["w"]) for place in soup.accepted) / len(soup.accepted)
    assert float(soup.weights["w"]) == pytest.approx(mean)
    assert soup.accepted[0] == 0
    assert soup.weights["n"] == candidates[0]["n"]


def test_an_equal_score_is_no_gain_and_nan_is_never_accepted() -> None:
    assert greedy_soup(points([1.0, 1.0]), lambda _: 0.5, first=0.5).accepted == (0,)
    assert greedy_soup(points([1.0, 2.0]), lambda _: math.nan, first=0.5).accepted == (0,)
    tried: list[float] = []

    def score(weights: dict[str, Tensor]) -> float:
        tried.append(float(weights["w"]))
        return 1.0

    assert greedy_soup(points([1.0, math.nan, 3.0]), score, first=0.5).accepted == (0, 2)
    assert tried == [2.0]


@pytest.mark.parametrize(
    ("candidates", "message"),
    [
        ([], "at least one"),
        (points([math.nan]), "NaN"),
        ([*points([1.0]), {"w": torch.zeros(2), "n": torch.tensor(0)}], "candidate 1 has other tensors"),
    ],
)
def test_a_soup_refuses_what_cannot_be(candidates: list[dict[str, Tensor]], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        greedy_soup(candidates, lambda _: 0.0, first=0.0)
