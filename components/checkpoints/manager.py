"""The checkpoint manager: a save policy, a keep policy and a store, composed."""

import logging
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, Unpack, overload

from torch import nn

from components.checkpoints.background import SaveHandle
from components.checkpoints.catalog import Catalog
from components.checkpoints.format import (
    NonFiniteWeightsError,
    Stateful,
    TrainingState,
    take_snapshot,
)
from components.checkpoints.opening import Loader, is_remote, open_store
from components.checkpoints.options import CASES, Parts, SaveOptions, metadata_of, parts_of
from components.checkpoints.policies import Metric, SaveDecision, SaveMoment, finite_metric
from components.checkpoints.progress import Progress
from components.checkpoints.record import CheckpointRecord
from components.checkpoints.retention import KeepPolicy
from components.checkpoints.saver import Saver
from components.checkpoints.signals import SignalWatch
from components.checkpoints.store import Store
from components.checkpoints.strategies import make_save_policy
from components.errors import (
    CheckpointError,
    InvalidInputError,
)
from components.save_decisions import Decision, DecisionLog

_logger = logging.getLogger(__name__)
_DEFAULT_KEPT = 5
_FORCED = re.compile(r"[A-Za-z0-9-]+")
_COUNTERS = "checkpoint_manager"  # in a checkpoint's metadata, since clocks differ where all else is the same
DECISIONS = "decisions.jsonl"


class CheckpointManager:
    """Saves when its strategy says so, keeps the best and the latest, and loads what verifies.

    Several managers, also of several processes, may share a directory: each sees the checkpoints of its `model_name`.

    Args:
        model_dir: directory of the checkpoints, or a URL such as `s3://bucket/run` (see `RemoteStore`).
        model_name: begins the name of each.
        save_strategy: `best` (on a gain), `epoch`, `interval`, `all` (every call) or `adaptive`.
        monitor_metric: decides what is best; NaN or missing is never best.
        mode: `max` or `min`.
        max_checkpoints: best ones kept beside the latest; default 5, for `all` no limit.
        interval_epochs: of `interval`; default 5 unless `interval_minutes` are given.
        keep_every: also keep each checkpoint whose epoch is a multiple of it.
        max_bytes: of all that is kept together; the best, the latest and pinned ones stay whatever it says.
        ties: further metrics with their modes, in order, for checkpoints that are equally good; then the later epoch.
        save_at_signals: such as `signal.SIGTERM`: the next call saves whatever the strategy says, and then the signal
            does what it would have done.
        seed: written into each checkpoint, as is `config`: JSON values.
        store: in place of the local directory.
        durable: False skips forcing files to the disk, for stores that copy them anyway.
        clock: seconds; for tests.
        decisions: told of every decision; default a file `decisions.jsonl` in `model_dir`, none with another store.
        adaptive: options of `AdaptivePolicy`.
        may_hold: False saves at once what `adaptive` would hold in memory until the next save.

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
        keep_every: int | None = None,
        max_bytes: int | None = None,
        ties: Mapping[str, Metric] | None = None,
        save_at_signals: Iterable[int] = (),
        seed: int | None = None,
        config: Mapping[str, Any] | None = None,
        store: Store | None = None,
        durable: bool = True,
        clock: Callable[[], float] = time.monotonic,
        decisions: Callable[[Decision], None] | None = None,
        adaptive: Mapping[str, float] | None = None,
        may_hold: bool = True,
    ) -> None:
        if not model_name or Path(model_name).name != model_name or model_name.startswith("."):
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
        self._keep = KeepPolicy(monitor_metric, mode, count, keep_every, max_bytes, dict(ties or {}))
        self._store: Store = open_store(model_dir) if store is None else store
        if decisions is None and store is None and not is_remote(model_dir):
            decisions = DecisionLog(Path(model_dir) / DECISIONS).append
        self._tell = decisions or (lambda _: None)
        self._model_name, self._strategy, self._may_hold = model_name, save_strategy, may_hold
        self._facts = {"strategy": save_strategy, "seed": seed, "config": None if config is None else dict(config)}
        self._progress = Progress(monitor_metric, mode, clock)
        self._catalog = Catalog(self._store, self._keep, model_name)
        self._loader = Loader(self._store, self._catalog)
        self._saver = Saver(self._store, self._catalog, self._keep, self._progress, durable=durable, tell=self._tell)
        self._signals = SignalWatch(save_at_signals)
        self._warned = False

    def should_save(
        self, epoch: int, metrics: Mapping[str, Any], cases: Mapping[str, float] | None = None
    ) -> SaveDecision:
        """What the strategy says, without saving."""
        best, last = self.best_checkpoint, self.latest_checkpoint
        rank, best_rank = self._keep.rank(metrics), None if best is None else self._keep.rank(best.metrics)
        moment = SaveMoment(
            epoch=epoch,
            metrics=metrics,
            best=None if best is None else finite_metric(best.metrics, self._keep.monitor),
            last_epoch=-1 if last is None else last.epoch,
            seconds_since_save=self._progress.seconds_since_save,
            save_seconds=self._progress.save_seconds,
            persist_seconds=self._progress.persist_seconds,
            epochs_since_gain=self._progress.epochs_since_gain(),
            cases=cases,
            best_cases=None if best is None else best.metadata.get(CASES),
            held=self._saver.held,
            wins_tie=bool(rank and best_rank and rank > best_rank),
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
        asynchronous: Literal[False] = False,
        **options: Unpack[SaveOptions],
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
        asynchronous: Literal[True],
        **options: Unpack[SaveOptions],
    ) -> SaveHandle | None: ...

    def save_checkpoint(
        self,
        model: nn.Module,
        optimizer: Stateful | None = None,
        scheduler: Stateful | None = None,
        epoch: int = 0,
        metrics: Mapping[str, Any] | None = None,
        *,
        asynchronous: bool = False,
        **options: Unpack[SaveOptions],
    ) -> Path | SaveHandle | None:
        """Save if the strategy says so, then remove what need not stay.

        On a full disk training goes on: the error is logged, None returned, and `close` raises it unless a later save
        got through. Earlier checkpoints are untouched.

        Args:
            model: its state is saved.
            optimizer: saved too, if given.
            scheduler: saved too, if given.
            epoch: that has just ended.
            metrics: of exactly these weights.
            asynchronous: copy the state and return; it is written in the background, and durable once the handle's
                `result` has returned. One write is in flight at a time: the next call waits for it, and raises its
                error if nobody has seen it.
            options: further parts (`scaler`, `ema`, `loss_schedule`, `sampler`, `early_stopping`), `extra`, `metadata`,
                `step`, `cases`, `forced`; see `SaveOptions`.

        Returns:
            Path of the checkpoint, or its handle; None when nothing was saved.

        Raises:
            CheckpointError: it cannot be written, or the one before could not be; earlier checkpoints are untouched.
            InvalidInputError: the metrics are of another epoch, or an option is unknown.
        """
        parts = parts_of(options)
        trained, metrics = self._progress.begin_call(), dict(metrics or {})
        cases, forced = options.get("cases"), options.get("forced") or self._signals.arrived
        value = self._progress.see(epoch, metrics)
        self._warn_of_metric(epoch, metrics, value)
        wanted = self._decide(epoch, metrics, cases, forced)
        decision = Decision.of(wanted, epoch=epoch, metric=value, epoch_seconds=trained, cases=cases)
        saved: Path | SaveHandle | None = None
        if not (wanted.save or wanted.hold):
            self._tell(decision)
        else:
            state = TrainingState(model, optimizer, scheduler, extra=dict(options.get("extra") or {}), **parts)
            try:
                snapshot = take_snapshot(
                    state,
                    epoch=epoch,
                    metrics=metrics,
                    kind=wanted.kind,
                    reason=wanted.reason,
                    model_name=self._model_name,
                    metadata=self._facts | metadata_of(options) | {_COUNTERS: self._progress.state_dict()},
                    step=options.get("step"),
                    copied=asynchronous or wanted.hold,
                )
            except NonFiniteWeightsError as error:
                _logger.warning("nothing saved: %s", error)
                self._tell(replace(decision, save=False, reason=str(error)))
            else:
                saved = self._saver.save(snapshot, decision, hold=wanted.hold, asynchronous=asynchronous)
        self._progress.end_call()
        if self._signals.arrived:
            self._saver.settle()
            self._signals.deliver()
        return saved

    def close(self) -> None:
        """Write what is held in memory, and wait for a save in the background; the manager can be used again after.

        Raises:
            CheckpointError: a checkpoint could not be written and nobody has seen it, or nothing could be saved since
                the disk was full.
        """
        try:
            self._saver.close()
        finally:
            self._signals.close()
            self._store.close()

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
        rng: bool = False,
        extra: dict[str, Any] | None = None,
        **parts: Unpack[Parts],
    ) -> CheckpointRecord:
        """Verify a checkpoint and fill the parts that are given.

        Args:
            which: `best`, `latest`, an epoch, or a path. Of `best` and `latest` a damaged one is set aside and the next
                valid one used. A path may also be a file that another program saved, see `read_foreign`.
            model: filled, if given.
            optimizer: filled, if given.
            scheduler: filled, if given.
            rng: also put the global random number generators, and the counters of this manager, where they were: for a
                training that goes on.
            extra: filled with the state saved as `extra`.
            parts: `scaler`, `ema`, `loss_schedule`, `sampler`, `early_stopping`; filled, if given.

        Raises:
            CheckpointNotFoundError: none answers.
            CheckpointDamagedError: the one asked for by epoch or path is damaged.
            CheckpointError: it lacks a part that is asked for.
        """
        self._saver.flush()
        state = TrainingState(model, optimizer, scheduler, rng=rng, extra={} if extra is None else extra, **parts)
        record = self._loader.restore(which, state)
        counters = record.metadata.get(_COUNTERS)
        if rng and counters is not None:
            self._progress.load_state_dict(counters)
        return record

    def list_checkpoints(self) -> list[CheckpointRecord]:
        """The checkpoints that are kept, oldest epoch first."""
        return self._settled().records()

    def ranked_checkpoints(self) -> list[CheckpointRecord]:
        """The checkpoints that have the monitored metric, best first."""
        return self._keep.ranked(self.list_checkpoints())

    @property
    def best_checkpoint(self) -> CheckpointRecord | None:
        """The best checkpoint by the monitored metric."""
        return self._settled().best()

    @property
    def latest_checkpoint(self) -> CheckpointRecord | None:
        """The checkpoint of the last epoch."""
        return self._settled().latest()

    def pin(self, epoch: int, *, pinned: bool = True) -> None:
        """Never remove the checkpoint of an epoch; or no longer, with `pinned=False`.

        Raises:
            CheckpointNotFoundError: there is none of that epoch.
        """
        self._store.pin(self._settled().of_epoch(epoch), pinned=pinned)

    def training_progress(self) -> dict[str, Any]:
        """Epochs seen, best metric so far and its epoch, epochs since, seconds, bytes written, checkpoints kept."""
        return self._progress.summary(self.list_checkpoints())

    def state_dict(self) -> dict[str, Any]:
        """Counters and clocks as JSON; what is best is not among them, since the store's records say it."""
        self._saver.settle()
        return self._progress.state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on counting where `state_dict` was taken, so that `interval` and `adaptive` decide as if uninterrupted.

        Raises:
            InvalidInputError: it is no state of a manager; nothing is changed.
        """
        self._progress.load_state_dict(state_dict)

    def _decide(
        self, epoch: int, metrics: Mapping[str, Any], cases: Mapping[str, float] | None, forced: str
    ) -> SaveDecision:
        decision = self.should_save(epoch, metrics, cases)
        if forced and not _FORCED.fullmatch(forced):
            raise InvalidInputError(f"forced: found {forced!r}, must be a word such as 'end'.")
        if forced:
            return replace(decision, save=True, hold=False, kind=forced.lower(), reason=f"forced: {forced}")
        if decision.hold and not self._may_hold:
            return replace(decision, save=True, hold=False)
        return decision

    def _settled(self) -> Catalog:
        """The checkpoints, once a save in the background has ended."""
        self._saver.settle()
        return self._catalog

    def _warn_of_metric(self, epoch: int, metrics: Mapping[str, Any], value: float | None) -> None:
        if self._warned or self._strategy not in ("best", "adaptive") or value is not None:
            return
        self._warned = True
        found = metrics.get(self._keep.monitor, "nothing")
        _logger.warning("%s is no finite number, so never best: found %s at epoch %d", self._keep.monitor, found, epoch)
