"""Candidate losses side by side on one's own masks, before any training."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from components.errors import ComponentError, InvalidInputError
from components.losses import kinds as term_kinds
from components.losses._checks import require_known
from components.losses.behaviour import at_stage, on_empty_masks
from components.losses.costs import median_milliseconds, peak_mebibytes, training_step
from components.losses.deep_supervision import outputs_of
from components.losses.evaluation_batch import MaskBatch, take_batch
from components.losses.evaluation_result import LossEvaluation
from components.losses.findings import LossFindings, Stage
from components.losses.inputs import Mode
from components.losses.presets import presets
from components.losses.stages import STAGES, stage_logits

Candidates = Mapping[str, Mapping[str, Any] | nn.Module] | Sequence[str] | str | nn.Module | None
Building = Any  # LossManager.create_loss_function, handed in: the manager imports this file

_MODEL_STAGE = "model"
_MIDDLE = "half"


def evaluate(
    losses: Candidates,
    data: Any,
    *,
    build: Building,
    model: nn.Module | None = None,
    mode: Mode | None = None,
    ignore_index: int | None = None,
    cases: int = 4,
    crop: int | Sequence[int] | None = None,
    foreground: float = 0.0,
    repeats: int = 5,
    seed: int = 0,
    device: str | torch.device = "cpu",
) -> LossEvaluation:
    """See `LossManager.evaluate`; `build` makes a loss of its configuration."""
    _require_counts(cases=cases, repeats=repeats)
    device = torch.device(device)
    batch = take_batch(
        data,
        mode=mode,
        ignore_index=ignore_index,
        cases=cases,
        crop=crop,
        foreground=foreground,
        seed=seed,
        device=device,
    )
    candidates = {name: loss.to(device) for name, loss in _build_candidates(losses, batch, build).items()}
    logits = _logits(batch, model, seed)
    middle = logits.get(_MIDDLE, logits[next(iter(logits))])
    steps = {name: training_step(loss, middle, batch.target) for name, loss in candidates.items()}
    _try_each(steps)
    milliseconds = median_milliseconds(steps, repeats, device)
    return LossEvaluation(
        candidates=tuple(
            LossFindings(
                name=name,
                milliseconds=milliseconds[name],
                mebibytes=peak_mebibytes(steps[name], device),
                stages={stage: at_stage(loss, found, batch) for stage, found in logits.items()},
                empty=on_empty_masks(loss, middle, batch, seed) if bool(batch.foreground.any()) else None,
            )
            for name, loss in candidates.items()
        ),
        stages=tuple(Stage(name, _dice(found, batch)) for name, found in logits.items()),
        mode=batch.mode,
        shape=tuple(batch.truth.shape),
        foreground=_share(batch.foreground, batch),
        device=str(device),
        threads=torch.get_num_threads(),
    )


def _require_counts(**counts: int) -> None:
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise InvalidInputError(f"{name}: found {count!r}; expected a whole number of at least 1.")


def _build_candidates(losses: Candidates, batch: MaskBatch, build: Building) -> dict[str, nn.Module]:
    if losses is None:
        losses = [name for name, preset in presets().items() if batch.mode in preset.modes]
    if isinstance(losses, str):
        losses = [losses]
    if isinstance(losses, nn.Module):
        losses = {type(losses).__name__: losses}
    if not isinstance(losses, Mapping):
        losses = {name: _named(name) for name in losses}
    if not losses:
        raise InvalidInputError("losses: found none; expected at least one.")
    return {str(name): _candidate(str(name), loss, batch, build) for name, loss in losses.items()}


def _named(name: Any) -> Mapping[str, Any]:
    if isinstance(name, str) and name in presets():
        return {"preset": name}
    require_known("losses: preset or kind", name, (*presets(), *term_kinds.kinds()))
    return {"type": name}


def _candidate(name: str, loss: Any, batch: MaskBatch, build: Building) -> nn.Module:
    if isinstance(loss, nn.Module):
        return copy.deepcopy(loss)  # measuring moves it to a device and adds to the means that it keeps
    if not isinstance(loss, Mapping):
        raise InvalidInputError(
            f"losses: {name}: found {loss!r}; expected a configuration or a torch.nn.Module. "
            "Hint: {'mine': {'dice_weight': 0.7, 'bce_weight': 0.3}}."
        )
    if loss.get("mode", batch.mode) != batch.mode:
        raise InvalidInputError(f"losses: {name}: mode {loss['mode']!r}, but the masks are {batch.mode!r}.")
    try:
        built: nn.Module = build({"mode": batch.mode, "ignore_index": batch.ignore_index, **loss})
    except InvalidInputError as error:
        raise InvalidInputError(f"losses: {name}: {error}") from error
    return built


def _try_each(steps: Mapping[str, Any]) -> None:
    """Run each once, so that a loss that fails is named before the others are measured."""
    for name, run in steps.items():
        try:
            run()
        except ComponentError as error:
            raise InvalidInputError(f"losses: {name}: {error}") from error
        except Exception as error:
            # A user's own loss may raise anything; it is the same news: it cannot be compared.
            raise InvalidInputError(f"losses: {name} raised {type(error).__name__}: {error}.") from error


def _logits(batch: MaskBatch, model: nn.Module | None, seed: int) -> dict[str, Tensor]:
    if model is None:
        return {stage: stage_logits(batch.truth, stage, seed) for stage in STAGES}
    if batch.images is None:
        raise InvalidInputError(
            "model: the data have no images for it. Hint: pass (images, masks) batches, a Split or SegmentationData."
        )
    training = model.training
    try:
        with torch.no_grad():
            found = outputs_of(model.eval()(batch.images), axes=batch.images.ndim)[0]
    except ComponentError:
        raise
    except Exception as error:
        # A user's own network may raise anything; it is the same news: it does not fit these images.
        shown = f"{type(error).__name__}: {error}"
        raise InvalidInputError(f"model: raised {shown} for images of {tuple(batch.images.shape)}.") from error
    finally:
        model.train(training)
    if found.shape != batch.truth.shape:
        raise InvalidInputError(
            f"model: found logits {tuple(found.shape)}; expected {tuple(batch.truth.shape)}, as of the masks."
        )
    return {_MODEL_STAGE: found.float()}


def _share(where: Tensor, batch: MaskBatch) -> float:
    valid = torch.ones_like(where) if batch.valid is None else batch.valid.expand_as(where)
    return ((where & valid).sum() / valid.sum()).item()


def _dice(logits: Tensor, batch: MaskBatch) -> float:
    """Hard Dice of the logits, pooled over cases and foreground classes; 1 where both are empty."""
    if batch.mode == "multiclass":
        labels = logits.argmax(1, keepdim=True)
        predicted = torch.cat([labels == index for index in range(1, logits.shape[1])], 1)
        truth = batch.truth[:, 1:] > 0
    else:
        predicted, truth = logits > 0, batch.foreground
    if batch.valid is not None:
        predicted = predicted & batch.valid
    masses = (predicted.sum() + truth.sum()).item()
    return 2 * (predicted & truth).sum().item() / masses if masses else 1.0
