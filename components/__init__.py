"""What one training run is made of: losses, checkpoints, metrics, data, the training loop.

Names are handed on lazily (PEP 562): importing one part does not import the others.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "EnhancedDiceLoss": "components.losses",
    "EnhancedBCELoss": "components.losses",
    "CombinedLoss": "components.losses",
    "LossManager": "components.losses",
    "CheckpointManager": "components.checkpoints",
    "AutoCheckpointManager": "components.checkpoints",
    "EnhancedModelCheckpoint": "components.training.helper",
    "MixedLoss": "components.training.helper",
    "TrainingConfiguration": "components.training.configuration",
    "TrainingHelper": "components.training.helper",
    "TrainingManager": "components.training.manager",
    "setup_enhanced_training": "components.training.setup",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Import the part that `name` lives in and hand the name on."""
    if name not in _HOMES:
        raise AttributeError(f"module 'components' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
