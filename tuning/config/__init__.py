"""What a study file may say, and what is wrong with one that says something else."""

from tuning.config.data import DataConfig, GroupConfig
from tuning.config.paths import pick, set_by_path, settings_difference
from tuning.config.retrain import FinalistsConfig, RetrainConfig
from tuning.config.script import ScriptConfig
from tuning.config.search import SchedulerConfig, SearchConfig
from tuning.config.sections import (
    CheckpointConfig,
    LossConfig,
    MetricsConfig,
    ModelConfig,
    ResourcesConfig,
    StorageConfig,
    StudyConfig,
)
from tuning.config.stop import StopConfig
from tuning.config.trackers import TrackersConfig
from tuning.config.training import TrainingConfig

TRIAL_SECTIONS = ("model", "training", "loss", "checkpoint")

__all__ = [
    "TRIAL_SECTIONS",
    "CheckpointConfig",
    "DataConfig",
    "FinalistsConfig",
    "GroupConfig",
    "LossConfig",
    "MetricsConfig",
    "ModelConfig",
    "ResourcesConfig",
    "RetrainConfig",
    "SchedulerConfig",
    "ScriptConfig",
    "SearchConfig",
    "StopConfig",
    "StorageConfig",
    "StudyConfig",
    "TrackersConfig",
    "TrainingConfig",
    "pick",
    "set_by_path",
    "settings_difference",
]
