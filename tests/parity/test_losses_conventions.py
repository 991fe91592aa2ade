"""Each convention against the library itself (MONAI) or its formula written out in numpy, with its defaults."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from monai.losses import DiceLoss, FocalLoss, TverskyLoss
from torch import Tensor
from torch.nn.functional import one_hot

from components.errors import InvalidInputError
from components.losses import EnhancedBCELoss, EnhancedDiceLoss, LossManager

MODES = ["binary", "multilabel", "multiclass"]
SPATIAL = [(7, 5), (4, 3, 5)]
Array = npt.NDArray[np.float64]


def batch(mode: str, spatial: tuple[int, ...], classes: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    """Double logits, the target, and the target with one channel per class; the last class is absent."""
    generator = torch.Generator().manual_seed(3)
    channels = 1 if mode == "binary" else classes
    logits = 2 * torch.randn(3, channels, *spatial, dtype=torch.float64, generator=generator)
    if mode == "multiclass":
        target = torch.randint(0, channels - 1, (3, *spatial), generator=generator)
        return logits, target, one_hot(target, channels).movedim(-1, 1).double()
    target = torch.randint(0, 2, logits.shape, generator=generator)
    if mode == "multilabel":
        target[:, -1] = 0
    return logits, target, target.double()


def sums(logits: Tensor, truth: Tensor, mode: str, *, pooled: bool) -> tuple[Array, Array, Array]:
    """Overlap, predicted and true pixels of each sample and class, or class."""
    x, g = logits.flatten(2).numpy(), truth.flatten(2).numpy()
    if mode == "multiclass":
        p = np.exp(x - x.max(axis=1, keepdims=True))
        p = p / p.sum(axis=1, keepdims=True)
    else:
        p = 1 / (1 + np.exp(-x))
    axes = (0, 2) if pooled else 2
    return (p * g).sum(axis=axes), p.sum(axis=axes), g.sum(axis=axes)


def pooled_and_masked(score: Callable[[Array, Array, Array], Array]) -> Callable[[Tensor, Tensor, str], float]:
    """Score each class of the batch; a class without foreground costs 0 and stays in the mean (smp, toolbelt)."""

    def loss(logits: Tensor, truth: Tensor, mode: str) -> float:
        overlap, predicted, true = sums(logits, truth, mode, pooled=True)
        return float(((1 - score(overlap, predicted, true)) * (true > 0)).mean())

    return loss


def dice(overlap: Array, predicted: Array, true: Array) -> Array:
    return 2 * overlap / np.maximum(predicted + true, 1e-7)


def jaccard(overlap: Array, predicted: Array, true: Array) -> Array:
    return overlap / np.maximum(predicted + true - overlap, 1e-7)


def tversky(overlap: Array, predicted: Array, true: Array) -> Array:
    return overlap / np.maximum(overlap + 0.5 * (predicted - overlap) + 0.5 * (true - overlap), 1e-7)


WRITTEN_OUT: dict[tuple[Any, Any], Callable[[Tensor, Tensor, str], float]] = {
    ("smp", "dice"): pooled_and_masked(dice),
    ("smp", "jaccard"): pooled_and_masked(jaccard),
    ("smp", "tversky"): pooled_and_masked(tversky),
    ("toolbelt", "dice"): pooled_and_masked(dice),
    ("toolbelt", "jaccard"): pooled_and_masked(jaccard),
}


@pytest.mark.parametrize("spatial", SPATIAL)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("convention", "variant"), list(WRITTEN_OUT))
def test_pooled_libraries(convention: Any, variant: Any, mode: Any, spatial: tuple[int, ...]) -> None:
    logits, target, truth = batch(mode, spatial)
    ours = EnhancedDiceLoss(mode, variant, convention=convention)
    expected = WRITTEN_OUT[convention, variant](logits, truth, mode)
    assert ours(logits, target).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("convention", ["smp", "toolbelt"])
def test_a_batch_without_foreground_costs_0_there(convention: Any) -> None:
    logits = torch.randn(2, 1, 3, 3, requires_grad=True)
    value = EnhancedDiceLoss(convention=convention)(logits, torch.zeros(2, 1, 3, 3))
    (gradient,) = torch.autograd.grad(value, logits)
    assert value.item() == 0
    assert bool((gradient == 0).all())


@pytest.mark.parametrize("spatial", SPATIAL)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("pooled", [False, True])
def test_nnunet(pooled: bool, mode: Any, spatial: tuple[int, ...]) -> None:  # noqa: FBT001
    logits, target, truth = batch(mode, spatial)
    overlap, predicted, true = sums(logits, truth, mode, pooled=pooled)
    score = (2 * overlap + 1e-5) / np.maximum(predicted + true + 1e-5, 1e-8)
    expected = -(score[..., 1:] if mode == "multiclass" else score).mean()
    ours = (
        EnhancedDiceLoss(mode, convention="nnunet", batch=True)
        if pooled
        else EnhancedDiceLoss(mode, convention="nnunet")
    )
    assert ours(logits, target).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("spatial", SPATIAL)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("variant", ["dice", "jaccard", "tversky"])
def test_monai(variant: Any, mode: Any, spatial: tuple[int, ...]) -> None:
    logits, target, truth = batch(mode, spatial)
    activation: dict[str, bool] = {"softmax": True} if mode == "multiclass" else {"sigmoid": True}
    theirs = TverskyLoss(**activation) if variant == "tversky" else DiceLoss(**activation, jaccard=variant == "jaccard")
    ours = EnhancedDiceLoss(mode, variant, convention="monai")
    assert ours(logits, target).item() == pytest.approx(theirs(logits, truth).item(), rel=1e-12)


@pytest.mark.parametrize("spatial", SPATIAL)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("weights", [None, [0.5, 1.0, 2.0, 3.0]])
def test_monai_focal(weights: list[float] | None, mode: Any, spatial: tuple[int, ...]) -> None:
    if mode == "binary" and weights is not None:
        return
    logits, target, truth = batch(mode, spatial)
    weight = None if weights is None else torch.tensor(weights)
    theirs = FocalLoss(use_softmax=mode == "multiclass", weight=weight)
    ours = EnhancedBCELoss(mode, "focal", convention="monai", class_weights=weights)
    assert ours(logits, target).item() == pytest.approx(theirs(logits, truth).item(), rel=2e-5)  # MONAI's is fp32


@pytest.mark.parametrize("spatial", SPATIAL)
@pytest.mark.parametrize(("convention", "mode"), [*(("smp", mode) for mode in MODES), ("toolbelt", "multilabel")])
@pytest.mark.parametrize("alpha", [None, 0.25])
def test_sigmoid_focal_libraries(alpha: float | None, convention: Any, mode: Any, spatial: tuple[int, ...]) -> None:
    logits, target, truth = batch(mode, spatial)
    x, g = logits.numpy(), truth.numpy()
    p = 1 / (1 + np.exp(-x))
    right = np.where(g == 1, p, 1 - p)
    losses = -((1 - right) ** 2) * np.log(right)
    if alpha is not None:
        losses = losses * np.where(g == 1, alpha, 1 - alpha)
    expected = losses.mean()  # in multiclass smp runs its binary focal over the classes, and takes their mean
    ours = EnhancedBCELoss(mode, "focal", convention=convention, alpha=alpha)
    assert ours(logits, target).item() == pytest.approx(expected, rel=1e-9)


def test_smp_drops_ignored_pixels_from_focal_before_the_mean() -> None:
    logits, target, _ = batch("multiclass", (6, 6))
    cut = EnhancedBCELoss("multiclass", "focal", convention="smp")(logits[..., :4], target[..., :4])
    target[..., 4:] = 255
    ours = EnhancedBCELoss("multiclass", "focal", convention="smp", ignore_index=255)
    assert ours(logits, target).item() == pytest.approx(cut.item(), rel=1e-12)


def test_options_come_before_the_conventions_defaults() -> None:
    logits, target, _ = batch("multiclass", (6, 6))
    plain = EnhancedDiceLoss("multiclass", "tversky")
    dressed = EnhancedDiceLoss(
        "multiclass", "tversky", convention="monai", alpha=0.3, beta=0.7, smooth_nr=1e-5, smooth_dr=1e-5
    )
    assert torch.equal(plain(logits, target), dressed(logits, target))
    nnunet = EnhancedDiceLoss("multiclass", convention="nnunet", include_background=True, batch=True)
    assert nnunet(logits, target).item() == pytest.approx(
        EnhancedDiceLoss("multiclass", batch=True)(logits, target).item() - 1
    )


def test_a_convention_is_an_option_of_a_term() -> None:
    loss = LossManager.create_loss_function({"terms": {"dice": {"convention": "smp"}}})
    logits, target, _ = batch("binary", (4, 4))
    assert torch.equal(loss(logits, target), EnhancedDiceLoss(convention="smp")(logits, target))


@pytest.mark.parametrize(
    ("build", "options", "message"),
    [
        (EnhancedDiceLoss, {"convention": "kornia"}, "convention: found 'kornia'; expected one of 'segtune', 'monai'"),
        (EnhancedDiceLoss, {"convention": "nnunet", "variant": "jaccard"}, "nnU-Net v2 has no variant 'jaccard'"),
        (EnhancedDiceLoss, {"smooth_dr": 0.0, "convention": "monai"}, "smooth_dr: found 0.0"),
        (EnhancedBCELoss, {"convention": "smp"}, "variant 'bce' is torch's in every library"),
        (EnhancedBCELoss, {"convention": "nnunet", "variant": "focal"}, "focal loss of nnU-Net v2 is not reproduced"),
        (
            EnhancedBCELoss,
            {"convention": "toolbelt", "variant": "focal", "mode": "multiclass"},
            "not reproduced in mode 'multiclass'; modes are 'binary', 'multilabel'",
        ),
        (
            EnhancedBCELoss,
            {"convention": "smp", "variant": "focal", "label_smoothing": 0.1},
            "takes neither label_smoothing",
        ),
    ],
)
def test_what_a_library_does_not_have_is_refused(build: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        build(**options)


def test_the_page_on_conventions_shows_what_its_code_prints(capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "conventions.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (shown,) = re.findall(r"```text\n(.*?)```", page, re.DOTALL)
    exec(compile(code, "conventions.md", "exec"), {})  # noqa: S102 - our own
    assert capsys.readouterr().out == shown
