"""Checks that any segmentation loss should pass, one's own as the built-in; needs no test runner.

Example:
    >>> check_loss(lambda mode, ignore_index: EnhancedDiceLoss(mode, ignore_index=ignore_index))
"""

import copy
import pickle
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from components.errors import ComponentError
from components.losses._checks import require_known
from components.losses.inputs import MODES, Mode

_IGNORED = 255
_CLASSES = 4
_SPATIAL = ((6, 5), (3, 4, 5))
_CUDA_TOLERANCE = 1e-8


class ConformanceError(ComponentError, AssertionError):
    """A loss broke a rule; the text begins with the rule's name."""


class Builds(Protocol):
    """Makes the loss to check."""

    def __call__(self, *, mode: Mode, ignore_index: int | None) -> nn.Module:
        """Return the loss of a mode, of logits and target, that leaves out pixels of `ignore_index` unless None."""


@dataclass(frozen=True)
class Case:
    """A loss in one mode and shape.

    Attributes:
        build: makes the loss.
        mode: what the channels mean.
        spatial: shape of an image.
    """

    build: Builds
    mode: Mode
    spatial: tuple[int, ...]

    def loss(self, ignore_index: int | None = None) -> nn.Module:
        """A fresh loss."""
        return self.build(mode=self.mode, ignore_index=ignore_index)

    def batch(self) -> tuple[Tensor, Tensor]:
        """Double logits of two samples without ties and their target, integers, every class in both samples."""
        generator = torch.Generator().manual_seed(0)
        channels = 1 if self.mode == "binary" else _CLASSES
        logits = 2 * torch.randn(2, channels, *self.spatial, dtype=torch.float64, generator=generator)
        classes, axes = (channels, (2, *self.spatial)) if self.mode == "multiclass" else (2, tuple(logits.shape))
        return logits, torch.randint(0, classes, axes, generator=generator)


def check_loss(
    build: Builds,
    modes: Sequence[Mode] = MODES,
    *,
    soft_labels: bool = False,
    skip: Collection[str] = (),
) -> None:
    """Check a loss in each mode, in 2D and 3D, in a few seconds; on the CPU, and against it on CUDA where there is one.

    Args:
        build: called as `build(mode=..., ignore_index=...)`, the index being 255 or None; a class with these
            arguments will do. The loss is called with logits `(B, C, *spatial)` and a target as
            `components.losses.inputs.prepare` describes it.
        modes: what the loss is made for.
        soft_labels: whether it takes targets between 0 and 1 outside `multiclass`.
        skip: names in `CHECKS` of rules that the loss breaks on purpose.

    Raises:
        ConformanceError: a rule is broken, or the loss raised; the text begins with the rule's name.
        InvalidInputError: `skip` names no rule.
    """
    for name in skip:
        require_known("skip", name, tuple(CHECKS))
    for name, check in CHECKS.items():
        if name in skip or (name == "soft labels" and not soft_labels):
            continue
        for case in [Case(build, mode, spatial) for mode in modes for spatial in _SPATIAL]:
            _run(name, check, case)


def _run(name: str, check: Callable[[Case], None], case: Case) -> None:
    where = f"{name}: mode {case.mode!r}, images {case.spatial}"
    try:
        check(case)
    except ConformanceError as error:
        raise ConformanceError(f"{where}: {error}") from None
    except Exception as error:
        # The loss is foreign code and may raise anything; each is the news that it broke this rule.
        raise ConformanceError(f"{where}: raised {type(error).__name__}: {error}") from error


def _check_scalar(case: Case) -> None:
    logits, target = case.batch()
    for dtype in (torch.float32, torch.float64):
        value = case.loss()(logits.to(dtype), target)
        _require(value.shape == (), f"expected one number, found shape {tuple(value.shape)}")
        _require(value.dtype == dtype, f"expected {dtype} for logits of that dtype, found {value.dtype}")
        _require_finite(value, "the value")


def _check_gradient(case: Case) -> None:
    logits, target = case.batch()
    for ignore_index, truth in ((None, target), (_IGNORED, _scattered(target))):
        loss = case.loss(ignore_index)
        given = logits.clone().requires_grad_()
        torch.autograd.gradcheck(lambda x, loss=loss, truth=truth: loss(x, truth), (given,), fast_mode=True)
    _require(_gradient(case.loss(), logits, target)[1].any().item() is True, "the gradient is 0 everywhere")


def _check_inputs(case: Case) -> None:
    logits, target = case.batch()
    before = logits.clone(), target.clone()
    first, second = case.loss()(logits, target), case.loss()(logits, target)
    _require(torch.equal(logits, before[0]) and torch.equal(target, before[1]), "the loss wrote to its arguments")
    _require(torch.equal(first, second), f"the same batch gave {first.item()} and {second.item()}")


def _check_direction(case: Case) -> None:
    logits, target = case.batch()
    good = 4 * _perfect(logits, target)
    better, worse = case.loss()(good, target).item(), case.loss()(-good, target).item()
    _require(better < worse, f"the truth costs {better}, its opposite {worse}")


def _check_ignored_gradient(case: Case) -> None:
    logits, target = case.batch()
    target = _scattered(target)
    ignored = (target == _IGNORED) if case.mode != "multiclass" else (target == _IGNORED).unsqueeze(1)
    value, gradient = _gradient(case.loss(_IGNORED), logits, target)
    leaked = gradient[ignored.expand_as(logits)].abs().max().item()
    _require(leaked == 0, f"an ignored pixel has a gradient of {leaked}")
    for garbage in (-1e4, 1e4):
        changed = case.loss(_IGNORED)(logits.masked_fill(ignored, garbage), target)
        _require_close(changed, value, "after a change of the logits at ignored pixels")


def _check_unused_index(case: Case) -> None:
    logits, target = case.batch()
    _require_close(case.loss(_IGNORED)(logits, target), case.loss()(logits, target), "with an index that no pixel has")


def _check_all_ignored(case: Case) -> None:
    logits, target = case.batch()
    value, gradient = _gradient(case.loss(_IGNORED), logits.float(), torch.full_like(target, _IGNORED))
    _require(value.item() == 0, f"expected 0 where every pixel is ignored, found {value.item()}")
    _require(bool((gradient == 0).all()), "expected a gradient of 0 where every pixel is ignored")


def _check_empty_and_full(case: Case) -> None:
    logits, target = case.batch()
    for label in range(_CLASSES if case.mode == "multiclass" else 2):
        for truth in (torch.full_like(target, label), torch.cat([target[:1], torch.full_like(target[1:], label)])):
            _require_all_finite(case.loss(), logits.float(), truth, f"with images full of {label}")


def _check_extreme_logits(case: Case) -> None:
    logits, target = case.batch()
    for factor in (50.0, -50.0):
        _require_all_finite(
            case.loss(), factor * _perfect(logits, target).float(), target, f"with logits of {factor:+g}"
        )
        _require_all_finite(case.loss(), torch.full_like(logits, factor).float(), target, f"with all at {factor:+g}")


def _check_half_precision(case: Case) -> None:
    logits, target = case.batch()
    for dtype in (torch.bfloat16, torch.float16):
        narrow = logits.to(dtype)
        _require_all_finite(case.loss(), narrow, target, f"with {dtype} logits")
        wide = case.loss()(narrow.float(), target)
        _require_close(case.loss()(narrow, target).float(), wide, f"with {dtype} logits instead of fp32", 1e-4)


def _check_autocast(case: Case) -> None:
    logits, target = case.batch()
    plain = case.loss()(logits.float(), target)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = case.loss()(logits.float(), target)
    _require(inside.dtype == torch.float32, f"expected fp32 under autocast, found {inside.dtype}")
    _require_close(inside, plain, "under autocast", 1e-5)


def _check_depth_1(case: Case) -> None:
    logits, target = case.batch()
    flat_logits, flat_target = logits[..., 0, :, :], target[..., 0, :, :]
    if logits.ndim == len(_SPATIAL[0]) + 2:
        flat_logits, flat_target = logits, target
    flat, deep = case.loss()(flat_logits, flat_target), case.loss()(flat_logits.unsqueeze(2), flat_target.unsqueeze(-3))
    _require_close(deep, flat, "as a volume of depth 1")


def _check_class_order(case: Case) -> None:
    logits, target = case.batch()
    first = int(case.mode == "multiclass")  # class 0 may be background
    order = torch.tensor([*range(first), *reversed(range(first, logits.shape[1]))])
    renamed = order[target] if case.mode == "multiclass" else target[:, order]
    _require_close(case.loss()(logits[:, order], renamed), case.loss()(logits, target), "in another order of classes")


def _check_sample_order(case: Case) -> None:
    logits, target = case.batch()
    _require_close(case.loss()(logits.flip(0), target.flip(0)), case.loss()(logits, target), "with samples swapped")


def _check_repeated_batch(case: Case) -> None:
    logits, target = case.batch()
    twice = case.loss()(torch.cat([logits, logits]), torch.cat([target, target]))
    _require_close(twice, case.loss()(logits, target), "of every sample twice", 1e-4)  # smoothing counts half


def _check_pickle(case: Case) -> None:
    logits, target = case.batch()
    loss = case.loss(_IGNORED)
    restored = pickle.loads(pickle.dumps(loss))  # noqa: S301 - made in this line
    for copied, how in ((restored, "after pickling"), (copy.deepcopy(loss), "as a deep copy")):
        _require_close(copied(logits, target), loss(logits, target), how)


def _check_cuda(case: Case) -> None:
    if not torch.cuda.is_available():
        return
    logits, target = case.batch()
    for ignore_index, truth in ((None, target), (_IGNORED, _scattered(target))):
        loss = case.loss(ignore_index)
        value, gradient = _gradient(loss, logits, truth)
        there, its_gradient = _gradient(loss.cuda(), logits.cuda(), truth.cuda())
        _require_close(there, value, "on CUDA", 1e-8)
        apart = (its_gradient.cpu() - gradient).abs().max().item()
        _require(apart <= _CUDA_TOLERANCE * (1 + gradient.abs().max().item()), f"the CUDA gradient is {apart} apart")


def _check_soft_labels(case: Case) -> None:
    if case.mode == "multiclass":
        return
    logits, target = case.batch()
    as_floats = case.loss()(logits, target.double())
    _require_close(as_floats, case.loss()(logits, target), "with the same labels as floats")
    soft = 0.8 * target.double() + 0.1
    _require_all_finite(case.loss(), logits, soft, "with soft labels")
    changed = case.loss()(logits, soft).item()
    _require(changed != as_floats.item(), "labels of 0.1 and 0.9 cost what labels of 0 and 1 do")


def _check_compile(case: Case) -> None:
    logits, target = case.batch()
    for ignore_index, truth in ((None, target), (_IGNORED, _scattered(target))):
        loss = case.loss(ignore_index)
        torch.compiler.reset()  # each loss compiles afresh: recompilations are bounded
        compiled = torch.compile(loss, fullgraph=True, backend="eager")
        _require_close(compiled(logits, truth), loss(logits, truth), "compiled")


CHECKS: dict[str, Callable[[Case], None]] = {
    "scalar": _check_scalar,
    "inputs": _check_inputs,
    "gradient": _check_gradient,
    "direction": _check_direction,
    "ignored gradient": _check_ignored_gradient,
    "unused index": _check_unused_index,
    "all ignored": _check_all_ignored,
    "empty and full": _check_empty_and_full,
    "extreme logits": _check_extreme_logits,
    "half precision": _check_half_precision,
    "autocast": _check_autocast,
    "depth 1": _check_depth_1,
    "class order": _check_class_order,
    "sample order": _check_sample_order,
    "repeated batch": _check_repeated_batch,
    "pickle": _check_pickle,
    "cuda": _check_cuda,
    "soft labels": _check_soft_labels,
    "compile": _check_compile,
}


def _scattered(target: Tensor) -> Tensor:
    chance = torch.rand(target.shape, generator=torch.Generator().manual_seed(1))
    return target.masked_fill(chance < 0.3, _IGNORED)  # noqa: PLR2004 - some pixels, not all


def _perfect(logits: Tensor, target: Tensor) -> Tensor:
    """1 where a channel is true and -1 where it is not."""
    if target.shape != logits.shape:
        target = torch.stack([target == label for label in range(logits.shape[1])], 1)
    return 2 * target.to(logits.dtype) - 1


def _gradient(loss: nn.Module, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    leaf = logits.detach().clone().requires_grad_()
    value: Tensor = loss(leaf, target)
    (gradient,) = torch.autograd.grad(value, leaf)
    return value.detach(), gradient


def _require(holds: bool, what: str) -> None:  # noqa: FBT001 - as in an assertion
    if not holds:
        raise ConformanceError(what)


def _require_finite(values: Tensor, what: str) -> None:
    _require(bool(torch.isfinite(values).all()), f"{what} is not finite")


def _require_all_finite(loss: nn.Module, logits: Tensor, target: Tensor, when: str) -> None:
    value, gradient = _gradient(loss, logits, target)
    _require_finite(value, f"the value {when}")
    _require_finite(gradient, f"the gradient {when}")


def _require_close(found: Tensor, expected: Tensor, when: str, tolerance: float = 1e-9) -> None:
    apart = abs(found.item() - expected.item())
    _require(
        apart <= tolerance * (1 + abs(expected.item())), f"expected {expected.item()} {when}, found {found.item()}"
    )
