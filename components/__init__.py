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
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Import the part that `name` lives in and hand the name on."""
    if name not in _HOMES:
        raise AttributeError(f"module 'components' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
