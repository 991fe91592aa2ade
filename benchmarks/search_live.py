"""The same small search by three tools: wall time a trained epoch, start-up included, and the best Dice.

    SEGTUNE_DATA=... PYTHONPATH=. python benchmarks/search_live.py [--repeats 1]

16 trials of 12 epochs on nuclei (crops of 128×128, batch 8, MONAI's UNet (16, 32, 64, 128)), two at a time on one
thread each; searched are the weights of Dice and cross-entropy. The stock side is Ray Tune with OptunaSearch and ASHA
around the plain loop of benchmarks/training.py, as one writes it; the other peer is Optuna alone, two processes on one
journal, with its SuccessiveHalvingPruner around the same loop. All stop weak trials from epoch 3 on, best third. Each
side runs in a process of its own, in turn.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TRIALS, EPOCHS, GRACE, REDUCTION = 16, 12, 3, 3
SIDES = ("segtune", "stock Ray Tune", "Optuna alone")


def main() -> None:
    """Run the sides and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--side", choices=SIDES)
    chosen = parser.parse_args()
    if chosen.side:
        started = time.perf_counter()
        epochs, dice = {"segtune": _segtune, "stock Ray Tune": _stock, "Optuna alone": _optuna}[chosen.side]()
        print(json.dumps({"seconds": time.perf_counter() - started, "epochs": epochs, "dice": dice}))
        return
    found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for _ in range(chosen.repeats):
        for side, runs in found.items():
            runs.append(_in_own_process(side))
            print(side, runs[-1], file=sys.stderr, flush=True)
    print("| search | s | epochs | s an epoch | segtune × it | best Dice |")
    print("|---|---|---|---|---|---|")
    paces = {side: [run["seconds"] / run["epochs"] for run in runs] for side, runs in found.items()}
    for side, runs in found.items():
        middle = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        ratio = statistics.median(own / other for own, other in zip(paces["segtune"], paces[side], strict=True))
        print(
            f"| {side} | {middle['seconds']:.1f} | {middle['epochs']:.0f} | {statistics.median(paces[side]):.2f} | "
            f"{ratio:.2f} | {middle['dice']:.4f} |"
        )


def _in_own_process(side: str) -> dict[str, float]:
    """With the start of Python and of the libraries, which a user waits for as well."""
    started = time.perf_counter()
    command = [sys.executable, __file__, "--side", side]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 - our own script
    run: dict[str, float] = json.loads(output.strip().splitlines()[-1])
    return run | {"seconds": time.perf_counter() - started}


def _segtune() -> tuple[int, float]:
    from tuning import Study, StudyConfig

    folder = Path(tempfile.mkdtemp())
    config = StudyConfig.load(
        {
            "name": "live",
            "data": {"root": str(Path(os.environ["SEGTUNE_DATA"]) / "dsb2018_nuclei")},
            "model": {
                "build": "monai.networks.nets:UNet",
                "arguments": {"channels": [16, 32, 64, 128], "strides": [2, 2, 2], "num_res_units": 2},
                "divisor": 8,
            },
            "training": {"epochs": EPOCHS, "batch": 8, "lr": 0.01, "crop": 128, "lr_schedule": "constant"},
            "search": {
                "trials": TRIALS,
                "baselines": False,
                "space": {"parameters": {"loss.weights": {"simplex": ["dice", "bce"]}}},
            },
            "scheduler": {"grace": GRACE, "reduction": REDUCTION},
            "resources": {"concurrent": 2},
        }
    )
    trials = Study(config, folder / "study").run().trials
    shutil.rmtree(folder)
    return sum(len(trial.dice) for trial in trials), max(trial.best[1] for trial in trials if trial.best)


def _stock() -> tuple[int, float]:
    import ray
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    from benchmarks.training import nuclei

    folder = Path(tempfile.mkdtemp())
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    results = tune.Tuner(
        tune.with_parameters(_stock_trial, data=nuclei()),
        param_space={"dice": tune.uniform(0, 1)},
        tune_config=tune.TuneConfig(
            metric="val_dice",
            mode="max",
            num_samples=TRIALS,
            search_alg=OptunaSearch(seed=0),
            scheduler=ASHAScheduler(time_attr="epoch", max_t=EPOCHS, grace_period=GRACE, reduction_factor=REDUCTION),
        ),
        run_config=tune.RunConfig(storage_path=str(folder), verbose=0),
    ).fit()
    best = results.get_best_result(scope="all").metrics_dataframe["val_dice"].max()
    epochs = sum(result.metrics["epoch"] for result in results)
    ray.shutdown()
    shutil.rmtree(folder)
    return epochs, float(best)


def _stock_trial(config: dict[str, Any], data: Any) -> None:
    import torch
    from ray import tune

    from benchmarks.training import plain_loop

    torch.set_num_threads(1)
    epoch = plain_loop(data, 0, config["dice"], 1 - config["dice"])
    for number in range(1, EPOCHS + 1):
        tune.report({"val_dice": epoch(number), "epoch": number})


def _optuna() -> tuple[int, float]:
    import optuna

    folder = Path(tempfile.mkdtemp())
    storage = _storage(folder)
    study = optuna.create_study(study_name="live", storage=storage, direction="maximize")
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_optuna_worker, args=(folder, seed)) for seed in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    histories = [trial.intermediate_values for trial in study.trials]
    shutil.rmtree(folder)
    return sum(map(len, histories)), max(max(history.values()) for history in histories)


def _optuna_worker(folder: Path, seed: int) -> None:
    import optuna
    import torch

    from benchmarks.training import nuclei, plain_loop

    torch.set_num_threads(1)
    data = nuclei()

    def objective(trial: optuna.Trial) -> float:
        dice = trial.suggest_float("dice", 0, 1)
        epoch, best = plain_loop(data, 0, dice, 1 - dice), 0.0
        for number in range(1, EPOCHS + 1):
            found = epoch(number)
            best = max(best, found)
            trial.report(found, number)
            if trial.should_prune():
                raise optuna.TrialPruned
        return best

    study = optuna.load_study(
        study_name="live",
        storage=_storage(folder),
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=GRACE, reduction_factor=REDUCTION),
    )
    study.optimize(objective, n_trials=TRIALS // 2)


def _storage(folder: Path) -> Any:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    return JournalStorage(JournalFileBackend(str(folder / "journal.log")))


if __name__ == "__main__":
    main()
