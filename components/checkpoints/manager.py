"""The checkpoint manager: a save policy, a keep policy and a store, composed."""

import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, overload

from torch import nn

from components.checkpoints.background import BackgroundWriter, SaveHandle
from components.checkpoints.format import (
    NonFiniteWeightsError,
    Snapshot,
    Stateful,
    TrainingState,
    restore_checkpoint,
    take_snapshot,
)
from components.checkpoints.local_store import LocalStore, Store
from components.checkpoints.policies import Metric, SaveDecision, SaveMoment, finite_metric
from components.checkpoints.record import CheckpointRecord
from components.checkpoints.retention import KeepPolicy, latest
from components.checkpoints.strategies import make_save_policy
from components.errors import CheckpointDamagedError, CheckpointError, CheckpointNotFoundError, InvalidInputError

_logger = logging.getLogger(__name__)
_DEFAULT_KEPT = 5


class CheckpointManager:
    """Saves when its strategy says so, keeps the best and the latest, and loads what verifies.

    Args:
        model_dir: directory of the checkpoints.
        model_name: begins the name of each.
        save_strategy: `best` (on a gain), `epoch`, `interval`, `all` (every call) or `adaptive`.
        monitor_metric: decides what is best; NaN or missing is never best.
        mode: `max` or `min`.
        max_checkpoints: best ones kept beside the latest; default 5, for `all` no limit.
        interval_epochs: of `interval`; default 5 unless minutes are given.
        interval_minutes: of `interval`.
        store: in place of the local directory.
        durable: False skips forcing files to the disk, for stores that copy them anyway.
        clock: seconds; for tests.
        adaptive: options of `AdaptivePolicy`.

    Raises:
        InvalidInputError: an argument is wrong.

    Example:
        >>> manager = CheckpointManager("checkpoints", "unet", save_strategy="best")  # doctest: +SKIP
        >>> manager.save_checkpoint(model, optimizer, scheduler, 1, {"val_dice": 0.7})  # doctest: +SKIP
        PosixPath('checkpoints/unet_best_epoch_001_20260101_120000')
    """

    def __init__(
        self,
        model_dir: str | Path = "checkpoints",
        model_name: str = "model",
        save_strategy: str = "best",
        monitor_metric: str = "val_dice",
        mode: Metric = "max",
        max_checkpoints: int | None = None,
        interval_epochs: int | None = None,
        interval_minutes: float | None = None,
        *,
        store: Store | None = None,
        durable: bool = True,
        clock: Callable[[], float] = time.monotonic,
        adaptive: Mapping[str, float] | None = None,
    ) -> None:
        if not model_name or Path(model_name).name != model_name:
            raise InvalidInputError(f"model_name: found {model_name!r}, must be a plain file name.")
        count = _DEFAULT_KEPT if max_checkpoints is None and save_strategy != "all" else max_checkpoints
        self._policy = make_save_policy(
            save_strategy,
            monitor=monitor_metric,
            mode=mode,
            interval_epochs=interval_epochs,
            interval_minutes=interval_minutes,
            **(adaptive or {}),
        )
        self._keep = KeepPolicy(monitor_metric, mode, count)
        self._store: Store = store if store is not None else LocalStore(Path(model_dir))
        self._model_name, self._strategy, self._durable = model_name, save_strategy, durable
        self._clock, self._writer = clock, BackgroundWriter()
        self._started = self._saved = clock()
        self._save_seconds, self._bytes, self._seen = 0.0, 0, dict[int, float | None]()
        self._warned = False

    def should_save(self, epoch: int, metrics: Mapping[str, Any]) -> SaveDecision:
        """What the strategy says, without saving; waits for a save in the background."""
        self._writer.settle()
        records = self._store.records()
        best = self._keep.ranked(records)
        moment = SaveMoment(
            epoch=epoch,
            metrics=metrics,
            best=finite_metric(best[0].metrics, self._keep.monitor) if best else None,
            last_epoch=latest(records).epoch if records else -1,
            seconds_since_save=self._clock() - self._saved,
            save_seconds=self._save_seconds,
        )
        return self._policy.decide(moment)

    @overload
    def save_checkpoint(
        self,
        model: nn.Module,
        optimizer: Stateful | None = None,
        scheduler: Stateful | None = None,
        epoch: int = 0,
        metrics: Mapping[str, Any] | None = None,
        *,
        scaler: Stateful | None = None,
        loss_schedule: Stateful | None = None,
        extra: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        asynchronous: Literal[False] = False,
    ) -> Path | None: ...

    @overload
    def save_checkpoint(
        self,
        model: nn.Module,
        optimizer: Stateful | None = None,
        scheduler: Stateful | None = None,
        epoch: int = 0,
        metrics: Mapping[str, Any] | None = None,
        *,
        scaler: Stateful | None = None,
        loss_schedule: Stateful | None = None,
        extra: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        asynchronous: Literal[True],
    ) -> SaveHandle | None: ...

    def save_checkpoint(
        self,
        model: nn.Module,
        optimizer: Stateful | None = None,
        scheduler: Stateful | None = None,
        epoch: int = 0,
        metrics: Mapping[str, Any] | None = None,
        *,
        scaler: Stateful | None = None,
        loss_schedule: Stateful | None = None,
        extra: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        asynchronous: bool = False,
    ) -> Path | SaveHandle | None:
        """Save if the strategy says so, then remove what need not stay.

        Args:
            model: its state is saved.
            optimizer: saved too, if given.
            scheduler: saved too, if given.
            epoch: that has just ended.
            metrics: of exactly these weights.
            scaler: saved too, if given.
            loss_schedule: saved too, if given.
            extra: further state (JSON values and tensors), given back by `load_checkpoint` in `extra`.
            metadata: further JSON values for the manifest.
            asynchronous: copy the state and return; it is written in the background, and durable once the handle's
                `result` has returned. One write is in flight at a time: the next call waits for it, and raises its
                error if nobody has seen it.

        Returns:
            Path of the checkpoint, or its handle; None when nothing was saved.

        Raises:
            CheckpointError: it cannot be written, or the one before could not be; earlier checkpoints are untouched.
            InvalidInputError: the metrics are of another epoch.
        """
        metrics = dict(metrics or {})
        self._seen[epoch] = finite_metric(metrics, self._keep.monitor)
        self._warn_of_metric(epoch, metrics)
        decision = self.should_save(epoch, metrics)
        _logger.debug("epoch %d: save=%s (%s)", epoch, decision.save, decision.reason)
        if not decision.save:
            return None
        begun = self._clock()
        try:
            snapshot = take_snapshot(
                TrainingState(model, optimizer, scheduler, scaler, loss_schedule, extra=dict(extra or {})),
                epoch=epoch,
                metrics=metrics,
                kind=decision.kind,
                reason=decision.reason,
                model_name=self._model_name,
                metadata={"strategy": self._strategy, **(metadata or {})},
                copied=asynchronous,
            )
        except NonFiniteWeightsError as error:
            _logger.warning("nothing saved: %s", error)
            return None
        write = partial(self._write, snapshot, self._name(decision.kind, epoch))
        saved = self._writer.submit(write) if asynchronous else write()
        # What training waited for; in the background that is the copy alone.
        self._saved = self._clock()
        self._save_seconds = max(self._save_seconds, self._saved - begun)
        return saved

    def _write(self, snapshot: Snapshot, name: str) -> Path:
        record = self._store.save(name, partial(snapshot.write, durable=self._durable))
        self._bytes += record.bytes
        self._prune(record)
        return record.path

    def close(self) -> None:
        """Wait for a save in the background; the manager can be used again after.

        Raises:
            CheckpointError: it could not be written and nobody has seen it.
        """
        self._writer.close()

    def __enter__(self) -> Self:
        """Return the manager; leaving the block closes it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close; an error of the block itself goes first."""
        try:
            self.close()
        except CheckpointError as failure:
            if error is None:
                raise
            _logger.warning("a checkpoint could not be written: %s", failure)

    def load_checkpoint(
        self,
        which: str | int | Path = "best",
        model: nn.Module | None = None,
        optimizer: Stateful | None = None,
        scheduler: Stateful | None = None,
        *,
        scaler: Stateful | None = None,
        loss_schedule: Stateful | None = None,
        rng: bool = False,
        extra: dict[str, Any] | None = None,
    ) -> CheckpointRecord:
        """Verify a checkpoint and fill the parts that are given.

        Args:
            which: `best`, `latest`, an epoch, or a path. Of `best` and `latest` a damaged one is set aside and the next
                valid one used.
            model: filled, if given.
            optimizer: filled, if given.
            scheduler: filled, if given.
            scaler: filled, if given.
            loss_schedule: filled, if given.
            rng: also put the global random number generators where they were.
            extra: filled with the state saved as `extra`.

        Raises:
            CheckpointNotFoundError: none answers.
            CheckpointDamagedError: the one asked for by epoch or path is damaged.
            CheckpointError: it lacks a part that is asked for.
        """
        self._writer.settle()
        extra = {} if extra is None else extra
        state = TrainingState(model, optimizer, scheduler, scaler, loss_schedule, rng=rng, extra=extra)
        if which not in ("best", "latest"):
            return restore_checkpoint(self._find(which), state)
        while (record := self._first(str(which))) is not None:
            try:
                return restore_checkpoint(record.path, state)
            except (CheckpointDamagedError, CheckpointNotFoundError) as error:
                self._store.set_aside(record, error)
        raise CheckpointNotFoundError(f"there is no valid {which} checkpoint. Hint: has anything been saved yet?")

    def list_checkpoints(self) -> list[CheckpointRecord]:
        """The checkpoints that are kept, oldest epoch first."""
        self._writer.settle()
        return self._store.records()

    @property
    def best_checkpoint(self) -> CheckpointRecord | None:
        """The best checkpoint by the monitored metric."""
        return self._first("best")

    @property
    def latest_checkpoint(self) -> CheckpointRecord | None:
        """The checkpoint of the last epoch."""
        return self._first("latest")

    def training_progress(self) -> dict[str, Any]:
        """Epochs seen, best metric so far and its epoch, epochs since, seconds, bytes written, checkpoints kept."""
        kept = self.list_checkpoints()
        records = {record.epoch: finite_metric(record.metrics, self._keep.monitor) for record in kept}
        scores = {epoch: value for epoch, value in (records | self._seen).items() if value is not None}
        sign = 1 if self._keep.mode == "max" else -1
        best = max(scores, key=lambda epoch: (sign * scores[epoch], -epoch), default=None)
        last = max(records | self._seen, default=0)
        return {
            "epochs": last,
            "best_metric": None if best is None else scores[best],
            "best_epoch": best,
            "epochs_since_best": None if best is None else last - best,
            "seconds": self._clock() - self._started,
            "bytes_written": self._bytes,
            "checkpoints": len(kept),
        }

    def state_dict(self) -> dict[str, Any]:
        """Counters and clocks as JSON; what is best is not among them, since the store's records say it."""
        self._writer.settle()
        now = self._clock()
        return {
            "seconds": now - self._started,
            "seconds_since_save": now - self._saved,
            "save_seconds": self._save_seconds,
            "bytes_written": self._bytes,
            "seen": [[epoch, value] for epoch, value in self._seen.items()],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on counting where `state_dict` was taken, so that `interval` and `adaptive` decide as if uninterrupted.

        Raises:
            InvalidInputError: it is no state of a manager; nothing is changed.
        """
        now = self._clock()
        try:
            clocks = [float(state_dict[name]) for name in ("seconds", "seconds_since_save", "save_seconds")]
            written = int(state_dict["bytes_written"])
            seen = {int(epoch): None if value is None else float(value) for epoch, value in state_dict["seen"]}
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInputError(f"this is no state of a checkpoint manager ({error!r}).") from error
        self._started, self._saved, self._save_seconds = now - clocks[0], now - clocks[1], clocks[2]
        self._bytes, self._seen = written, seen

    def _first(self, which: str) -> CheckpointRecord | None:
        records = self.list_checkpoints()
        if which == "latest":
            return latest(records) if records else None
        ranked = self._keep.ranked(records)
        return ranked[0] if ranked else None

    def _find(self, which: str | int | Path) -> Path:
        if not isinstance(which, int):
            return Path(which)
        found = [record for record in self._store.records() if record.epoch == which]
        if not found:
            kept = ", ".join(str(record.epoch) for record in self._store.records()) or "none"
            raise CheckpointNotFoundError(f"there is no checkpoint of epoch {which}. Hint: kept are epochs {kept}.")
        return latest(found).path

    def _warn_of_metric(self, epoch: int, metrics: Mapping[str, Any]) -> None:
        if self._warned or self._strategy not in ("best", "adaptive") or self._seen[epoch] is not None:
            return
        self._warned = True
        found = metrics.get(self._keep.monitor, "nothing")
        _logger.warning("%s is no finite number, so never best: found %s at epoch %d", self._keep.monitor, found, epoch)

    def _prune(self, written: CheckpointRecord) -> None:
        """Remove what need not stay; never the one just written, also when training went back to an earlier epoch."""
        records = self._store.records()
        staying = {record.path for record in (written, *self._keep.select(records))}
        for record in records:
            if record.path not in staying:
                self._store.remove(record)

    def _name(self, kind: str, epoch: int) -> str:
        return f"{self._model_name}_{kind}_epoch_{epoch:03d}_{datetime.now(UTC).astimezone():%Y%m%d_%H%M%S}"
