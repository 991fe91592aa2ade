import pickle
import subprocess
import sys
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

import search_spaces
from search_spaces import Choice, Derived, Distribution, Float, Int, Parameter, Simplex, Space, SpaceError, When

STRATEGY = Parameter("checkpoint.strategy", Choice(("best", "epoch", "interval")))
INTERVAL = Parameter("checkpoint.interval", Int(2, 8), when=When("checkpoint.strategy", "interval"))


def suggest(space: Space, **params: Any) -> dict[str, Any]:
    return space.suggest(optuna.trial.FixedTrial({name.replace("__", "."): value for name, value in params.items()}))


def test_importing_the_room_does_not_load_optuna() -> None:
    code = (
        "import search_spaces as s, sys; s.Space.from_config({'presets': 'optimizer'}); print('optuna' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "False\n"


def test_every_public_name_is_there() -> None:
    assert all(hasattr(search_spaces, name) for name in search_spaces.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = search_spaces.nothing


def test_a_conditional_parameter_is_sampled_only_when_its_condition_holds() -> None:
    space = Space((INTERVAL, STRATEGY))
    assert suggest(space, checkpoint__strategy="best") == {"checkpoint.strategy": "best"}
    both = suggest(space, checkpoint__strategy="interval", checkpoint__interval=3)
    assert list(both.items()) == [("checkpoint.interval", 3), ("checkpoint.strategy", "interval")]


def test_a_condition_may_name_several_values_and_an_int() -> None:
    extra = Parameter("a.extra", Float(0, 1), when=When("a.depth", (2, 3)))
    space = Space((Parameter("a.depth", Int(1, 3)), extra))
    assert suggest(space, a__depth=1) == {"a.depth": 1}
    assert suggest(space, a__depth=3, a__extra=0.5) == {"a.depth": 3, "a.extra": 0.5}


def test_conditions_nest() -> None:
    kind = Parameter("a.kind", Choice(("x", "y")))
    depth = Parameter("a.depth", Int(1, 2), when=When("a.kind", "x"))
    leaf = Parameter("a.leaf", Float(0, 1), when=When("a.depth", 2))
    space = Space((leaf, depth, kind))
    assert suggest(space, a__kind="y", a__depth=2, a__leaf=0.5) == {"a.kind": "y"}
    assert suggest(space, a__kind="x", a__depth=1, a__leaf=0.5) == {"a.depth": 1, "a.kind": "x"}
    assert suggest(space, a__kind="x", a__depth=2, a__leaf=0.5) == {"a.leaf": 0.5, "a.depth": 2, "a.kind": "x"}
    assert space.holding("a.leaf") == {"a.kind": "x", "a.depth": 2}


def test_a_derived_setting_follows_its_source_and_occurs_where_it_does() -> None:
    strategy = {"choice": ["best", "interval"]}
    space = Space.from_config(
        {
            "parameters": {
                "loss.beta": {"derived": "loss.alpha", "scale": -1, "offset": 1},
                "loss.alpha": {"float": [0.1, 0.9]},
                "checkpoint.strategy": strategy,
                "checkpoint.interval": {"int": [2, 5], "when": {"checkpoint.strategy": "interval"}},
                "checkpoint.max_checkpoints": {"derived": "checkpoint.interval", "scale": 2},
            }
        }
    )
    values = suggest(space, loss__alpha=0.25, checkpoint__strategy="interval", checkpoint__interval=3)
    assert (values["loss.beta"], values["checkpoint.max_checkpoints"]) == (0.75, 6)
    assert isinstance(values["checkpoint.max_checkpoints"], int)
    assert "checkpoint.max_checkpoints" not in suggest(space, loss__alpha=0.25, checkpoint__strategy="best")
    assert space.describe()[0] == "loss.beta                   1 - loss.alpha"
    assert Space.from_config(space.to_config()) == space
    assert set(space.distributions()) == {"loss.alpha", "checkpoint.strategy", "checkpoint.interval"}


def test_the_size_counts_the_different_settings() -> None:
    strategy = Parameter("checkpoint.strategy", Choice(("best", "interval")))
    interval = Parameter("checkpoint.interval", Int(2, 5), when=When("checkpoint.strategy", "interval"))
    assert Space((strategy, interval)).size() == 1 + 4
    assert Space((strategy, interval, Parameter("a.b", Float(0, 1, step=0.5)))).size() == 5 * 3
    assert Space((strategy, Parameter("a.b", Float(0, 1)))).size() == float("inf")


def test_examples_are_what_a_study_with_the_random_sampler_draws_first() -> None:
    space = Space((STRATEGY, INTERVAL, Parameter("training.lr", Float(1e-4, 1e-2, log=True))))
    study = optuna.create_study(sampler=search_spaces.make_sampler("random", 3, 0))
    assert space.examples(1, seed=3) == [space.suggest(study.ask())]
    assert space.examples(3) == space.examples(5)[:3]


def test_a_finished_trial_gives_its_values_again() -> None:
    space = Space((Parameter("loss.weights", Simplex(("dice", "bce", "focal"))), STRATEGY, INTERVAL))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=3))
    for _ in range(10):
        trial = study.ask()
        values = space.suggest(trial)
        study.tell(trial, 1.0)
        assert space.suggest(study.trials[-1]) == values


def test_distributions_are_those_that_suggest_leaves_in_the_trial() -> None:
    parameters = [
        Parameter("training.lr", Float(1e-4, 1e-2, log=True)),
        Parameter("training.drop", Float(0, 0.5, step=0.1)),
        Parameter("training.batch", Int(4, 16, step=4)),
        Parameter("training.width", Int(8, 64, log=True)),
        Parameter("training.nesterov", Choice((True, False, None))),
        Parameter("loss.weights", Simplex(("dice", "bce", "focal"))),
    ]
    space = Space(tuple(parameters))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=3))
    trial = study.ask()
    values = space.suggest(trial)
    assert trial.distributions == space.distributions()
    assert space.distributions() == {
        "training.lr": FloatDistribution(1e-4, 1e-2, log=True),
        "training.drop": FloatDistribution(0, 0.5, step=0.1),
        "training.batch": IntDistribution(4, 16, step=4),
        "training.width": IntDistribution(8, 64, log=True),
        "training.nesterov": CategoricalDistribution((True, False, None)),
        "loss.weights~dice": FloatDistribution(0, 1),
        "loss.weights~bce": FloatDistribution(0, 1),
    }
    assert list(values) == [parameter.name for parameter in parameters]


def test_describe_gives_an_aligned_line_for_each_parameter() -> None:
    weights = Parameter("loss.weights", Simplex(("dice", "bce"), min_weight=0))
    either = Parameter("a.b", Float(0, 1, step=0.5), when=When("checkpoint.strategy", ("best", "epoch")))
    assert Space((STRATEGY, INTERVAL, weights, either)).describe() == [
        "checkpoint.strategy  one of best, epoch, interval",
        "checkpoint.interval  int 2 to 8, when checkpoint.strategy is interval",
        "loss.weights         weights of dice, bce with sum 1, under 0 becomes 0",
        "a.b                  float 0 to 1, step 0.5, when checkpoint.strategy is best or epoch",
    ]
    assert Space(()).describe() == []


def test_spaces_add_up_and_refuse_a_clash() -> None:
    rate = Space((Parameter("training.lr", Float(1e-4, 1e-2)),))
    both = rate + Space((STRATEGY, INTERVAL))
    assert len(both) == 3
    assert both.parameters[0].name == "training.lr"
    with pytest.raises(SpaceError) as caught:
        both + rate
    assert str(caught.value) == "training.lr: named twice. Hint: keep one of the two."


def when(parameter: str, equals: Any) -> Parameter:
    return Parameter("a.b", Float(0, 1), when=When(parameter, equals))


@pytest.mark.parametrize(
    ("parameters", "problems"),
    [
        (
            [STRATEGY, when("checkpoint.stratgy", "best")],
            ["a.b: when: checkpoint.stratgy is no parameter of this space. Hint: did you mean checkpoint.strategy?"],
        ),
        (
            [when("x.y", "best")],
            ["a.b: when: x.y is no parameter of this space. Hint: add it to the space."],
        ),
        (
            [STRATEGY, when("checkpoint.strategy", ("best", "latest", 3))],
            [
                "a.b: when: checkpoint.strategy can never be 'latest'. Hint: it is one of best, epoch, interval.",
                "a.b: when: checkpoint.strategy can never be 3. Hint: it is one of best, epoch, interval.",
            ],
        ),
        (
            [Parameter("x.y", Int(2, 8, step=2)), when("x.y", 3)],
            ["a.b: when: x.y can never be 3. Hint: it is int 2 to 8, step 2."],
        ),
        (
            [
                Parameter("a.c", Choice((1, 2)), when=When("a.b", 1)),
                Parameter("a.b", Choice((1, 2)), when=When("a.c", 1)),
            ],
            ["a.c: decides on itself: a.c -> a.b -> a.c. Hint: break the circle."],
        ),
        (
            [STRATEGY, Parameter("a.b", Derived("checkpoint.strategy"))],
            ["a.b: derived: checkpoint.strategy must be a float or an int, is one of best, epoch, interval."],
        ),
        (
            [Parameter("x.alpha", Float(0, 1)), Parameter("x.beta", Derived("x.alfa"))],
            ["x.beta: derived: x.alfa is no parameter of this space. Hint: did you mean x.alpha?"],
        ),
        (
            [Parameter("x.y", Float(0, 1)), when("x.y", 0.5)],
            ["a.b: when: x.y must be a choice or an int, is a float 0 to 1."],
        ),
        (
            [
                Parameter("loss.weights", Simplex(("dice", "bce"))),
                Parameter("loss.weights.dice", Float(0, 1)),
                STRATEGY,
                STRATEGY,
            ],
            [
                "checkpoint.strategy: named twice. Hint: keep one of the two.",
                "loss.weights.dice: lies inside loss.weights, which is searched as a whole. Hint: keep one of the two.",
            ],
        ),
    ],
)
def test_parameters_that_do_not_fit_together_are_refused(parameters: list[Parameter], problems: list[str]) -> None:
    with pytest.raises(SpaceError) as caught:
        Space(tuple(parameters))
    assert list(caught.value.problems) == problems


@pytest.mark.parametrize(
    ("kind", "arguments", "problems"),
    [
        (Float, (0.1, 0.01), ["low (0.1) must be below high (0.01). Hint: swap them."]),
        (
            Float,
            (1, 1),
            ["low and high are both 1: nothing to search. Hint: set the value in the study file itself."],
        ),
        (Float, (0, 1, True), ["a log scale needs low above 0, found 0. Hint: raise low or leave log out."]),
        (
            Float,
            (1, -1, True),
            [
                "low (1) must be below high (-1). Hint: swap them.",
            ],
        ),
        (Float, (1, 2, True, 0.5), ["log and step exclude each other. Hint: leave one out."]),
        (Float, (1, 2, False, 0), ["step (0) must be above 0."]),
        (Float, (0, 1, False, 0.3), ["step (0.3) does not divide the range 0 to 1. Hint: end the range at 0.9."]),
        (Int, (4, 16, False, 20), ["step (20) does not divide the range 4 to 16. Hint: use a step of at most 12."]),
        (
            Float,
            ("a", float("inf"), 1),
            [
                "low ('a') must be a finite number.",
                "high (inf) must be a finite number.",
                "log (1) must be true or false.",
            ],
        ),
        (Int, (True, 2.5), ["low (True) must be a whole number.", "high (2.5) must be a whole number."]),
        (Choice, ("best",), ["the options must be a list, found 'best'."]),
        (Choice, (("best", "best"),), ["two of the options ['best', 'best'] are equal. Hint: name each once."]),
        (Choice, ((1, True),), ["two of the options [1, True] are equal. Hint: name each once."]),
        (
            Choice,
            (([1],),),
            [
                "option [1] must be text, a finite number, true, false or null.",
                "one needs two options to choose. Hint: set a single value in the study file itself.",
            ],
        ),
    ],
)
def test_a_distribution_without_sense_is_refused(
    kind: type[Distribution], arguments: tuple[Any, ...], problems: list[str]
) -> None:
    with pytest.raises(SpaceError) as caught:
        kind(*arguments)
    assert list(caught.value.problems) == problems


@pytest.mark.parametrize("name", ["", "a..b", "loss.weights~dice", ".a", "1a", None, "a b"])
def test_a_name_that_is_no_dotted_path_is_refused(name: Any) -> None:
    with pytest.raises(SpaceError, match=r"is no setting's name. Hint: write its dotted path, as training\.lr\."):
        Parameter(name, Int(1, 2))


def test_a_condition_without_a_value_is_refused() -> None:
    with pytest.raises(SpaceError, match=r"when: no value of a\.b is named\."):
        When("a.b", ())


def test_the_error_is_a_value_error_and_survives_pickling() -> None:
    error = SpaceError("one: bad.", "two: bad.")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301  # our own bytes: Ray carries errors this way
    assert isinstance(again, SpaceError)
    assert issubclass(SpaceError, ValueError)
    assert again.problems == ("one: bad.", "two: bad.")
    assert str(again) == "one: bad.\ntwo: bad."
