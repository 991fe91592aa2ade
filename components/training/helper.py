"""The names that training scripts around a dataset manager use: a helper, a checkpoint manager that tells, a loss."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import Optimizer

from components.checkpoints import CheckpointManager
from components.checkpoints.manager import DECISIONS
from components.checkpoints.opening import is_remote, open_store
from components.checkpoints.recorded_store import RecordedStore, Recorder
from components.losses import CombinedLoss, LossManager
from components.losses.inputs import Mode
from components.save_decisions import DecisionLog
from components.training.configuration import TrainingConfiguration, training_presets
from components.training.manager import TrainingManager
from components.training.setup import Config, as_configuration


class EnhancedModelCheckpoint(CheckpointManager):
    """A checkpoint manager that tells a recorder, such as a site's database, of each commit and removal.

    Args:
        model_dir: directory of the checkpoints, or a URL.
        model_name: begins the name of each.
        recorder: told of what is saved and what is gone; an error of its own is logged and costs no checkpoint.
        options: as of `CheckpointManager`.

    Example:
        >>> EnhancedModelCheckpoint("output", "unet", recorder=rows).save_checkpoint(...)  # doctest: +SKIP
    """

    def __init__(
        self, model_dir: str | Path = "checkpoints", model_name: str = "model", *, recorder: Recorder, **options: Any
    ) -> None:
        if not is_remote(model_dir):
            options.setdefault("decisions", DecisionLog(Path(model_dir) / DECISIONS).append)
        store = RecordedStore(open_store(model_dir), recorder)
        super().__init__(model_dir, model_name, store=store, **options)


class MixedLoss(CombinedLoss):
    """Dice and binary cross-entropy, weighed.

    Args:
        dice_weight: of the Dice loss.
        bce_weight: of the cross-entropy (of classes where the mode is `multiclass`).
        mode: what the masks mean.
        ignore_index: value of target pixels that do not count.

    Raises:
        InvalidInputError: a weight is negative or not finite, or both are 0.

    Example:
        >>> MixedLoss(0.7, 0.3).weights
        {'dice': 0.7, 'bce': 0.3}
    """

    def __init__(
        self,
        dice_weight: float = 0.5,
        bce_weight: float = 0.5,
        *,
        mode: Mode = "binary",
        ignore_index: int | None = None,
    ) -> None:
        second = "ce" if mode == "multiclass" else "bce"
        weights = {"dice": dice_weight, second: bce_weight}
        terms: dict[str, dict[str, Any]] = {name: {} for name in weights}
        config = {"type": "combined", "mode": mode, "ignore_index": ignore_index, "terms": terms}
        super().__init__(dict(LossManager.create_loss_function(config).terms.items()), weights)


class TrainingHelper:
    """Sets up a whole training in one line, and keeps its configurations.

    Args:
        model_dir: folder of all that is written.
        model_name: begins the name of each checkpoint.
        config: as of `TrainingManager`.

    Example:
        >>> helper = TrainingHelper("output", "unet", {"preset": "small_data"})  # doctest: +SKIP
        >>> manager = helper.setup(model)  # doctest: +SKIP
        >>> manager.fit(train_loader, val_loader)  # doctest: +SKIP
    """

    def __init__(self, model_dir: str | Path = "output", model_name: str = "model", config: Config = None) -> None:
        self._folder, self._name = Path(model_dir), model_name
        self.configuration = as_configuration(config)

    def setup(
        self, model: nn.Module, optimizer: Optimizer | None = None, scheduler: Any = None, **options: Any
    ) -> TrainingManager:
        """A manager that is ready to train; `options` as of `TrainingManager`."""
        manager = TrainingManager(self._folder, self._name, self.configuration, **options)
        manager.setup_training(model, optimizer, scheduler)
        return manager

    def with_adaptive_schedule(self, kind: str = "adaptive", **options: Any) -> "TrainingHelper":
        """The same with loss weights that follow the terms' progress; `kind` and options as of a loss schedule.

        Raises:
            InvalidInputError: there is no such schedule or option.
        """
        return self.with_changes({"loss": {"schedule": {"type": kind, **options}}})

    def with_changes(self, config: Mapping[str, Mapping[str, Any]]) -> "TrainingHelper":
        """The same with other settings, by section and name.

        Raises:
            InvalidInputError: an unknown setting, or a value that does not fit.
        """
        sections = self.configuration.to_mapping()
        for name, settings in config.items():
            sections[name] = sections.get(name, {}) | dict(settings)
        return TrainingHelper(self._folder, self._name, sections)

    def save_configuration(self, name: str = "training.yaml") -> Path:
        """Write the configuration into the folder; returns its path."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self.configuration.save(self._folder / name)
        return self._folder / name

    @classmethod
    def from_file(
        cls, path: str | Path, model_dir: str | Path = "output", model_name: str = "model"
    ) -> "TrainingHelper":
        """A helper with the configuration of a YAML or JSON file.

        Raises:
            InvalidInputError: it cannot be read, or holds what does not fit.
        """
        return cls(model_dir, model_name, TrainingConfiguration.load(path))

    @staticmethod
    def compare(first: str, second: str) -> dict[str, tuple[Any, Any]]:
        """Settings in which two ready-made configurations differ, by dotted path."""
        presets = training_presets()
        return presets[first].diff(presets[second])
