"""TensorBoard: a folder of event files a trial, in the study."""

from typing import Any

from tensorboardX import SummaryWriter

from tuning.record import TrialEntry, trial_name
from tuning.trackers.tracking import TrackedStudy


class TensorBoardTracker:
    """Writes `DIR/tensorboard/0007`; see `Tracker`. Epochs that are trained again take the place of those before.

    Args:
        study: whose numbers are written.
    """

    def __init__(self, study: TrackedStudy) -> None:
        self._folder = study.directory.root / "tensorboard"
        self._settings: dict[int, str] = {}
        self._writers: dict[int, SummaryWriter] = {}

    def start(self, number: int, name: str, settings: dict[str, Any]) -> None:
        """Keep the settings for the first epoch, which says where the curve goes on."""
        lines = [f"| {path} | {value} |" for path, value in settings.items()]
        self._settings[number] = "\n".join([f"**{name}**", "", "| setting | value |", "|---|---|", *lines])

    def log(self, number: int, epoch: int, values: dict[str, float]) -> None:
        """Write an epoch, at once: the file is looked at while the study runs."""
        writer = self._writers.get(number)
        if writer is None:
            # The suffix keeps apart the files of two attempts that start within a second.
            folder, suffix = str(self._folder / trial_name(number)), f".{epoch:04d}"
            writer = SummaryWriter(folder, purge_step=epoch, filename_suffix=suffix)
            writer.add_text("settings", self._settings.get(number, ""), epoch)
            self._writers[number] = writer
        for name, value in values.items():
            writer.add_scalar(name, value, epoch)
        writer.flush()

    def end(self, entry: TrialEntry) -> None:
        """Close the trial's file."""
        self._settings.pop(entry.number, None)
        if writer := self._writers.pop(entry.number, None):
            writer.add_text("end", f"{entry.state}: {entry.cause}", max(entry.dice, default=0))
            writer.close()

    def close(self) -> None:
        """Close all files."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()
