"""Search quality on recorded learning curves: epochs until the best found reaches the table's 98th percentile.

Each search draws a setting, gets the recorded curve of the nearest setting in benchmarks/curves.csv.gz (which
benchmarks/curves.py made) that it has not had yet, an epoch at a time, and may stop it. (With repeats, a model that
likes one place would be given the same numbers for ever, which no training does.) Nothing is trained, one trial runs at
a time, and every search sees the same table. The stock side is what Ray Tune's OptunaSearch and ASHAScheduler do at
their defaults: Optuna's TPE, told the last value of every trial as complete, and ASHA from epoch 1, of which the best
quarter go on.

    python benchmarks/search.py [--seeds 200] [--processes 2]
"""

import argparse
import csv
import gzip
import multiprocessing
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna

from benchmarks.curves import EPOCHS, SPACE
from search_spaces import Space, make_sampler
from search_spaces.sampler import N_STARTUP_TRIALS
from tuning.config import SchedulerConfig
from tuning.rules import make_rule, score_of

PERCENTILE = 98
_NAMES = ("loss.weights~dice", "loss.weights~bce", "training.lr", "training.weight_decay", "training.momentum")
_SGD = "sgd"
_DISTRIBUTIONS = Space.from_config(SPACE).distributions()


class Table:
    """Recorded curves and where each setting lies in the unit cube."""

    def __init__(self, path: Path) -> None:
        settings: dict[int, dict[str, str]] = {}
        curves: dict[int, list[float]] = {}
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                settings[int(row["trial"])] = row
                curves.setdefault(int(row["trial"]), []).append(float(row["dice"]))
        self.curves = np.array([curves[trial] for trial in settings])
        self.points = np.array([_place(row) for row in settings.values()])
        self.target = float(np.percentile(self.curves.max(axis=1), PERCENTILE))

        self._had = np.zeros(len(settings), dtype=bool)

    def curve(self, params: dict[str, Any]) -> list[float]:
        """Dice by epoch of the nearest recorded setting that was not had yet; one is always left before the target."""
        distances = ((self.points - _place(params)) ** 2).sum(axis=1)
        nearest = int(np.argmin(np.where(self._had, np.inf, distances)))
        self._had[nearest] = True
        return [float(dice) for dice in self.curves[nearest]]

    def __len__(self) -> int:
        return len(self.curves)


def _place(params: dict[str, Any]) -> Any:
    place = [1.0 if params["training.optimizer"] == _SGD else 0.0]
    for name in _NAMES:
        found: Any = _DISTRIBUTIONS[name]
        if params.get(name) in (None, ""):
            place.append(0.5)
            continue
        value, low, high = float(params[name]), found.low, found.high
        place.append(float(np.log(value / low) / np.log(high / low)) if found.log else (value - low) / (high - low))
    return np.array(place)


def ours(
    table: Table, seed: int, *, sampler: str = "tpe", scheduler: dict[str, Any], startup: int = N_STARTUP_TRIALS
) -> int:
    """Epochs that segtune needs; as many as the table has where every such setting was stopped too early."""
    config = SchedulerConfig(**scheduler)
    space, rule = Space.from_config(SPACE), make_rule(config, EPOCHS)
    study, spent = optuna.create_study(direction="maximize"), 0
    for number in range(len(table)):
        study.sampler = make_sampler(
            sampler, seed, number, n_startup_trials=startup, distributions=space.distributions()
        )
        trial = study.ask()
        space.suggest(trial)
        seen: dict[int, float] = {}
        stopped = False
        for epoch, dice in enumerate(table.curve(trial.params), start=1):
            spent, seen[epoch] = spent + 1, dice
            if dice >= table.target:
                return spent
            trial.report(dice, epoch)
            stopped = bool(rule and rule.judge(number, epoch, score_of(seen, epoch, config.score)) and epoch < EPOCHS)
            if stopped:
                break
        state = optuna.trial.TrialState.PRUNED if stopped else optuna.trial.TrialState.COMPLETE
        # As the journal is told: the best Dice also of a pruned trial. Optuna's tell takes no value for one.
        study._storage.set_trial_state_values(trial._trial_id, state, [max(seen.values())])  # noqa: SLF001
    return table.curves.size


def stock(table: Table, seed: int) -> int:
    """Epochs that OptunaSearch and ASHAScheduler need at their defaults."""
    from ray.tune.schedulers import ASHAScheduler, TrialScheduler

    space, spent = Space.from_config(SPACE), 0
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    asha = ASHAScheduler(time_attr="epoch", metric="dice", mode="max", max_t=EPOCHS)
    for _ in range(len(table)):
        trial = study.ask()
        space.suggest(trial)
        stand_in, dice = SimpleNamespace(trial_id=str(trial.number)), 0.0
        asha.on_trial_add(None, stand_in)
        for epoch, dice in enumerate(table.curve(trial.params), start=1):
            spent += 1
            if dice >= table.target:
                return spent
            if asha.on_trial_result(None, stand_in, {"epoch": epoch, "dice": dice}) == TrialScheduler.STOP:
                break
        study.tell(trial, dice)
    return table.curves.size


SEARCHES: dict[str, Callable[[Table, int], int]] = {
    "random, no early stop": partial(ours, sampler="random", scheduler={"type": "none"}),
    "stock OptunaSearch + ASHA": stock,
    "segtune, score last (default)": partial(ours, scheduler={}),
    "segtune, score best": partial(ours, scheduler={"score": "best"}),
    "segtune, score smoothed": partial(ours, scheduler={"score": "smoothed"}),
    "segtune, grace 1": partial(ours, scheduler={"grace": 1}),
    "segtune, grace 1, score best": partial(ours, scheduler={"grace": 1, "score": "best"}),
    "segtune, grace 1, reduction 4, 5 at random": partial(ours, scheduler={"grace": 1, "reduction": 4}, startup=5),
}


def run_search(job: tuple[str, int]) -> int:
    """Run one search of `SEARCHES` with one seed."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    table = Table(Path(__file__).with_name("curves.csv.gz"))
    return SEARCHES[job[0]](table, job[1])


def interval(values: list[int], rounds: int = 2000) -> tuple[float, float]:
    """95 % bootstrap interval of the median."""
    drawn = np.random.default_rng(0).choice(values, size=(rounds, len(values)))
    low, high = np.percentile(np.median(drawn, axis=1), [2.5, 97.5])
    return float(low), float(high)


def main() -> None:
    """Run every search with every seed and print the table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--seeds", type=int, default=200)
    arguments.add_argument("--processes", type=int, default=2)
    chosen = arguments.parse_args()
    medians: dict[str, float] = {}
    print("| search | median epochs | 95 % interval | × random | × stock |\n|---|---|---|---|---|")
    with multiprocessing.get_context("spawn").Pool(chosen.processes) as pool:
        for name in SEARCHES:
            epochs = pool.map(run_search, [(name, seed) for seed in range(chosen.seeds)], chunksize=4)
            medians[name] = statistics.median(epochs)
            low, high = interval(epochs)
            shown = " | ".join(
                f"{medians[name] / medians[other]:.2f}" if other in medians else "" for other in list(SEARCHES)[:2]
            )
            print(f"| {name} | {medians[name]:g} | {low:g} to {high:g} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
