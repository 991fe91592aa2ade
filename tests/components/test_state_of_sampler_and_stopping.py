"""Sampler and early stopping: what they do, and that they go on where they were."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from components.data import ResumableSampler
from components.errors import InvalidInputError
from components.training import EarlyStopping


@given(cases=st.integers(1, 20), seed=st.integers(0, 2**32), drawn=st.integers(0, 60))
def test_a_sampler_left_anywhere_goes_on_as_if_it_had_not_been(cases: int, seed: int, drawn: int) -> None:
    def stream(sampler: ResumableSampler, count: int) -> list[int]:
        found: list[int] = []
        while len(found) < count:
            for index in sampler:
                found.append(index)
                if len(found) == count:
                    break
        return found

    whole = stream(ResumableSampler(cases, seed=seed), drawn + 30)
    left = ResumableSampler(cases, seed=seed)
    first = stream(left, drawn)
    again = ResumableSampler(cases, seed=0)
    again.load_state_dict(json.loads(json.dumps(left.state_dict())))
    assert first + stream(again, 30) == whole
    for epoch in range(drawn // cases):
        assert sorted(whole[epoch * cases : (epoch + 1) * cases]) == list(range(cases))


def test_epochs_differ_in_order_and_shuffle_can_be_off() -> None:
    sampler = ResumableSampler(30, seed=1)
    assert list(sampler) != list(sampler)
    assert list(ResumableSampler(3, seed=1, shuffle=False)) == [0, 1, 2]


def test_it_drives_a_data_loader_and_counts_what_is_left() -> None:
    sampler = ResumableSampler(5, seed=0, shuffle=False)
    loader: DataLoader[int] = DataLoader(list(range(5)), batch_size=2, sampler=sampler)  # type: ignore[arg-type]
    assert next(iter(loader)).tolist() == [0, 1]
    sampler.at(2)
    assert len(sampler) == 3
    assert [batch.tolist() for batch in loader] == [[2, 3], [4]]


def test_a_sampler_refuses_what_cannot_be() -> None:
    with pytest.raises(InvalidInputError, match="found 0 cases"):
        ResumableSampler(0, seed=0)
    with pytest.raises(InvalidInputError, match="position 6, must be 0 to 5"):
        ResumableSampler(5, seed=0).at(6)
    with pytest.raises(InvalidInputError, match="of 4 cases, there are 5"):
        ResumableSampler(5, seed=0).load_state_dict(ResumableSampler(4, seed=0).state_dict())


def test_training_ends_after_patience_epochs_without_a_gain() -> None:
    stopping = EarlyStopping(patience=2, min_delta=0.05)
    assert [stopping.step(dice) for dice in (0.5, 0.54, 0.6, float("nan"), 0.64)] == [False, False, False, False, True]
    falling = EarlyStopping(patience=1, mode="min")
    assert [falling.step(loss) for loss in (0.5, 0.4, 0.4)] == [False, False, True]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.integers(0, 20))
def test_early_stopping_goes_on_where_it_was(metrics: list[float], left: int) -> None:
    whole, first, second = (EarlyStopping(patience=3) for _ in range(3))
    said = [whole.step(metric) for metric in metrics]
    before = [first.step(metric) for metric in metrics[:left]]
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert before + [second.step(metric) for metric in metrics[left:]] == said


@pytest.mark.parametrize("wrong", [{"patience": 0}, {"patience": 1, "min_delta": -1}, {"patience": 1, "mode": "up"}])
def test_early_stopping_refuses_what_cannot_be(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError, match="early stopping"):
        EarlyStopping(**wrong)  # type: ignore[arg-type]
