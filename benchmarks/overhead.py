"""Seconds a one-step trial: segtune beside stock Ray Tune, in one run.

The stock side is what a person writes by hand: a function trainable that trains one step of the same network and
saves nothing, with OptunaSearch, its random sampler, and ASHA. segtune does the same step and, beside it, validates,
checkpoints, journals and writes its record.

    python benchmarks/overhead.py [--trials 64] [--repeats 3]
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

_HERE = Path(__file__).parent


def main() -> None:
    """Run both sides in turn, each in a process of its own, and print the table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--trials", type=int, default=64)
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--side", choices=["segtune", "stock"])
    chosen = arguments.parse_args()
    if chosen.side:
        print((_run_segtune if chosen.side == "segtune" else _run_stock)(chosen.trials))
        return
    seconds: dict[str, list[float]] = {"segtune": [], "stock": []}
    for _ in range(chosen.repeats):
        for side, measured in seconds.items():
            measured.append(_in_own_process(side, chosen.trials))
    print(f"| {chosen.trials} one-step trials, 2 at a time | median s a trial | min | max |")
    print("|---|---|---|---|")
    for side, measured in seconds.items():
        print(f"| {side} | {statistics.median(measured):.3f} | {min(measured):.3f} | {max(measured):.3f} |")
    ratios = [ours / theirs for ours, theirs in zip(seconds["segtune"], seconds["stock"], strict=True)]
    print(f"| ratio segtune / stock | {statistics.median(ratios):.3f} | {min(ratios):.3f} | {max(ratios):.3f} |")


def _in_own_process(side: str, trials: int) -> float:
    command = [sys.executable, __file__, "--side", side, "--trials", str(trials)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 - our own script
    return float(output.split()[-1])


def _run_segtune(trials: int) -> float:
    from tuning import Study, StudyConfig

    folder = Path(tempfile.mkdtemp())
    config = StudyConfig.load(
        {
            "name": "overhead",
            "data": {"build": "benchmarks.toy:tiny_data", "arguments": {"cases": 4}},
            "training": {"epochs": 1, "batch": 4},
            "search": {"trials": trials, "sampler": "random", "baselines": False},
            "scheduler": {"grace": 1},
            "resources": {"concurrent": 2},
        }
    )
    sys.path.insert(0, str(_HERE.parent))
    study = Study(config, folder / "study")
    started = time.perf_counter()
    result = study.run()
    seconds = time.perf_counter() - started
    if sum(trial.state == "complete" for trial in result.trials) != trials:
        raise RuntimeError([trial.cause for trial in result.trials])
    shutil.rmtree(folder)
    return seconds / trials


def _run_stock(trials: int) -> float:
    import ray
    from optuna.samplers import RandomSampler
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    sys.path.insert(0, str(_HERE.parent))
    from benchmarks.toy import stock_trial, tiny_data

    folder = Path(tempfile.mkdtemp())
    started = time.perf_counter()
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    tune.Tuner(
        tune.with_parameters(stock_trial, data=tiny_data(cases=4)),
        param_space={"dice": tune.uniform(0, 1)},
        tune_config=tune.TuneConfig(
            metric="val_dice",
            mode="max",
            num_samples=trials,
            search_alg=OptunaSearch(sampler=RandomSampler()),
            scheduler=ASHAScheduler(),
        ),
        run_config=tune.RunConfig(storage_path=str(folder), verbose=0),
    ).fit()
    ray.shutdown()
    seconds = time.perf_counter() - started
    shutil.rmtree(folder)
    return seconds / trials


if __name__ == "__main__":
    main()
