"""What a study file may say, and what is wrong with one that says something else."""

from tuning.config.paths import set_by_path, settings_difference
from tuning.config.sections import (
    CheckpointConfig,
    DataConfig,
    GroupConfig,
    LossConfig,
    ModelConfig,
    ResourcesConfig,
    SchedulerConfig,
    SearchConfig,
    StorageConfig,
    StudyConfig,
)
from tuning.config.training import TrainingConfig

TRIAL_SECTIONS = ("model", "training", "loss", "checkpoint")

__all__ = [
    "TRIAL_SECTIONS",
    "CheckpointConfig",
    "DataConfig",
    "GroupConfig",
    "LossConfig",
    "ModelConfig",
    "ResourcesConfig",
    "SchedulerConfig",
    "SearchConfig",
    "StorageConfig",
    "StudyConfig",
    "TrainingConfig",
    "set_by_path",
    "settings_difference",
]
