"""The checkpoint that is kept in each format, so that later versions go on reading it.

python -m tests.formats.kept_checkpoint writes the one of the present format beside this file, where there is none yet.
"""

import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from components.checkpoints import TrainingState, write_checkpoint
from components.checkpoints.record import FORMAT_VERSION

FOLDER = Path(__file__).parent
SEED = 20260101
METRICS = {"val_dice": 0.75, "val_loss": float("nan"), "note": "kept", "epoch": 7}
EXTRA = {"position": (3, 1), "order": torch.tensor([2, 0, 1])}
WEIGHT, BIAS = [[1.5, -0.25], [0.0, 3.0]], [0.125, -2.0]


class Network(nn.Module):
    """A layer, a buffer and state that is no tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.register_buffer("seen", torch.tensor(0))
        self.note = ""

    def get_extra_state(self) -> dict[str, Any]:
        """Something that is no tensor."""
        return {"note": self.note}

    def set_extra_state(self, state: Any) -> None:
        """Take it back."""
        self.note = state["note"]


Parts = tuple[Network, torch.optim.Optimizer, torch.optim.lr_scheduler.StepLR]


def fresh_parts() -> Parts:
    """Before any training."""
    model = Network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.5)
    return model, optimizer, torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)


def trained_parts() -> Parts:
    """With round values everywhere: the momentum of a step is its gradient, 1."""
    model, optimizer, scheduler = fresh_parts()
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    scheduler.step()
    with torch.no_grad():
        model.layer.weight.copy_(torch.tensor(WEIGHT))
        model.layer.bias.copy_(torch.tensor(BIAS))
        model.get_buffer("seen").fill_(42)
    model.note = "trained"
    return model, optimizer, scheduler


def write(directory: Path) -> None:
    """Write it in the present format."""
    model, optimizer, scheduler = trained_parts()
    random.seed(SEED)
    np.random.seed(SEED)  # noqa: NPY002 - the global generator is what is saved
    torch.manual_seed(SEED)
    write_checkpoint(
        directory,
        TrainingState(model, optimizer, scheduler, extra=dict(EXTRA)),
        epoch=7,
        metrics=METRICS,
        kind="best",
        reason="kept in tests/formats",
        metadata={"host": "example", "trial": 3},
    )


if __name__ == "__main__":
    write(FOLDER / f"checkpoint_v{FORMAT_VERSION}")
