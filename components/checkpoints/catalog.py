"""The checkpoints of one model in a store: which is best, which is the latest, which stay."""

from pathlib import Path

from components.checkpoints.record import CheckpointRecord
from components.checkpoints.retention import KeepPolicy, latest
from components.checkpoints.store import Store
from components.errors import CheckpointNotFoundError


class Catalog:
    """What a manager sees of its store; the checkpoints of other models in it are neither listed nor removed.

    Args:
        store: where they are.
        keep: what is best, and what stays.
        model_name: of whose model.
    """

    def __init__(self, store: Store, keep: KeepPolicy, model_name: str) -> None:
        self._store, self._keep, self._model_name = store, keep, model_name

    def records(self) -> list[CheckpointRecord]:
        """All of the model, oldest epoch first."""
        return [record for record in self._store.records() if record.model_name == self._model_name]

    def best(self) -> CheckpointRecord | None:
        """The best by the monitored metric."""
        ranked = self._keep.ranked(self.records())
        return ranked[0] if ranked else None

    def latest(self) -> CheckpointRecord | None:
        """That of the last epoch."""
        records = self.records()
        return latest(records) if records else None

    def of_epoch(self, epoch: int) -> CheckpointRecord:
        """That of an epoch; of several the one written last.

        Raises:
            CheckpointNotFoundError: there is none; says which there are.
        """
        found = [record for record in self.records() if record.epoch == epoch]
        if not found:
            raise CheckpointNotFoundError(f"there is no checkpoint of epoch {epoch}. Hint: {self.hint()}")
        return latest(found)

    def at(self, place: str | Path) -> CheckpointRecord | None:
        """That at a path, or with a URL that of the name with which the URL ends; of any model."""
        path, anywhere = Path(place), "://" in str(place)
        for record in self._store.records():
            if record.path == path or (anywhere and record.path.name == path.name):
                return record
        return None

    def hint(self) -> str:
        """What there is, in words."""
        everything = self._store.records()
        epochs = ", ".join(str(record.epoch) for record in everything if record.model_name == self._model_name)
        if epochs:
            return f"kept are epochs {epochs}."
        others = ", ".join(sorted({record.model_name for record in everything}))
        return f"there are those of model_name {others}." if others else "has anything been saved yet?"

    def prune(self, written: CheckpointRecord) -> None:
        """Remove what need not stay; never the one just written, also when training went back to an earlier epoch."""
        records = self.records()
        staying = {record.path for record in (written, *self._keep.select(records, self._store.is_pinned))}
        for record in records:
            if record.path not in staying:
                self._store.remove(record)
