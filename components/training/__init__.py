"""The training loop and what it is built from: network, optimiser, seeds."""

from components.training.acceleration import MemoryFormat, accelerate, compile_network
from components.training.early_stopping import EarlyStopping
from components.training.evaluation import evaluate
from components.training.inference import SlidingWindow, predict
from components.training.limits import TrainingLimits
from components.training.loop import train_epoch
from components.training.network import small_unet
from components.training.optimizers import LR_SCHEDULES, OPTIMIZERS, build_lr_schedule, build_optimizer, scale_lr
from components.training.precision import Precision, choose_precision
from components.training.seeds import seed_everything
from components.training.stepper import Stepper
from components.training.steps import TrainStep

__all__ = [
    "LR_SCHEDULES",
    "OPTIMIZERS",
    "EarlyStopping",
    "MemoryFormat",
    "Precision",
    "SlidingWindow",
    "Stepper",
    "TrainStep",
    "TrainingLimits",
    "accelerate",
    "build_lr_schedule",
    "build_optimizer",
    "choose_precision",
    "compile_network",
    "evaluate",
    "predict",
    "scale_lr",
    "seed_everything",
    "small_unet",
    "train_epoch",
]
