"""The parts of a training from its configuration: in one line for a script that has its own loop."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.checkpoints import CheckpointManager
from components.losses import CombinedLoss
from components.training.configuration import TrainingConfiguration

Config = TrainingConfiguration | Mapping[str, Any] | None


def setup_enhanced_training(
    model_dir: str | Path, model_name: str, config: Config = None
) -> tuple[CombinedLoss, CheckpointManager, dict[str, Any]]:
    """Loss function and checkpoint manager for an existing training script.

    Args:
        model_dir: folder of the checkpoints.
        model_name: begins the name of each.
        config: as of `TrainingManager`.

    Returns:
        The loss, called with logits and masks; the checkpoint manager; and all settings as plain values.

    Raises:
        InvalidInputError: the configuration does not fit; lists every problem.

    Example:
        >>> loss_function, checkpoint_manager, _ = setup_enhanced_training("output", "unet")  # doctest: +SKIP
        >>> checkpoint_manager.save_checkpoint(model, optimizer, None, 1, {"val_dice": 0.7})  # doctest: +SKIP
    """
    configuration = as_configuration(config)
    manager = build_checkpoint_manager(Path(model_dir), model_name, configuration)
    return configuration.loss.build(), manager, configuration.to_mapping()


def as_configuration(config: Config) -> TrainingConfiguration:
    """The configuration that was given, or that sections make."""
    return config if isinstance(config, TrainingConfiguration) else TrainingConfiguration.from_mapping(config)


def build_checkpoint_manager(
    folder: Path, model_name: str, configuration: TrainingConfiguration, **options: Any
) -> CheckpointManager:
    """The manager that the section `checkpoint` describes; `options` as of `CheckpointManager`."""
    checkpoint = configuration.checkpoint
    return CheckpointManager(
        folder,
        model_name,
        save_strategy=checkpoint.strategy,
        monitor_metric=checkpoint.monitor,
        mode="min" if checkpoint.mode == "min" else "max",
        max_checkpoints=checkpoint.max_checkpoints,
        interval_epochs=checkpoint.interval if checkpoint.strategy == "interval" else None,
        seed=training_seed(configuration),
        config=configuration.to_mapping(),
        **options,
    )


def training_seed(configuration: TrainingConfiguration) -> int:
    """The seed; of `per_trial` that of the first, since a training alone is one trial."""
    seed = configuration.training.seed
    return 0 if isinstance(seed, str) else seed
