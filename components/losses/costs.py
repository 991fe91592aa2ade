"""What a loss costs: time and memory of one forward and backward pass."""

import statistics
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

Step = Callable[[], None]
_WARM_UPS = 1
_MIB = 1 << 20


def training_step(loss: nn.Module, logits: Tensor, target: Tensor) -> Step:
    """One forward and backward pass to the logits."""

    def run() -> None:
        leaf = logits.detach().requires_grad_()
        torch.autograd.grad(loss(leaf, target), leaf)

    return run


def median_milliseconds(steps: Mapping[str, Step], repeats: int, device: torch.device) -> dict[str, float]:
    """Median time of each step; they take turns, so that all meet the same noise."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for index in range(repeats + _WARM_UPS):
        for name, run in steps.items():
            _wait(device)
            started = time.perf_counter()
            run()
            _wait(device)
            if index >= _WARM_UPS:
                seconds[name].append(time.perf_counter() - started)
    return {name: 1e3 * statistics.median(values) for name, values in seconds.items()}


def peak_mebibytes(step: Step, device: torch.device) -> float:
    """Most memory that a step holds at once, beyond its logits and target; the gradient it returns is counted.

    On CUDA this is what the allocator says. Elsewhere it is the size of the tensors that live at once; what an operator
    needs inside, and frees before it returns, is not seen.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        step()
        torch.cuda.synchronize(device)
        return float(torch.cuda.max_memory_allocated(device) - before) / _MIB
    with _LiveTensors() as live:
        step()
    return float(live.peak) / _MIB


class _LiveTensors(TorchDispatchMode):  # type: ignore[no-untyped-call]  # its __init_subclass__ is not typed
    """Adds up the storages that operators make, for as long as something holds them."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = self._now = 0
        self._held: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        given = {leaf.untyped_storage()._cdata for leaf in _tensors((args, kwargs))}  # noqa: SLF001 - its identity
        made = func(*args, **kwargs)
        for tensor in _tensors(made):
            storage = tensor.untyped_storage()
            identity, size = storage._cdata, storage.nbytes()  # noqa: SLF001 - as above
            if identity not in given and identity not in self._held:  # a view shares the storage of what it views
                self._held.add(identity)
                self._now += size
                self.peak = max(self.peak, self._now)
                weakref.finalize(storage, self._free, identity, size)
        return made

    def _free(self, identity: int, size: int) -> None:
        self._held.discard(identity)
        self._now -= size


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
