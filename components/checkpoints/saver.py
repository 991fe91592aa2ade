"""Writes what was decided to be saved, in the loop or in the background, and removes what need not stay after that."""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from components.checkpoints.background import BackgroundWriter, SaveHandle
from components.checkpoints.catalog import Catalog
from components.checkpoints.format import Snapshot
from components.checkpoints.policies import SaveDecision, finite_metric
from components.checkpoints.progress import Progress
from components.checkpoints.retention import KeepPolicy
from components.checkpoints.store import Store
from components.errors import DiskFullError
from components.save_decisions import Decision

_logger = logging.getLogger(__name__)


class Saver:
    """The part of a manager that writes.

    Args:
        store: where to.
        catalog: removes what need not stay.
        keep: says which of two is better.
        progress: counts what saving costs.
        durable: have every file on the disk itself.
        tell: told of each decision once what it cost is known.
    """

    def __init__(
        self,
        store: Store,
        catalog: Catalog,
        keep: KeepPolicy,
        progress: Progress,
        *,
        durable: bool,
        tell: Callable[[Decision], None],
    ) -> None:
        self._store, self._catalog, self._keep, self._progress = store, catalog, keep, progress
        self._durable, self._tell = durable, tell
        self._writer = BackgroundWriter()
        self._held: Snapshot | None = None
        self._unsaved: DiskFullError | None = None

    @property
    def held(self) -> float | None:
        """Monitored metric of the copy that is held in memory."""
        return None if self._held is None else self._metric(self._held)

    def save(
        self, snapshot: Snapshot, decision: Decision, *, hold: bool, asynchronous: bool
    ) -> Path | SaveHandle | None:
        """Write a checkpoint, and what is held unless this one is better.

        Args:
            snapshot: what to write; a copy where training goes on meanwhile.
            decision: told once what it cost is known.
            hold: keep it in memory instead, to be written with the next one or at the end.
            asynchronous: write in the background.

        Returns:
            Path of the checkpoint, or its handle; None when the disk was full.

        Raises:
            CheckpointError: it cannot be written for another reason.
        """
        if hold:
            self._held = snapshot
            self._tell(replace(decision, seconds=self._progress.seconds_in_call))
            return None
        write = partial(self._write, [*self._take_held(snapshot), snapshot])
        if asynchronous:
            blocked = self._progress.seconds_in_call
            handle = self._writer.submit(partial(write, decision, blocked=blocked))
            self._progress.saved(blocked)
            return handle
        try:
            path = write(decision)
        except DiskFullError:
            return None
        self._progress.saved(self._progress.seconds_in_call)
        return path

    def settle(self) -> None:
        """Wait for a save in the background; that the disk was full is logged by then.

        Raises:
            CheckpointError: it could not be written for another reason, and nobody has seen it.
        """
        with suppress(DiskFullError):
            self._writer.settle()

    def flush(self) -> None:
        """Wait, and write what is held.

        Raises:
            CheckpointError: as `settle`.
        """
        self.settle()
        held, self._held = self._held, None
        if held is None:
            return
        wanted = SaveDecision(save=True, kind=held.manifest["kind"], reason="held in memory until now")
        with suppress(DiskFullError):
            self._write([held], Decision.of(wanted, epoch=held.manifest["weights_epoch"], metric=self._metric(held)))

    def close(self) -> None:
        """Flush, and end the background thread.

        Raises:
            DiskFullError: nothing could be saved since the disk was full.
            CheckpointError: as `settle`.
        """
        try:
            self.flush()
        finally:
            self._writer.close()
        unsaved, self._unsaved = self._unsaved, None
        if unsaved is not None:
            raise unsaved

    def _write(self, snapshots: list[Snapshot], decision: Decision, blocked: float | None = None) -> Path:
        """Write and prune; what it cost is told with the decision."""
        begun = self._progress.now()
        try:
            written = [self._store.save(_name(s), partial(s.write, durable=self._durable)) for s in snapshots]
        except DiskFullError as error:
            self._unsaved = error
            _logger.error("nothing saved, training goes on: %s", error)  # noqa: TRY400 - the text says it all
            self._tell(replace(decision, save=False, reason=str(error)))
            raise
        self._unsaved = None
        size, took = sum(record.bytes for record in written), self._progress.now() - begun
        self._progress.persisted(size, took)
        self._catalog.prune(written[-1])
        seconds = self._progress.seconds_in_call if blocked is None else blocked
        self._tell(replace(decision, seconds=seconds, persist_seconds=took, bytes=size, path=written[-1].path.name))
        return written[-1].path

    def _take_held(self, other: Snapshot) -> list[Snapshot]:
        held, self._held = self._held, None
        if held is None:
            return []
        rank, held_rank = (self._keep.rank(snapshot.manifest["metrics"]) for snapshot in (other, held))
        return [] if rank and held_rank and rank > held_rank else [held]

    def _metric(self, snapshot: Snapshot) -> float | None:
        return finite_metric(snapshot.manifest["metrics"], self._keep.monitor)


def _name(snapshot: Snapshot) -> str:
    made = snapshot.manifest
    stamp = f"{datetime.now(UTC).astimezone():%Y%m%d_%H%M%S}"
    return f"{made['model_name']}_{made['kind']}_epoch_{made['weights_epoch']:03d}_{stamp}"
