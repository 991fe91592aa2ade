"""The trial's checkpoint store: it stages a checkpoint that `tune.report` hands to Ray Tune, which keeps it."""

import logging
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from components.checkpoints import CheckpointRecord, Decision
from components.checkpoints.record import read_record
from components.errors import CheckpointError

_logger = logging.getLogger(__name__)


@contextmanager
def staging_folder(root: str) -> Iterator[Path]:
    """A folder for staged checkpoints of a trial of the study at `root`, gone when the trial ends or is stopped.

    Not in Ray's own folder for the trial: the driver's part of that is copied to the study while things are staged.
    """
    with TemporaryDirectory(prefix=staging_prefix(root), ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def remove_staging_folders(root: str) -> None:
    """Remove those that killed workers have left on this machine; no trial of the study may run."""
    for folder in Path(gettempdir()).glob(f"{staging_prefix(root)}*"):
        shutil.rmtree(folder, ignore_errors=True)


def staging_prefix(root: str) -> str:
    """How the names of the study's staging folders begin."""
    return f"segtune-{sha256(root.encode()).hexdigest()[:12]}-"


@dataclass(frozen=True)
class Start:
    """What a trial changes that goes on from another's checkpoint.

    Attributes:
        lr_factor: its learning rate, as a multiple of the other's.
        best: its own best Dice up to this epoch.
    """

    lr_factor: float
    best: float


class TuneStore:
    """Stages at most one checkpoint at a time; Ray Tune's persisted copy is the checkpoint.

    Args:
        staging: local folder of the trial for staged checkpoints.
        records: what the driver's index lists of earlier attempts, so that the best so far is known after a resume.
        folders: where Ray Tune has put the trial's checkpoints by now.
        start: given where the last of the records is another trial's.
    """

    def __init__(
        self,
        staging: Path,
        records: Sequence[CheckpointRecord] = (),
        folders: Callable[[], Iterable[Path]] = lambda: (),
        start: Start | None = None,
    ) -> None:
        self.start = start
        self._staging, self._folders = staging, folders
        self._records = list(records)
        self._staged: CheckpointRecord | None = None
        self._decisions: list[Decision] = []

    def between(self, first: int, last: int) -> "FoldStore":
        """The same store as one fold sees it: only the checkpoints of its epochs, both ends included."""
        return FoldStore(self, first, last)

    def save(self, name: str, write: Callable[[Path], CheckpointRecord]) -> CheckpointRecord:
        """Stage a checkpoint; it counts once `tune.report` has persisted it."""
        self.discard()
        self._staging.mkdir(parents=True, exist_ok=True)
        self._staged = write(self._staging / name)
        self._records.append(self._staged)
        return self._staged

    @property
    def staging(self) -> Path:
        """Folder for staged checkpoints."""
        return self._staging

    @property
    def staged(self) -> CheckpointRecord | None:
        """The checkpoint that waits to be reported."""
        return self._staged

    def decided(self, decision: Decision) -> None:
        """Keep a decision about saving for the next report."""
        self._decisions.append(decision)

    def take_decisions(self) -> list[Decision]:
        """The decisions since the last call."""
        taken, self._decisions = self._decisions, []
        return taken

    def persisted(self, records: Sequence[CheckpointRecord]) -> list[CheckpointRecord]:
        """Those of the records that are kept, each with the path at which it is now."""
        found = {record.manifest_sha256: record for record in self._records if record.path.is_dir()}
        for folder in self._folders():
            with suppress(CheckpointError):
                record = read_record(folder)[0]
                found[record.manifest_sha256] = record
        return [found[record.manifest_sha256] for record in records if record.manifest_sha256 in found]

    def discard(self) -> None:
        """Remove the staged copy, once it is persisted."""
        if self._staged is not None:
            shutil.rmtree(self._staged.path, ignore_errors=True)
            self._staged = None

    def records(self) -> list[CheckpointRecord]:
        """Every checkpoint that the trial made; some may be pruned by now."""
        return list(self._records)

    def set_aside(self, record: CheckpointRecord, error: CheckpointError) -> None:
        """Forget a damaged checkpoint of an earlier attempt; the driver sets its folder aside at the next start."""
        _logger.warning("not used, damaged: %s", error)
        self._records = [known for known in self._records if known.path != record.path]

    def remove(self, record: CheckpointRecord) -> None:
        """Leave it to the driver, which keeps what the study's settings say."""

    def reading(self, record: CheckpointRecord) -> AbstractContextManager[Path]:
        """Where it is; the driver does not remove the best and the latest."""
        return nullcontext(record.path)

    def pin(self, record: CheckpointRecord, *, pinned: bool) -> None:
        """Refuse: what a study keeps is one setting for all its trials."""
        raise CheckpointError(
            f"{record.path}: a trial's checkpoints cannot be pinned. Hint: checkpoint.max_checkpoints"
        )

    def is_pinned(self, record: CheckpointRecord) -> bool:
        """Whether it is; never."""
        return False

    def close(self) -> None:
        """Keep what is staged: it may still have to be reported."""


class FoldStore:
    """The checkpoints of one fold of a trial; what is best in a fold is decided among its own.

    Args:
        store: of the trial.
        first: epoch of the trial with which the fold begins.
        last: with which it ends.
    """

    def __init__(self, store: TuneStore, first: int, last: int) -> None:
        self._store, self._first, self._last = store, first, last
        self.start = store.start
        self.save, self.set_aside, self.remove = store.save, store.set_aside, store.remove
        self.reading, self.pin, self.is_pinned = store.reading, store.pin, store.is_pinned
        self.close, self.decided, self.persisted = store.close, store.decided, store.persisted

    def records(self) -> list[CheckpointRecord]:
        """Every checkpoint that the fold made."""
        return [record for record in self._store.records() if self._first <= record.epoch <= self._last]
