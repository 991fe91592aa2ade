"""The training loop and what it is built from: network, optimiser, seeds."""

from components.training.early_stopping import EarlyStopping
from components.training.evaluation import evaluate
from components.training.inference import SlidingWindow, predict
from components.training.loop import train_epoch
from components.training.network import small_unet
from components.training.optimizers import LR_SCHEDULES, OPTIMIZERS, build_lr_schedule, build_optimizer
from components.training.precision import Precision
from components.training.seeds import seed_everything

__all__ = [
    "LR_SCHEDULES",
    "OPTIMIZERS",
    "EarlyStopping",
    "Precision",
    "SlidingWindow",
    "build_lr_schedule",
    "build_optimizer",
    "evaluate",
    "predict",
    "seed_everything",
    "small_unet",
    "train_epoch",
]
