"""Saves checkpoints until it is killed, and says of each that it is saved once it is durable.

python saving_loop.py FOLDER [asynchronous]
"""

import sys

from torch import nn

from components.checkpoints import CheckpointManager

if __name__ == "__main__":
    asynchronous = sys.argv[2:] == ["asynchronous"]
    manager = CheckpointManager(sys.argv[1], save_strategy="epoch", max_checkpoints=2)
    model = nn.Linear(64, 64)
    for epoch in range(1, 10_000):
        nn.init.constant_(model.weight, epoch)
        metrics = {"val_dice": (epoch * 7919 % 1000) / 1000}
        if asynchronous:
            handle = manager.save_checkpoint(model, epoch=epoch, metrics=metrics, asynchronous=True)
            nn.init.constant_(model.weight, -epoch)  # training goes on while it is written
            if handle is not None:
                handle.result()
        else:
            manager.save_checkpoint(model, epoch=epoch, metrics=metrics)
        print(epoch, flush=True)  # noqa: T201 - read by the test
