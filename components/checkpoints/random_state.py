"""The state of every random number generator that training draws from, as tensors and JSON."""

import logging
import random
from typing import Any

import numpy as np
import torch

_logger = logging.getLogger(__name__)


def capture_random_state() -> dict[str, Any]:
    """State of Python's, NumPy's and torch's global generators (CUDA's of each device when there is one)."""
    algorithm, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)  # noqa: NPY002 - the global one
    version, words, gauss_next = random.getstate()
    state: dict[str, Any] = {
        "python": [version, torch.tensor(words, dtype=torch.int64), gauss_next],
        "numpy": [
            str(algorithm),
            torch.from_numpy(np.asarray(keys, np.int64)),
            int(position),
            int(has_gauss),
            float(gauss),
        ],
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def restore_random_state(state: dict[str, Any]) -> None:
    """Put the generators where `capture_random_state` found them; CUDA's only on as many devices as there were."""
    version, words, gauss_next = state["python"]
    random.setstate((version, tuple(words.tolist()), gauss_next))
    algorithm, keys, position, has_gauss, gauss = state["numpy"]
    np.random.set_state((algorithm, keys.numpy().astype(np.uint32), position, has_gauss, gauss))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if "cuda" not in state:
        return
    if len(state["cuda"]) != torch.cuda.device_count():
        _logger.warning(
            "CUDA's random numbers are not restored: saved on %d devices, found %d",
            len(state["cuda"]),
            torch.cuda.device_count(),
        )
        return
    torch.cuda.set_rng_state_all(state["cuda"])
