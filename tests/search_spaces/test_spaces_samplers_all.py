from typing import Any

import numpy as np
import optuna
import pytest
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from search_spaces import Choice, Float, Int, Parameter, Space, SpaceError, When, make_sampler
from search_spaces.history import BEST_KEPT, with_history
from search_spaces.samplers import SAMPLERS

FINITE = Space(
    (
        Parameter("a.kind", Choice(("x", "y"))),
        Parameter("a.depth", Int(1, 3), when=When("a.kind", "x")),
        Parameter("a.share", Float(0, 1, step=0.5)),
    )
)
optuna.logging.set_verbosity(optuna.logging.WARNING)


def run(name: str, trials: int, *, cut: int | None = None, directions: int = 1) -> list[dict[str, Any]]:
    """Draw and tell; after `cut` trials one is left running, brought back by another process and drawn again."""
    study = optuna.create_study(storage=InMemoryStorage(), directions=["maximize"] * directions)
    drawn = []
    for number in range(trials):
        study.sampler = sampler(name, number)
        trial = study.ask()
        if number == cut:
            study.sampler = sampler(name, number)
            trial = optuna.trial.Trial(study, trial._trial_id)
        values = FINITE.suggest(trial)
        drawn.append(values)
        study.tell(
            trial.number, [values["a.share"] - 0.1 * values.get("a.depth", 0)] * directions, skip_if_finished=True
        )
    return drawn


def sampler(name: str, number: int) -> optuna.samplers.BaseSampler:
    made = make_sampler(name, 5, number, n_startup_trials=4, distributions=FINITE.distributions())
    made.after_trial = lambda *_: None  # type: ignore[method-assign]  # as a study here tells: through the storage
    return made


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_trial_is_drawn_the_same_by_whoever_asks(name: str) -> None:
    directions = 2 if name == "nsga2" else 1
    whole = run(name, 9, directions=directions)
    assert run(name, 9, cut=6, directions=directions) == whole
    assert any(values != whole[0] for values in whole)


def test_grid_tries_every_setting_once() -> None:
    drawn = run("grid", int(FINITE.size()))
    assert len({tuple(sorted(values.items())) for values in drawn}) == FINITE.size() == 12


def test_qmc_fills_the_space_more_evenly_than_chance() -> None:
    space = Space((Parameter("a.x", Float(0, 1)), Parameter("a.y", Float(0, 1))))
    boxes: dict[str, set[tuple[int, int]]] = {}
    for name in ("qmc", "random"):
        study = optuna.create_study()
        for number in range(16):
            study.sampler = make_sampler(name, 0, number, distributions=space.distributions())
            values = space.suggest(study.ask())
            boxes.setdefault(name, set()).add((int(values["a.x"] * 4), int(values["a.y"] * 4)))
    assert len(boxes["qmc"]) == 16 > len(boxes["random"])  # Sobol: a point in each of 4 by 4 boxes


def test_what_is_fixed_is_given_and_the_rest_drawn() -> None:
    study = optuna.create_study(sampler=make_sampler("tpe", 0, 0, fixed={"a.kind": "x", "a.depth": 2}))
    values = FINITE.suggest(study.ask())
    assert (values["a.kind"], values["a.depth"]) == ("x", 2)
    assert values["a.share"] in (0, 0.5, 1)


@pytest.mark.parametrize("name", ["tpe", "gp"])
def test_earlier_trials_teach_the_sampler(name: str) -> None:
    space = Space((Parameter("a.x", Float(0, 1)),))
    earlier = [
        optuna.trial.create_trial(params={"a.x": x}, distributions=space.distributions(), value=-abs(x - 0.8))
        for x in np.linspace(0, 1, 21)
    ]
    distances = {}
    for teachers in ([], earlier):
        study = optuna.create_study(direction="maximize")
        far = []
        for number in range(6):
            study.sampler = make_sampler(name, 1, number, earlier=teachers)
            trial = study.ask()
            far.append(abs(space.suggest(trial)["a.x"] - 0.8))
            study.tell(trial, -far[-1])
        distances[len(teachers)] = float(np.mean(far))
    assert distances[21] < 0.5 * distances[0]


def test_a_capped_history_keeps_the_best_and_the_latest() -> None:
    study = optuna.create_study(direction="maximize")
    study.add_trials([optuna.trial.create_trial(value=float(-number)) for number in range(200)])
    seen = with_history(study, [], 60).get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    assert [trial.number for trial in seen] == [*range(BEST_KEPT), *range(165, 200)]
    assert with_history(study, study.trials[:2], 500).get_trials(deepcopy=False)[0].number == -2


def test_qmc_without_a_space_is_refused() -> None:
    with pytest.raises(SpaceError, match="qmc needs the distributions"):
        make_sampler("qmc", 0, 0)
