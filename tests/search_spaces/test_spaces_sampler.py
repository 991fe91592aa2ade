import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend

from search_spaces import Space, SpaceError, make_sampler

SPACE = Space.from_config({"presets": ["loss_weights", "optimizer", "checkpoint_strategies"]})
TRIALS = 14  # eight at random, then six by TPE


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    optuna.logging.set_verbosity(logging.WARNING)
    yield
    optuna.logging.set_verbosity(logging.INFO)


def score(values: dict[str, Any]) -> float:
    return float(values["loss.weights"]["dice"] - abs(values["training.lr"] - 1e-3))


def open_study(storage: BaseStorage) -> optuna.Study:
    return optuna.create_study(storage=storage, study_name="s", direction="maximize", load_if_exists=True)


def ask(study: optuna.Study, name: str, number: int, seed: int = 5) -> optuna.Trial:
    study.sampler = make_sampler(name, study_seed=seed, number=number)
    return study.ask()


def run(study: optuna.Study, name: str, numbers: range, seed: int = 5) -> list[dict[str, Any]]:
    found = []
    for number in numbers:
        trial = ask(study, name, number, seed)
        found.append(SPACE.suggest(trial))
        study.tell(trial, score(found[-1]))
    return found


@pytest.mark.parametrize("name", ["tpe", "random"])
def test_two_studies_of_one_seed_sample_the_same(name: str) -> None:
    first, again, other = (run(open_study(InMemoryStorage()), name, range(TRIALS), seed=seed) for seed in (5, 5, 6))
    assert first == again
    assert all(a["training.lr"] != b["training.lr"] for a, b in zip(first, other, strict=True))
    assert len({values["training.lr"] for values in first}) == TRIALS


@pytest.mark.parametrize("name", ["tpe", "random"])
@pytest.mark.parametrize("stop", [3, 11])
def test_a_study_reloaded_from_its_journal_goes_on_the_same(name: str, stop: int, tmp_path: Path) -> None:
    whole = run(open_study(InMemoryStorage()), name, range(TRIALS))
    for numbers in (range(stop), range(stop, TRIALS)):
        storage = JournalStorage(JournalFileBackend(str(tmp_path / "journal.log")))
        found = run(open_study(storage), name, numbers)
        assert found == whole[numbers.start : numbers.stop]


class Killed(Exception):  # noqa: N818  # an event of the test, no error of the product
    pass


def cut_off(trial: optuna.Trial, after: int) -> None:
    """Suggest the first parameters of a trial, then stop as a kill would."""
    kept = trial.storage.set_trial_param
    count = 0

    def set_trial_param(*arguments: Any) -> None:
        nonlocal count
        if count == after:
            raise Killed
        count += 1
        kept(*arguments)

    trial.storage.set_trial_param = set_trial_param  # type: ignore[method-assign, assignment]  # the fault
    with pytest.raises(Killed):
        SPACE.suggest(trial)


@pytest.mark.parametrize("name", ["tpe", "random"])
@pytest.mark.parametrize("number", [2, 11])
@pytest.mark.parametrize("after", [0, 1, 2, 4, 5])
def test_a_trial_cut_off_between_parameters_gets_the_missing_ones_as_if_nothing_had_happened(
    name: str, number: int, after: int, tmp_path: Path
) -> None:
    whole = run(open_study(InMemoryStorage()), name, range(number + 1))
    path = str(tmp_path / "journal.log")
    study = open_study(JournalStorage(JournalFileBackend(path)))
    run(study, name, range(number))
    cut_off(ask(study, name, number), after)

    study = open_study(JournalStorage(JournalFileBackend(path)))
    frozen = study.trials[number]
    assert frozen.state == optuna.trial.TrialState.RUNNING
    assert len(frozen.params) == after
    study.sampler = make_sampler(name, study_seed=5, number=number)
    assert SPACE.suggest(optuna.trial.Trial(study, frozen._trial_id)) == whole[number]


def test_parameters_do_not_depend_on_python_hashes_or_on_the_process() -> None:
    code = (
        "import optuna, search_spaces as s; optuna.logging.disable_default_handler()\n"
        "study = optuna.create_study(sampler=s.make_sampler('tpe', 5, 0))\n"
        "print(s.preset('optimizer').suggest(study.ask()))"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1


def test_tpe_learns_from_the_finished_trials() -> None:
    scores = [score(values) for values in run(open_study(InMemoryStorage()), "tpe", range(40))]
    assert sum(scores[20:]) / 20 > sum(scores[:8]) / 8 + 0.2


def test_the_random_trials_of_tpe_end_where_asked() -> None:
    seen = []
    for startup in (2, 3):
        study = open_study(InMemoryStorage())
        for number in range(3):
            study.sampler = make_sampler("tpe", 5, number, n_startup_trials=startup)
            study.tell(study.ask({"x": optuna.distributions.FloatDistribution(0, 1)}), number)
        seen.append([trial.params["x"] for trial in study.trials])
    assert seen[0][:2] == seen[1][:2]
    assert seen[0][2] != seen[1][2]


def test_a_sampler_refuses_a_trial_of_another_number() -> None:
    study = open_study(InMemoryStorage())
    trial = ask(study, "tpe", 3)
    with pytest.raises(ValueError, match=r"seeded for trial 3, but trial 0 asks\. Hint: make a sampler for each trial"):
        SPACE.suggest(trial)


def test_a_trial_with_all_parameters_given_needs_no_sampler_of_its_number() -> None:
    study = open_study(InMemoryStorage())
    study.enqueue_trial({"x": 0.25})
    assert ask(study, "tpe", 1).suggest_float("x", 0, 1) == 0.25


def test_arguments_without_sense_are_refused_together() -> None:
    with pytest.raises(SpaceError) as caught:
        make_sampler("tpee", study_seed=-1, number=True, n_startup_trials=0)
    assert str(caught.value).splitlines() == [
        "there is no sampler 'tpee'. Hint: did you mean tpe?",
        "study_seed (-1) must be a whole number of at least 0.",
        "number (True) must be a whole number of at least 0.",
        "n_startup_trials (0) must be a whole number of at least 1.",
    ]
