"""A training with every part that has a state, which takes up where its last checkpoint stands.

python complete_training.py FOLDER
"""

import random
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from components.checkpoints import CheckpointManager
from components.checkpoints.options import Parts
from components.data import ResumableSampler
from components.errors import CheckpointNotFoundError
from components.losses import LossManager
from components.training import EarlyStopping, build_lr_schedule, build_optimizer, seed_everything

EPOCHS, CASES, BATCH, EVERY = 6, 12, 3, 2


class Training:
    """The parts, and a loop that saves in the middle of epochs too."""

    def __init__(self, folder: Path) -> None:
        seed_everything(3)
        self.images, self.masks = torch.randn(CASES, 1, 8, 8), (torch.rand(CASES, 1, 8, 8) > 0.6).float()
        self.model = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Dropout(0.3), nn.Conv2d(4, 1, 3, padding=1)
        )
        self.loss = LossManager.create_loss_function({"type": "combined", "weights": {"dice": 0.5, "bce": 0.5}})
        self.loss_schedule = LossManager.create_loss_scheduler(self.loss, {"type": "uncertainty"}, epochs=EPOCHS)
        self.optimizer = build_optimizer(
            "adamw",
            self.model.parameters(),
            lr=0.01,
            weight_decay=0.1,
            undecayed=self.loss_schedule.parameters(),
        )
        self.scheduler = build_lr_schedule("cosine", self.optimizer, epochs=EPOCHS)
        self.ema = AveragedModel(
            self.model,
            multi_avg_fn=get_ema_multi_avg_fn(0.9),  # type: ignore[no-untyped-call]
            use_buffers=True,
        )
        self.scaler = torch.amp.GradScaler("cpu")
        self.sampler = ResumableSampler(CASES, seed=3)
        self.stopping = EarlyStopping(patience=EPOCHS)
        self.manager = CheckpointManager(folder, "whole", save_strategy="all", max_checkpoints=2)
        self.epoch, self.step, self.history = 1, 0, list[float]()

    def resume(self) -> None:
        extra: dict[str, object] = {}
        try:
            self.manager.load_checkpoint(
                "latest", self.model, self.optimizer, self.scheduler, rng=True, extra=extra, **self.parts()
            )
        except CheckpointNotFoundError:
            return
        self.epoch, self.step, self.history = extra["epoch"], extra["step"], extra["history"]  # type: ignore[assignment]

    def parts(self) -> Parts:
        return Parts(
            scaler=self.scaler,
            ema=self.ema,
            loss_schedule=self.loss_schedule,
            sampler=self.sampler,
            early_stopping=self.stopping,
        )

    def run(self) -> None:
        self.resume()
        while self.epoch <= EPOCHS:
            for batch in self.batches():
                self.train(batch)
                self.step += 1
                if self.step % EVERY == 0:
                    self.save()
                    print(self.step, flush=True)  # noqa: T201 - read by the test
            self.history.append(self.validate())
            self.stopping.step(self.history[-1])
            self.scheduler.step()
            self.loss_schedule.step(self.epoch, {})
            self.epoch += 1
            self.save()
        self.manager.close()

    def batches(self) -> Iterator[Tensor]:
        batch: list[int] = []
        for case in self.sampler:
            batch.append(case)
            if len(batch) == BATCH:
                yield torch.tensor(batch)
                batch = []

    def train(self, cases: Tensor) -> None:
        self.model.train()
        noise = random.random() + float(np.random.rand())  # noqa: NPY002 - the global generators have a state too
        self.optimizer.zero_grad()
        loss = self.loss(self.model(self.images[cases] + 0.1 * noise), self.masks[cases])
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.ema.update_parameters(self.model)

    def validate(self) -> float:
        self.ema.eval()
        with torch.no_grad():
            return float(((self.ema(self.images) > 0) == (self.masks > 0)).float().mean())

    def save(self) -> None:
        metrics = {"val_dice": self.history[-1] if self.history else 0.0}
        extra = {
            "epoch": self.epoch,
            "step": self.step,
            "history": self.history,
        }
        self.manager.save_checkpoint(
            self.model,
            self.optimizer,
            self.scheduler,
            self.step,
            metrics,
            step=self.step,
            extra=extra,
            **self.parts(),
        )


if __name__ == "__main__":
    torch.set_num_threads(1)
    Training(Path(sys.argv[1])).run()
