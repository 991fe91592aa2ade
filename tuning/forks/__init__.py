"""Workers that are ready at once: forked from one process that has imported what a trial needs.

Python takes seconds to import PyTorch, Ray Tune and MONAI, and Ray starts a fresh interpreter for each worker. Here
only one process imports them, the fork server; it computes nothing, so that a fork of it is safe, and Ray's workers
are its forks. They share its memory until they write to it.
"""

from tuning.forks.handle import MONAI, ForkServer, fork_server, start_early, worker_modules

__all__ = ["MONAI", "ForkServer", "fork_server", "start_early", "worker_modules"]
