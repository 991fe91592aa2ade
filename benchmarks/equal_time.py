"""Equal minutes on the same cores, from image files to mask files: segtune beside one untuned training of a U-Net.

Every entrant gets the wall-clock time from its start until its model is there; start-up and planning count, predicting
does not. One judge compares the mask files of the test split with the truth. Results are appended to a file of JSON
lines; what stands there already is not run again. The machine must do nothing else meanwhile.

    SEGTUNE_DATA=... PYTHONPATH=. python benchmarks/equal_time.py --minutes 5 --out equal_time.jsonl
    PYTHONPATH=. python benchmarks/equal_time.py --show equal_time.jsonl
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.plain_unet import read_array, train_and_predict

FOLDERS = {"vessels": "chase_db1_vessels", "nuclei": "dsb2018_nuclei", "hippocampus": "msd_hippocampus"}
Scores = dict[str, dict[str, float]]


def main() -> None:
    """Run what is missing, or show what is there."""
    options = _options()
    if options.show:
        _show(options.show)
        return
    done = {(row["data"], row["entrant"], row["minutes"], row["seed"]) for row in _rows(options.out)}
    for seed in range(options.seeds):
        for data in options.data:
            for name in options.only:
                if any((data, form, options.minutes, seed) in done for form in ENTRANTS[name][1]):
                    continue
                with TemporaryDirectory() as work:
                    root, started = Path(os.environ["SEGTUNE_DATA"]) / FOLDERS[data], time.monotonic()
                    found = ENTRANTS[name][0](root, Path(work), options.minutes, seed)
                    took = time.monotonic() - started
                for form, scores in found.items():
                    row = {"data": data, "entrant": form, "minutes": options.minutes, "seed": seed, **scores}
                    row["in_all_seconds"] = round(took, 1)
                    print(json.dumps({key: row[key] for key in row if key != "cases"}), flush=True)
                    with options.out.open("a") as file:
                        file.write(json.dumps(row) + "\n")


def plain(root: Path, work: Path, minutes: float, seed: int) -> dict[str, Any]:
    """One training of MONAI's U-Net, as the field writes it by hand, over all the minutes and both cores."""
    facts = train_and_predict(root, work / "masks", seconds=60 * minutes, seed=seed)
    return {"plain U-Net": judge(root, work / "masks") | facts}


def segtune(root: Path, work: Path, minutes: float, seed: int) -> dict[str, Any]:
    """`segtune init --budget`, `run`, `export --tta`, and the masks that the bundle predicts."""
    started = time.monotonic()
    _segtune(work, "init", root, "--budget", f"{minutes:g}m", "--to", "study.yaml")
    seeds = ("-s", f"search.seed={seed}", "-s", f"training.seed={seed}")
    left = 60 * minutes - (time.monotonic() - started)
    _segtune(work, "run", "study.yaml", "--dir", "study", "--budget", f"{int(left)}s", *seeds)
    took = round(time.monotonic() - started, 1)
    images = _test_images(root, work / "test")
    found = {}
    for form in FORMS:
        trial = "best" if form == FORMS[0] else _best_baseline(work / "study")
        _segtune(work, "export", "study", "--tta", f"--trial={trial}", "--to", form)
        _segtune(work, "predict", form, images, "--out", f"masks of {form}")
        found[form] = judge(root, work / f"masks of {form}") | {"seconds": took}
    return found


FORMS = ("segtune, best trial", "segtune, best baseline")
ENTRANTS: dict[str, tuple[Callable[[Path, Path, float, int], dict[str, Any]], tuple[str, ...]]] = {
    "plain": (plain, ("plain U-Net",)),
    "segtune": (segtune, FORMS),
}


def judge(root: Path, masks: Path) -> dict[str, Any]:
    """Mean Dice over cases, then classes, of the mask files of the test split; a class that neither has is left out."""
    cases: dict[str, dict[int, float]] = {}
    for stem in json.loads((root / "split.json").read_text())["test"]:
        truth, found = (read_array(next(folder.glob(f"{stem}.*"))) for folder in (root / "masks", masks))
        values = sorted({int(value) for value in np.unique(truth)} - {0})
        if truth.max() > 1 and len(values) == 1:  # 255
            truth, found, values = truth > 0, found > 0, [1]
        sizes = {value: (truth == value).sum() + (found == value).sum() for value in values}
        cases[stem] = {
            value: float(2 * ((truth == value) & (found == value)).sum() / size)
            for value, size in sizes.items()
            if size
        }
    of_classes: dict[int, list[float]] = {}
    for scores in cases.values():
        for value, score in scores.items():
            of_classes.setdefault(value, []).append(score)
    return {"dice": round(fmean(fmean(scores) for scores in of_classes.values()), 4), "cases": cases}


def _best_baseline(study: Path) -> int:
    from reports import load_trials

    trials = load_trials(study)
    return int(trials[trials["number"] < 0].sort_values("best_dice")["number"].iloc[-1])


def _test_images(root: Path, folder: Path) -> Path:
    folder.mkdir()
    for stem in json.loads((root / "split.json").read_text())["test"]:
        file = next((root / "images").glob(f"{stem}.*"))
        (folder / file.name).symlink_to(file)
    return folder


def _segtune(work: Path, *command: object) -> None:
    done = subprocess.run(  # noqa: S603 - the project's own command
        [sys.executable, "-m", "tuning", *map(str, command)], cwd=work, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"segtune {' '.join(map(str, command))}: {done.stdout[-1500:]}{done.stderr[-3000:]}")


def _rows(path: Path | None) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path and path.exists() else []


def _show(path: Path) -> None:
    found: dict[tuple[str, float], dict[str, list[dict[str, Any]]]] = {}
    for row in _rows(path):
        found.setdefault((row["data"], row["minutes"]), {}).setdefault(row["entrant"], []).append(row)
    print("| data | minutes | entrant | Dice on test, by seed | mean | seconds used |")
    print("|---|---|---|---|---|---|")
    for (data, minutes), entrants in sorted(found.items()):
        for entrant, rows in entrants.items():
            scores = ", ".join(f"{row['dice']:.4f}" for row in rows)
            seconds = fmean(row["seconds"] for row in rows)
            mean = fmean(row["dice"] for row in rows)
            print(f"| {data} | {minutes:g} | {entrant} | {scores} | {mean:.4f} | {seconds:.0f} |")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="*", choices=FOLDERS, default=list(FOLDERS))
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", nargs="*", choices=ENTRANTS, default=list(ENTRANTS))
    parser.add_argument("--out", type=Path, default=Path("equal_time.jsonl"))
    parser.add_argument("--show", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
