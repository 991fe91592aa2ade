"""Networks that cannot train on a batch of one case, such as those with BatchNorm behind a global pooling."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from components.data import Split, training_batches
from components.data.batches import has_single_last
from components.training.precision import device_of

_SAYS = "Expected more than 1 value per channel when training"  # of torch.nn.functional.batch_norm and instance_norm


def joins_single(
    model: nn.Module, split: Split, *, batch: int, crop: int | Sequence[int] | None = None, divisor: int = 1
) -> bool:
    """Whether the last batch of an epoch, of one case, must be joined to the one before it.

    It is only where the network refuses it, so that a training that takes such a batch goes on as it was.

    Args:
        model: the network; left as it is.
        split: training cases.
        batch: cases of a batch.
        crop: as in `training_batches`.
        divisor: as in `training_batches`.

    Example:
        >>> joins_single(model, data.train, batch=4)  # doctest: +SKIP
    """
    return has_single_last(len(split), batch) and refuses_single(model, split, crop=crop, divisor=divisor)


def refuses_single(
    model: nn.Module, split: Split, *, crop: int | Sequence[int] | None = None, divisor: int = 1
) -> bool:
    """Whether the network cannot train on one case, since a normalisation of it has one value per channel then.

    Args:
        model: the network; left as it is.
        split: training cases.
        crop: as in `training_batches`.
        divisor: as in `training_batches`.
    """
    if not any(isinstance(part, nn.modules.batchnorm._NormBase) for part in model.modules()):  # noqa: SLF001
        return False
    images, _ = next(training_batches(split, size=1, seed=0, epoch=1, augment="none", crop=crop, divisor=divisor))
    with _left_as_it_is(model), torch.no_grad():
        model.train()
        try:
            model(images.to(device_of(model)))
        except ValueError as error:
            return _SAYS in str(error)
        except Exception:  # noqa: BLE001 - another fault of the network, which its training reports
            return False
    return False


@contextmanager
def _left_as_it_is(model: nn.Module) -> Iterator[None]:
    """Give back modes, statistics and random numbers."""
    modes = [(part, part.training) for part in model.modules()]
    kept = [(buffer, buffer.clone()) for buffer in model.buffers()]
    with torch.random.fork_rng():
        try:
            yield
        finally:
            for part, training in modes:
                part.training = training
            for buffer, value in kept:
                buffer.data.copy_(value)
