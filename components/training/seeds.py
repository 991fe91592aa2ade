"""One place that seeds every random number generator that training draws from."""

import random

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """Seed Python's, NumPy's and torch's (all devices') global generators.

    Args:
        seed: any non-negative integer; NumPy uses its lowest 32 bits.
    """
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - foreign transforms draw from the global generator
    torch.manual_seed(seed)
