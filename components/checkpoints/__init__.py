"""Checkpoints that a kill cannot lose: when to save, how to store, what to keep.

A checkpoint is a directory of safetensors and JSON with a manifest written last; nothing is ever pickled.
"""

from components.checkpoints.adaptive import AdaptivePolicy, paired_standard_error
from components.checkpoints.auto_manager import AutoCheckpointManager
from components.checkpoints.background import SaveHandle
from components.checkpoints.format import Snapshot, TrainingState, restore_checkpoint, take_snapshot, write_checkpoint
from components.checkpoints.inspection import Inspected, inspect_checkpoints
from components.checkpoints.local_store import LocalStore
from components.checkpoints.maintenance import Change, prune_checkpoints, repair_checkpoints
from components.checkpoints.manager import CheckpointManager
from components.checkpoints.policies import (
    AllPolicy,
    BestPolicy,
    EpochPolicy,
    IntervalPolicy,
    SaveDecision,
    SaveMoment,
    SavePolicy,
)
from components.checkpoints.record import CheckpointRecord, verify_checkpoint
from components.checkpoints.remote_store import RemoteStore
from components.checkpoints.replay import Replayed, compare_policies, replay
from components.checkpoints.retention import KeepPolicy
from components.checkpoints.sharing import lease as lease_checkpoint
from components.checkpoints.store import Store
from components.checkpoints.strategies import STRATEGIES, make_save_policy
from components.checkpoints.trace import Step, Trace
from components.save_decisions import Decision, DecisionLog, read_decisions

__all__ = [
    "STRATEGIES",
    "AdaptivePolicy",
    "AllPolicy",
    "AutoCheckpointManager",
    "BestPolicy",
    "Change",
    "CheckpointManager",
    "CheckpointRecord",
    "Decision",
    "DecisionLog",
    "EpochPolicy",
    "Inspected",
    "IntervalPolicy",
    "KeepPolicy",
    "LocalStore",
    "RemoteStore",
    "Replayed",
    "SaveDecision",
    "SaveHandle",
    "SaveMoment",
    "SavePolicy",
    "Snapshot",
    "Step",
    "Store",
    "Trace",
    "TrainingState",
    "compare_policies",
    "inspect_checkpoints",
    "lease_checkpoint",
    "make_save_policy",
    "paired_standard_error",
    "prune_checkpoints",
    "read_decisions",
    "repair_checkpoints",
    "replay",
    "restore_checkpoint",
    "take_snapshot",
    "verify_checkpoint",
    "write_checkpoint",
]
