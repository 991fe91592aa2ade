"""Study directories written line by line, of any size, whose numbers a reader can foretell."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from components.json_lines import replace_text
from tuning.record import FORMAT_VERSION, StudyDirectory, trial_name

RUNGS = (3, 9, 27)
_TERMS = ("dice", "bce", "focal")
_WHEN = "2026-01-02T03:04:05+00:00"
_STATES = {"running": 0, "complete": 1, "pruned": 2, "failed": 3}


class StudyWriter:
    """Writes a study as `segtune run` would, without training anything.

    Args:
        root: directory to make.
        epochs: budget of a trial.
        name: of the study.
    """

    def __init__(self, root: Path, *, epochs: int = 9, name: str = "written", **settings: Any) -> None:
        self.directory = StudyDirectory(root)
        self.epochs, self.name = epochs, name
        self._lines: list[str] = []
        self._trials, self._baselines, self._searched = 0, 0, 0
        self.directory.root.mkdir(parents=True)
        record = {
            "format": FORMAT_VERSION,
            "id": "0" * 32,
            "created": _WHEN,
            "settings": written_settings(name, epochs) | settings,
            "data": {
                "name": "discs",
                "mode": "binary",
                "classes": ["disc"],
                "cases": {"train": 8, "val": 6, "test": 6},
                "groups": {"train": 8, "val": 6, "test": 6},
                "fingerprint": "ab" * 32,
                "warnings": ["2 masks are empty"],
            },
            "weights": None,
            "versions": {"python": "3.11.7", "segtune": "0.1.0"},
        }
        replace_text(self.directory.study_file, json.dumps(record))  # JSON is YAML
        for study in (f"{name}/baselines", name):
            self._journal(op_code=0, study_name=study, directions=[2])

    def add(
        self,
        dice: Sequence[float],
        *,
        state: str = "complete",
        cause: str = "budget reached",
        baseline: str | None = None,
        params: dict[str, Any] | None = None,
        weights: dict[str, float] | None = None,
        cases: dict[str, float] | None = None,
        test: dict[str, float] | None = None,
        log: str = "",
        more: dict[str, Any] | None = None,
    ) -> int:
        """Add a trial with its Dice by epoch, and `more` attributes in the journal; return its number."""
        number = -1 - self._baselines if baseline else self._searched
        ident, self._trials = self._trials, self._trials + 1
        self._baselines, self._searched = self._baselines + bool(baseline), self._searched + (not baseline)
        weights = weights or {"dice": 0.5, "bce": 0.5}
        settings = (params or {}) | {"loss.weights": weights}
        self._journal(op_code=4, study_id=0 if baseline else 1, datetime_start=_WHEN)
        if baseline:
            self._attribute(ident, "baseline", baseline)
        for name, value in ((more or {}) | {"overrides": settings}).items():
            self._attribute(ident, name, value)
        folder = self.directory.trial(number)
        folder.path.mkdir(parents=True)
        rows = [epoch_row(epoch, value, weights) for epoch, value in enumerate(dice, 1)]
        for row in rows:
            self._journal(op_code=7, trial_id=ident, step=row["epoch"], intermediate_value=row["val_dice"])
        folder.metrics.write_text("".join(json.dumps(row) + "\n" for row in rows))
        if cases and dice:
            best = int(np.nanargmax(dice)) + 1
            lines = [
                {"epoch": best, "case": case, "group": case, "class": "disc", "dice": value, "iou": value / (2 - value)}
                for case, value in cases.items()
            ]
            folder.cases.write_text("".join(json.dumps(line) + "\n" for line in lines))
        gains = [epoch for epoch in range(1, len(dice) + 1) if dice[epoch - 1] == max(dice[:epoch])][-2:]
        lines = [
            {"path": checkpoint_path(number, epoch), "epoch": epoch, "dice": dice[epoch - 1], "bytes": 1 << 20}
            for epoch in gains
        ]
        folder.index.write_text("".join(json.dumps(line) + "\n" for line in lines))
        folder.decisions.write_text("".join(decision_line(row["epoch"], saved=row["epoch"] in gains) for row in rows))
        if test:
            held_out = [
                {"epoch": gains[-1], "case": case, "group": case, "class": "disc", "dice": value}
                for case, value in test.items()
            ]
            folder.held_out.write_text("".join(json.dumps(line) + "\n" for line in held_out))
        if log:
            folder.log.write_text(log)
        if state != "running":
            self._attribute(ident, "stop", {"state": state, "cause": cause})
            self._journal(op_code=6, trial_id=ident, state=_STATES[state], values=None, datetime_complete=_WHEN)
        return number

    def write(self) -> Path:
        """Write the journal and return the directory."""
        self.directory.journal.write_text("".join(line + "\n" for line in self._lines))
        return self.directory.root

    def _attribute(self, ident: int, name: str, value: Any) -> None:
        self._journal(op_code=8, trial_id=ident, user_attr={name: value})

    def _journal(self, **entry: Any) -> None:
        self._lines.append(json.dumps({"worker_id": "w", **entry}))


def checkpoint_path(number: int, epoch: int) -> str:
    """Where the checkpoint of an epoch would stand, relative to the study."""
    return f"attempts/01/{trial_name(number)}/checkpoint_{epoch:06d}"


def epoch_row(epoch: int, dice: float, weights: dict[str, float]) -> dict[str, Any]:
    """A row of `metrics.jsonl` with the columns that a real one has."""
    loss = 1 - dice
    row: dict[str, Any] = {"epoch": epoch, "train_loss": loss}
    for term, weight in weights.items():
        row |= {
            f"loss_{term}": loss,
            f"weighted_{term}": weight * loss,
            f"gradient_norm_{term}": 0.001 * loss,
            f"gradient_share_{term}": weight,
            f"weight_{term}": weight,
        }
    scores = {f"val_{name}": dice for name in ("dice", "dice_disc", "iou", "precision", "recall", "reference_dice")}
    return row | {"lr": 0.01 / epoch} | scores | {"val_undefined": 0, "seconds": 1.5}


def decision_line(epoch: int, *, saved: bool) -> str:
    """A line of `decisions.jsonl`: each save takes 0.5 s of 2 and writes a MiB."""
    facts = {"seconds": 0.5, "bytes": 1 << 20, "path": f"unet_best_epoch_{epoch:03d}"} if saved else {}
    decision = {
        "epoch": epoch,
        "time": _WHEN,
        "save": saved,
        "kind": "best",
        "reason": "a gain" if saved else "no gain",
    }
    return json.dumps({**decision, "hold": False, "inputs": {}, "metric": 0.5, "epoch_seconds": 1.5, **facts}) + "\n"


def write_finalists(root: Path, *, seeds: Sequence[int] = (1001, 1002), groups: int = 8, failed: int = 0) -> Path:
    """Trial 0 and the baseline `dice` of a study trained again; trial 0 is better by 0.05 on every case held out.

    Args:
        root: of the study that was searched.
        seeds: of each.
        groups: independent cases of the test split.
        failed: how many trainings, the last ones, ended in an error.
    """
    settings: dict[str, dict[str, Any]] = {"trial 0": {}, "baseline dice": {}}
    retrain = {"settings": settings, "seeds": list(seeds), "baseline": "baseline dice", "searched": {"trial 0": 0.9}}
    study = StudyWriter(root / "finalists", name="written-finalists", retrain=retrain)
    pairs = [(name, seed) for seed in seeds for name in settings]
    for index, (name, seed) in enumerate(pairs):
        fails = index >= len(pairs) - failed
        gain = 0.05 * (name == "trial 0") + 0.001 * index
        test = {f"case_{case}": 0.6 + 0.02 * case + gain + 0.001 * (case * index % 3) for case in range(groups)}
        study.add(
            [0.5, 0.8 + gain],
            baseline=f"{name}, seed {seed}",
            state="failed" if fails else "complete",
            cause="the loss is NaN" if fails else "budget reached",
            cases=test,
            test=None if fails else test,
        )
    return study.write()


def written_settings(name: str, epochs: int) -> dict[str, Any]:
    """The settings that a report looks at."""
    return {
        "name": name,
        "data": {"build": "tests.toys:tiny_data", "folds": None},
        "training": {"epochs": epochs, "seed": 0},
        "loss": {"preset": None, "terms": {}, "weights": {}, "schedule": {"type": "constant"}},
        "checkpoint": {"strategy": "best", "interval": 5, "averaging": "none", "ema_decay": 0.99},
        "search": {"trials": 4, "seed": 0, "space": {"presets": ["loss_weights"]}},
        "scheduler": {"type": "asha", "grace": RUNGS[0], "reduction": 3},
        "storage": {"url": None},
    }


def write_large_study(root: Path, *, trials: int, epochs: int, seed: int = 0) -> Path:
    """A study of many trials, all of the same length, with four baselines before them."""
    random = np.random.default_rng(seed)
    study = StudyWriter(root, epochs=epochs)
    for number in range(-4, trials):
        drawn = random.dirichlet([1, 1, 1])
        weights = {term: float(weight) for term, weight in zip(_TERMS, drawn, strict=True)}
        top = 0.75 + 0.1 * weights["dice"] + 0.02 * random.standard_normal()
        curve = top * (1 - np.exp(-np.arange(1, epochs + 1) / 8)) + 0.005 * random.standard_normal(epochs)
        study.add(
            curve.tolist(),
            state="complete" if number % 3 else "pruned",
            baseline=f"baseline_{-number}" if number < 0 else None,
            params={"training.lr": float(10 ** random.uniform(-4, -1))},
            weights=weights,
            cases={f"case_{case}": float(min(top, 1.0)) for case in range(10)} if number < 20 else None,
        )
    return study.write()
