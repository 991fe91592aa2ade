from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import Choice, Float, Int, Parameter, Simplex, Space, SpaceError, When, preset

STUDY = """
presets: [loss_weights, optimizer]
parameters:
  training.lr: {float: [1e-4, 1e-2], log: true}
  training.batch: {int: [4, 16], step: 4}
  training.dropout: {float: [0.0, 0.5], step: 0.1}
  loss.weights: {simplex: [dice, bce, tversky], min_weight: 0.05}
  checkpoint.strategy: {choice: [best, epoch, interval]}
  checkpoint.interval: {int: [2, 8], when: {checkpoint.strategy: interval}}
  checkpoint.max_checkpoints: {int: [1, 3], when: {checkpoint.strategy: [best, epoch]}}
"""


def test_a_study_file_reads_as_the_space_it_names() -> None:
    space = Space.from_config(yaml.safe_load(STUDY))
    assert space.parameters == (
        Parameter("loss.weights", Simplex(("dice", "bce", "tversky"), min_weight=0.05)),
        Parameter("training.optimizer", Choice(("adamw", "sgd"))),
        Parameter("training.lr", Float(1e-4, 1e-2, log=True)),
        Parameter("training.weight_decay", Float(1e-6, 1e-2, log=True)),
        Parameter("training.momentum", Float(0.8, 0.99), when=When("training.optimizer", "sgd")),
        Parameter("training.batch", Int(4, 16, step=4)),
        Parameter("training.dropout", Float(0.0, 0.5, step=0.1)),
        Parameter("checkpoint.strategy", Choice(("best", "epoch", "interval"))),
        Parameter("checkpoint.interval", Int(2, 8), when=When("checkpoint.strategy", "interval")),
        Parameter("checkpoint.max_checkpoints", Int(1, 3), when=When("checkpoint.strategy", ("best", "epoch"))),
    )


def test_a_space_written_and_read_again_is_the_same() -> None:
    space = Space.from_config(yaml.safe_load(STUDY))
    written = yaml.safe_dump(space.to_config(), sort_keys=False)
    assert Space.from_config(yaml.safe_load(written)) == space
    assert yaml.safe_load(written)["parameters"]["checkpoint.interval"] == {
        "int": [2, 8],
        "when": {"checkpoint.strategy": "interval"},
    }


FLOATS = st.builds(
    lambda low, width, log: Float(low, low + width, log=log),
    st.floats(1e-9, 1e9),
    st.floats(1, 1e9),
    st.booleans(),
)
INTS = st.builds(
    lambda low, step, count: Int(low, low + step * count, step=step),
    st.integers(-100, 100),
    st.integers(1, 9),
    st.integers(1, 9),
)
CHOICES = st.lists(st.one_of(st.none(), st.integers(), st.text("abc ~.")), min_size=2, max_size=4, unique=True).map(
    lambda options: Choice(tuple(options))
)
SIMPLEXES = st.builds(Simplex, st.permutations(["dice", "bce", "focal"]), st.floats(0, 0.3))


@given(st.lists(st.one_of(FLOATS, INTS, CHOICES, SIMPLEXES), max_size=4))
def test_any_space_survives_its_yaml(distributions: list[Any]) -> None:
    space = Space(tuple(Parameter(f"a.p{i}", distribution) for i, distribution in enumerate(distributions)))
    assert Space.from_config(yaml.safe_load(yaml.safe_dump(space.to_config()))) == space


def test_presets_may_be_one_name_and_know_the_mode() -> None:
    assert Space.from_config({"presets": "loss_weights"}, mode="multiclass") == preset(
        "loss_weights", mode="multiclass"
    )
    assert len(Space.from_config({})) == 0


def test_a_preset_named_twice_counts_once() -> None:
    assert Space.from_config({"presets": ["optimizer", "optimizer"]}) == preset("optimizer")


def test_a_presets_condition_that_can_no_longer_hold_falls_away() -> None:
    config = {
        "presets": "checkpoint_strategies",
        "parameters": {"checkpoint.strategy": {"choice": ["best", "epoch"]}},
    }
    names = [parameter.name for parameter in Space.from_config(config).parameters]
    assert names == ["checkpoint.averaging", "checkpoint.ema_decay", "checkpoint.strategy"]


def test_all_problems_of_a_study_file_come_at_once() -> None:
    config = yaml.safe_load("""
preset: optimizer
presets: [optimiser, loss_weights]
parameters:
  training.lr: {float: [0.1, 0.01], lgo: true}
  training.batch: {int: [4, 16], step: 5, when: {training.lr: 0.1}}
  training.kind: {chioce: [a, b]}
  training.rate: 0.1
  training.both: {int: [1, 2], float: [0, 1]}
  training.none: {log: true}
  a.one: {float: 0.1, when: {a.b: 1, c: 2}}
  training.powers: {choice: [1e-4, 1e-3]}
  training.listed: {choice: best}
  loss..weights: {simplex: [dice]}
  a.b: {int: [1, 2], when: {training.kind: a}}
  a.c: {int: [1, 2], when: {a.x: a}}
""")
    with pytest.raises(SpaceError) as caught:
        Space.from_config(config)
    p = "search.space.parameters"
    assert str(caught.value).splitlines() == [
        "search.space: unknown key 'preset'. Hint: did you mean presets?",
        "search.space.presets: there is no preset 'optimiser'. Hint: did you mean optimizer?",
        f"{p}.training.lr: unknown key 'lgo'. Hint: did you mean log?",
        f"{p}.training.lr: low (0.1) must be below high (0.01). Hint: swap them.",
        f"{p}.training.batch: step (5) does not divide the range 4 to 16. Hint: end the range at 14.",
        f"{p}.training.kind: names no range. Hint: did you mean choice?",
        f"{p}.training.rate: must be a mapping, found 0.1. Hint: write it as {{float: [0.1, 1.0]}}.",
        f"{p}.training.both: is both int and float. Hint: keep one.",
        f"{p}.training.none: names no range. Hint: choose from float, int, choice, simplex, derived.",
        f"{p}.a.one: must have two bounds, found 0.1. Hint: write [low, high].",
        f"{p}.a.one: when: must name one parameter, found {{'a.b': 1, 'c': 2}}. Hint: write it as {{name: value}}.",
        f"{p}.training.powers: option 1e-4 is text to YAML. Hint: write it with a point, as 1.0e-4.",
        f"{p}.training.listed: the options must be a list, found 'best'.",
        f"{p}.loss..weights: 'loss..weights' is no setting's name. Hint: write its dotted path, as training.lr.",
        f"{p}.loss..weights: weights need two terms to share. Hint: set a single term in the study file itself.",
        f"{p}.a.c: when: a.x is no parameter of this space. Hint: did you mean a.b?",
    ]


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ([], "search.space: must be a mapping with presets and parameters, found []."),
        ({"presets": 3}, "search.space.presets: must be a name or a list of names, found 3."),
        ({"presets": [3]}, "search.space.presets: must be a name or a list of names, found [3]."),
        ({"parameters": ["a"]}, "search.space.parameters: must be a mapping from setting to range, found ['a']."),
    ],
)
def test_a_section_of_another_shape_is_refused(config: Any, problem: str) -> None:
    with pytest.raises(SpaceError) as caught:
        Space.from_config(config)
    assert caught.value.problems == (problem,)
