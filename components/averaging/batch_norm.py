"""BatchNorm statistics for weights that no training step has seen."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim.swa_utils import update_bn


def has_batch_norm(model: nn.Module) -> bool:
    """Whether a layer keeps running statistics."""
    return any(isinstance(layer, _BatchNorm) and layer.track_running_stats for layer in model.modules())


def recompute_batch_norm(model: nn.Module, images: Iterable[Tensor]) -> None:
    """Set the running statistics of every BatchNorm layer to the mean over the batches; others are left alone.

    Needed for averaged weights (Izmailov et al., 2018, section 3.2). Modes, momenta and the global random numbers are
    afterwards what they were.

    Args:
        model: changed in place.
        images: batches `(B, C, *spatial)`; brought to the model's device.
    """
    if not has_batch_norm(model):
        return
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):  # dropout draws while the statistics are collected
        update_bn(images, model, device=next(model.parameters()).device)
