"""What this machine has to give, and how many trials that makes at a time."""

import os

from tuning.config import ResourcesConfig


def usable_cpus() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def concurrent_trials(resources: ResourcesConfig) -> int:
    """Trials at a time: as asked for, or as many as the CPUs hold."""
    return resources.concurrent or max(1, usable_cpus() // resources.cpus_per_trial)
