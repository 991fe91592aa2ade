"""A trial from within a training script of your own.

The script is a trial when a study runs it; run alone it does what it did before, since `params` is empty then,
`checkpoint` returns 0 and `report` only checks what it is given.

Example:
    >>> from tuning import session
    >>> params = {"lr": 1e-3} | session.params
    >>> params["lr"]
    0.001
"""

import json
import os
import queue
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import InvalidInputError

if TYPE_CHECKING:
    from torch import nn

    from components.checkpoints import CheckpointManager
    from components.checkpoints.format import Stateful

TRIAL = "SEGTUNE_TRIAL"  # environment variable that holds what the study tells the script, as JSON
_OWN_COLUMNS = ("epoch", "val_dice", "seconds")


class Params(dict[str, Any]):
    """Settings that the study chose, by name; laid over the script's own by `defaults | params`."""

    def __ror__(self, defaults: dict[str, Any]) -> dict[str, Any]:  # type: ignore[override]  # only for text keys
        """The script's settings, with those of the study in place of its own.

        Raises:
            InvalidInputError: the study names a setting that the script does not have.
        """
        for name in self:
            if name not in defaults:
                raise InvalidInputError(
                    f"script.params.{name}: the script has no such setting. Hint: it has {', '.join(defaults)}."
                )
        return {**defaults, **self}


class _Trial:
    """The script's end of the line to the worker that runs it."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self._facts = facts
        self._line = socket.socket(fileno=facts["socket"])
        self._line.set_inheritable(False)
        self._answers: queue.Queue[bool] = queue.Queue()
        self._checkpoints: CheckpointManager | None = None
        self._parts: dict[str, Any] = {}
        self._last, self._since = 0, time.perf_counter()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with suppress(OSError), self._line.makefile(encoding="utf-8") as answers:  # reset, if a report was unread
            for answer in answers:
                self._answers.put(json.loads(answer))
        os._exit(1)  # the worker is gone: nobody would hear what this trial finds

    def checkpoint(self, parts: dict[str, Any]) -> int:
        from components.checkpoints import CheckpointManager, verify_checkpoint  # noqa: PLC0415 - torch takes a second
        from tuning.store import TuneStore  # noqa: PLC0415

        facts = self._facts
        self._store = TuneStore(
            Path(facts["staging"]), [verify_checkpoint(Path(path)) for path in facts["checkpoints"]]
        )
        self._checkpoints = CheckpointManager(
            monitor_metric="val_dice",
            store=self._store,
            durable=False,  # Ray Tune copies what is staged, and its copy is what counts
            may_hold=False,  # each Dice that a study reports has its weights
            decisions=self._store.decided,
            **facts["manager"],
        )
        self._parts = parts
        if not facts["checkpoints"]:
            return 0
        self._last = self._checkpoints.load_checkpoint("latest", rng=True, **parts).epoch
        print(f"going on after epoch {self._last}")  # noqa: T201 - into the trial's log
        self._since = time.perf_counter()
        return self._last

    def report(self, row: dict[str, Any]) -> None:
        epoch = row["epoch"]
        if epoch <= self._last:
            raise InvalidInputError(
                f"session.report: found epoch {epoch} after {self._last}. Hint: count on from session.checkpoint(...)."
            )
        self._last = epoch
        row["seconds"] = time.perf_counter() - self._since
        message: dict[str, Any] = {"row": row, "decisions": [], "checkpoint": None}
        if self._checkpoints is not None:
            saved = self._checkpoints.save_checkpoint(
                **self._parts, epoch=epoch, metrics=row, forced="rung" if epoch in self._facts["forced"] else ""
            )
            message["checkpoint"] = saved.name if saved else None
            message["decisions"] = [decision.to_line() for decision in self._store.take_decisions()]
        self._line.sendall((json.dumps(message) + "\n").encode())
        goes_on = self._answers.get()
        if not goes_on:
            raise SystemExit(0)
        self._since = time.perf_counter()


def report(*, val_dice: float, epoch: int, **metrics: float) -> None:
    """Tell the study how good the network is after an epoch; a checkpoint is saved if the study's strategy says so.

    In a study the script ends here when the trial is stopped, or has had all its epochs: by `SystemExit`, so that
    `finally` blocks run.

    Args:
        val_dice: Dice on validation, 0 to 1; what the study compares trials by.
        epoch: that has ended, from 1.
        metrics: further numbers for the record.

    Raises:
        InvalidInputError: a number is none or not finite, the Dice is not within 0 to 1, or the epoch does not rise.

    Example:
        >>> report(val_dice=0.81, epoch=3, train_loss=0.2)
    """
    row: dict[str, Any] = {"epoch": int(epoch)}
    for name, value in {"val_dice": val_dice, **metrics}.items():
        try:
            row[name] = float(value.item() if hasattr(value, "item") else value)
        except (TypeError, ValueError, RuntimeError) as error:
            raise InvalidInputError(f"session.report: {name} is {value!r}, expected a number.") from error
    if not 0 <= row["val_dice"] <= 1:
        raise InvalidInputError(f"session.report: val_dice is {row['val_dice']:g} in epoch {epoch}, expected 0 to 1.")
    if row["epoch"] < 1:
        raise InvalidInputError(f"session.report: found epoch {epoch}, which counts from 1. Hint: epoch=epoch + 1.")
    if clash := [name for name in metrics if name in _OWN_COLUMNS]:
        raise InvalidInputError(f"session.report: {clash[0]} is recorded by the study. Hint: rename yours.")
    if _trial is not None:
        _trial.report(row)


def checkpoint(model: "nn.Module", **parts: "Stateful") -> int:
    """Say what a checkpoint holds; if the trial goes on after a kill, all of it is put back where it was.

    Call it once, before the loop. The global random number generators (Python, NumPy, PyTorch) belong to every
    checkpoint.

    Args:
        model: the network.
        parts: what else has a state: `optimizer`, `scheduler`, `scaler`, `ema`, `loss_schedule`, `sampler`,
            `early_stopping`.

    Returns:
        Epochs that are done already: 0 for a fresh start, and always when the script runs alone.

    Raises:
        InvalidInputError: there is no such part.
        CheckpointError: the last checkpoint does not fit the parts.

    Example:
        >>> done = session.checkpoint(model, optimizer=optimizer)  # doctest: +SKIP
        >>> for epoch in range(done + 1, 13): ...  # doctest: +SKIP
    """
    known = ("optimizer", "scheduler", "scaler", "ema", "loss_schedule", "sampler", "early_stopping")
    if unknown := [name for name in parts if name not in known]:
        raise InvalidInputError(f"session.checkpoint: no part {unknown[0]}. Hint: there are {', '.join(known)}.")
    return 0 if _trial is None else _trial.checkpoint({"model": model, **parts})


def _told() -> Mapping[str, Any] | None:
    text = os.environ.get(TRIAL)
    return None if text is None else json.loads(text)


def _claim(facts: Mapping[str, Any]) -> bool:
    """Whether this process is the script itself: workers that it starts (of a data loader, say) find it claimed."""
    os.environ[TRIAL] = json.dumps({**facts, "claimed": True})
    return "claimed" not in facts


_facts = _told()
params = Params({} if _facts is None else _facts["params"])  # workers of the script read them too, but do not report
_trial = _Trial(dict(_facts)) if _facts is not None and _claim(_facts) else None
folder = Path.cwd() if _facts is None else Path(_facts["folder"])  # for files of the script: no two trials share it
