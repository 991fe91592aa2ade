"""Ignored pixels: a loss that leaves them out is the loss of the data from which they were cut."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from components.errors import InvalidInputError
from components.losses import EnhancedBCELoss, EnhancedDiceLoss
from components.losses.inputs import MODES, prepare
from components.losses.kinds import build_term, kinds
from components.mask_policy import MaskPolicy

IGNORED = 255
SPATIAL = [(6, 4), (3, 2, 4)]
REGION_KINDS = ("dice", "jaccard", "tversky", "focal_tversky")
TERMS = [(kind, mode) for kind in kinds() for mode in MODES if kind != "ce" or mode == "multiclass"]
OPTIONS: list[tuple[str, Any, dict[str, Any]]] = [
    *((kind, mode, {}) for kind, mode in TERMS),
    *((kind, mode, {"batch": True}) for kind, mode in TERMS if kind in REGION_KINDS),
    ("bce", "binary", {"pos_weight": 3.0, "label_smoothing": 0.1}),
    ("bce", "multilabel", {"pos_weight": [1.0, 2.0, 5.0], "class_weights": [0.5, 1.0, 2.0]}),
    ("focal", "binary", {"alpha": 0.25, "gamma": 1.0}),
    ("focal", "multilabel", {"class_weights": [0.5, 1.0, 2.0], "label_smoothing": 0.1}),
    ("ce", "multiclass", {"class_weights": [0.5, 1.0, 2.0], "label_smoothing": 0.1}),
    ("focal", "multiclass", {"class_weights": [0.5, 1.0, 2.0], "label_smoothing": 0.1}),
    ("dice", "multilabel", {"class_weights": [0.5, 1.0, 2.0]}),
    ("tversky", "multiclass", {"class_weights": [0.5, 2.0], "include_background": False}),
]
every_kind = pytest.mark.parametrize(("kind", "mode"), TERMS)
every_option = pytest.mark.parametrize(("kind", "mode", "options"), OPTIONS)
both_dimensions = pytest.mark.parametrize("spatial", SPATIAL)


def batch(mode: str, spatial: tuple[int, ...], seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return double logits of two samples and their whole target."""
    generator = torch.Generator().manual_seed(seed)
    channels = 1 if mode == "binary" else 3
    logits = 2 * torch.randn(2, channels, *spatial, dtype=torch.float64, generator=generator)
    if mode == "multiclass":
        return logits, torch.randint(0, channels, (2, *spatial), generator=generator)
    return logits, torch.randint(0, 2, logits.shape, generator=generator)


def scattered(target: Tensor, seed: int = 1) -> Tensor:
    """Return the target with about a third of its pixels ignored."""
    chance = torch.rand(target.shape, generator=torch.Generator().manual_seed(seed))
    return target.masked_fill(chance < 0.35, IGNORED)


def ignored_of(logits: Tensor, target: Tensor) -> Tensor:
    """Return where logits lie under ignored pixels, in their shape."""
    mask = target == IGNORED
    return (mask if mask.ndim == logits.ndim else mask.unsqueeze(1)).expand_as(logits)


def value_and_gradient(loss: nn.Module, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    leaf = logits.clone().requires_grad_()
    value: Tensor = loss(leaf, target)
    (gradient,) = torch.autograd.grad(value, leaf)
    return value.detach(), gradient


@both_dimensions
@every_option
def test_ignoring_half_of_each_image_is_cutting_it_off(
    kind: str, mode: Any, options: dict[str, Any], spatial: tuple[int, ...]
) -> None:
    logits, target = batch(mode, spatial)
    half = spatial[-1] // 2
    kept, kept_gradient = value_and_gradient(build_term(kind, mode, options), logits[..., :half], target[..., :half])
    target[..., half:] = IGNORED
    value, gradient = value_and_gradient(build_term(kind, mode, options, IGNORED), logits, target)
    torch.testing.assert_close(value, kept, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradient[..., :half], kept_gradient, rtol=1e-10, atol=1e-12)
    assert (gradient[..., half:] == 0).all()


@both_dimensions
@pytest.mark.parametrize("mode", ["binary", "multiclass"])
@pytest.mark.parametrize("kind", ["dice", "focal_tversky", "bce", "focal"])
def test_scattered_pixels_are_cut_out_of_each_sample(kind: str, mode: Any, spatial: tuple[int, ...]) -> None:
    logits, target = batch(mode, spatial)
    target = scattered(target)
    left = [~ignored_of(logits, target)[sample, 0] for sample in range(2)]
    rows = [logits[sample][:, left[sample]] for sample in range(2)]  # (C, pixels left)
    truths = [target[sample].reshape(left[sample].shape)[left[sample]] for sample in range(2)]
    plain = build_term(kind, mode, {})
    if kind in REGION_KINDS:
        parts = [plain(row[None, :, None], truth[None, None]) for row, truth in zip(rows, truths, strict=True)]
        expected = torch.stack(parts).mean()
    else:
        expected = plain(torch.cat(rows, 1)[None, :, None], torch.cat(truths)[None, None])
    value = build_term(kind, mode, {}, IGNORED)(logits, target)
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-12)


@both_dimensions
@pytest.mark.parametrize("kind", ["jaccard", "tversky", "bce", "focal"])
def test_multilabel_ignores_each_channel_by_itself(kind: str, spatial: tuple[int, ...]) -> None:
    logits, target = batch("multilabel", spatial)
    target = scattered(target)
    channels = [(logits[sample, channel], target[sample, channel]) for sample in range(2) for channel in range(3)]
    rows = [row[truth != IGNORED] for row, truth in channels]
    truths = [truth[truth != IGNORED] for _, truth in channels]
    plain = build_term(kind, "binary", {})
    if kind in REGION_KINDS:
        parts = [plain(row[None, None, None], truth[None, None]) for row, truth in zip(rows, truths, strict=True)]
        expected = torch.stack(parts).mean()
    else:
        expected = plain(torch.cat(rows)[None, None, None], torch.cat(truths)[None, None])
    value = build_term(kind, "multilabel", {}, IGNORED)(logits, target)
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    term=st.sampled_from(OPTIONS),
    spatial=st.sampled_from(SPATIAL),
    seed=st.integers(0, 2**31),
    garbage=st.sampled_from([-1e30, -700.0, 0.0, 3.0, 1e30]),
)
def test_logits_under_ignored_pixels_change_nothing(
    term: tuple[str, Any, dict[str, Any]], spatial: tuple[int, ...], seed: int, garbage: float
) -> None:
    kind, mode, options = term
    logits, target = batch(mode, spatial, seed)
    target = scattered(target, seed + 1)
    ignored = ignored_of(logits, target)
    loss = build_term(kind, mode, options, IGNORED)
    value, gradient = value_and_gradient(loss, logits, target)
    changed, changed_gradient = value_and_gradient(loss, logits.masked_fill(ignored, garbage), target)
    assert torch.equal(value, changed)
    assert torch.equal(gradient, changed_gradient)
    assert torch.isfinite(value)
    assert (gradient[ignored] == 0).all()
    assert (gradient[~ignored] != 0).any() or (~ignored).sum() == 0


@both_dimensions
@every_option
def test_a_batch_of_ignored_pixels_costs_0_with_a_gradient_of_0(
    kind: str, mode: Any, options: dict[str, Any], spatial: tuple[int, ...]
) -> None:
    logits, target = batch(mode, spatial)
    loss = build_term(kind, mode, options, IGNORED)
    value, gradient = value_and_gradient(loss, logits.float(), torch.full_like(target, IGNORED))
    assert value.item() == 0.0
    assert (gradient == 0).all()


@pytest.mark.parametrize("kind", REGION_KINDS)
def test_a_region_without_pixels_has_a_gradient_of_0_whatever_the_smoothing(kind: str) -> None:
    # The slope of 1e-5 / 1e-30 at 0 overflows fp32, and infinity times 0 is NaN.
    loss = build_term(kind, "binary", {"smooth_dr": 1e-30}, IGNORED)
    target = torch.tensor([[[[1, 0]]], [[[IGNORED, IGNORED]]]])
    _, gradient = value_and_gradient(loss, torch.ones(2, 1, 1, 2), target)
    assert (gradient[1] == 0).all()
    assert torch.isfinite(gradient).all()


@both_dimensions
@every_option
def test_a_sample_without_a_valid_pixel_is_left_out_of_the_mean(
    kind: str, mode: Any, options: dict[str, Any], spatial: tuple[int, ...]
) -> None:
    logits, target = batch(mode, spatial)
    alone, alone_gradient = value_and_gradient(build_term(kind, mode, options), logits[:1], target[:1])
    target[1] = IGNORED
    value, gradient = value_and_gradient(build_term(kind, mode, options, IGNORED), logits, target)
    torch.testing.assert_close(value, alone, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradient[:1], alone_gradient, rtol=1e-10, atol=1e-12)
    assert (gradient[1] == 0).all()


@pytest.mark.parametrize("pooled", [False, True])
def test_a_channel_without_a_valid_pixel_is_left_out_of_the_mean(pooled: bool) -> None:  # noqa: FBT001
    logits, target = batch("multilabel", (6, 4))
    target[:, 1] = IGNORED
    others = EnhancedDiceLoss("multilabel", batch=pooled)(logits[:, ::2], target[:, ::2])
    value = EnhancedDiceLoss("multilabel", batch=pooled, ignore_index=IGNORED)(logits, target)
    torch.testing.assert_close(value, others, rtol=1e-12, atol=1e-12)


@every_option
def test_an_index_that_no_pixel_has_changes_nothing(kind: str, mode: Any, options: dict[str, Any]) -> None:
    logits, target = batch(mode, (6, 4))
    expected = value_and_gradient(build_term(kind, mode, options), logits, target)
    found = value_and_gradient(build_term(kind, mode, options, IGNORED), logits, target)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


def test_classes_of_weight_0_alone_cost_0() -> None:
    logits, target = batch("multiclass", (6, 4))
    loss = EnhancedBCELoss("multiclass", class_weights=[0.0, 1.0, 1.0], ignore_index=IGNORED)
    value, gradient = value_and_gradient(loss, logits, target.masked_fill(target > 0, IGNORED))
    assert value.item() == 0.0
    assert (gradient == 0).all()


@pytest.mark.parametrize("variant", ["bce", "focal"])
def test_a_loss_that_overflows_under_an_ignored_pixel_does_no_harm(variant: Any) -> None:
    # 3e38 times the weight is infinity in fp32, and infinity times 0 is NaN.
    loss = EnhancedBCELoss("multilabel", variant, class_weights=[10.0], ignore_index=IGNORED)
    value, gradient = value_and_gradient(loss, torch.tensor([[[[0.0, 3e38]]]]), torch.tensor([[[[1, IGNORED]]]]))
    assert torch.isfinite(value)
    assert gradient.flatten()[1] == 0


@every_kind
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's own tracing does it
def test_a_loss_that_ignores_compiles_to_one_graph(kind: str, mode: Any) -> None:
    logits, target = batch(mode, (6, 4))
    target = scattered(target)
    loss = build_term(kind, mode, {}, IGNORED)
    torch.compiler.reset()  # each kind compiles afresh: the losses share a forward, and recompilations are bounded
    compiled = torch.compile(loss, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(logits, target), loss(logits, target))


@pytest.mark.parametrize("index", [IGNORED, -1, -100, 2])
@pytest.mark.parametrize("dtype", [torch.int16, torch.int64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("loss", [EnhancedDiceLoss, EnhancedBCELoss])
def test_binary_targets_carry_any_index_in_any_dtype(loss: Any, dtype: torch.dtype, index: int) -> None:
    logits = torch.tensor([[[[1.0, -2.0, 3.0]]]])
    target = torch.tensor([[[1, 0, index]]]).to(dtype)  # without the channel axis
    expected = loss()(logits[..., :2], target[..., :2])
    torch.testing.assert_close(loss(ignore_index=index)(logits, target), expected)


def test_soft_targets_beside_ignored_pixels_stay_soft() -> None:
    logits, target = torch.tensor([[[[1.0, -2.0, 3.0]]]]), torch.tensor([[[[0.7, 0.2, IGNORED]]]])
    for loss in (EnhancedDiceLoss, EnhancedBCELoss):
        expected = loss()(logits[..., :2], target[..., :2])
        torch.testing.assert_close(loss(ignore_index=IGNORED)(logits, target), expected)


@pytest.mark.parametrize("mode", MODES)
def test_prepare_hands_back_the_valid_pixels_and_clears_the_others(mode: Any) -> None:
    logits, target = batch(mode, (6, 4))
    target = scattered(target).to(torch.uint8)
    prepared = prepare(logits, target, mode, MaskPolicy(ignore_index=IGNORED))
    assert prepared.valid is not None
    assert prepared.valid.dtype == torch.bool
    assert torch.equal(prepared.valid.expand_as(logits), ~ignored_of(logits, target))
    assert prepared.target.max() < 3
    assert prepare(logits, target.masked_fill(target == IGNORED, 0), mode).valid is None


@pytest.mark.parametrize("loss", [EnhancedDiceLoss, EnhancedBCELoss])
@pytest.mark.parametrize(
    ("mode", "index", "message"),
    [
        ("binary", 0, "ignore_index: found 0, which is background in mode 'binary'.*such as 255"),
        ("multilabel", 1, "ignore_index: found 1, which is foreground in mode 'multilabel'"),
        ("binary", True, "ignore_index: found True; expected an integer"),
        ("multiclass", 255.0, r"ignore_index: found 255\.0; expected an integer"),
        ("multiclass", "255", "ignore_index: found '255'; expected an integer"),
    ],
)
def test_constructors_refuse_an_index_that_is_none(loss: Any, mode: Any, index: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        loss(mode, ignore_index=index)


@pytest.mark.parametrize("loss", [EnhancedDiceLoss, EnhancedBCELoss])
@pytest.mark.parametrize("index", [0, 2])
def test_a_class_cannot_be_ignored(loss: Any, index: int) -> None:
    with pytest.raises(InvalidInputError, match=f"ignore_index: found {index}, which is one of the 3 classes"):
        loss("multiclass", ignore_index=index)(*batch("multiclass", (6, 4)))


@pytest.mark.parametrize(("index", "dtype"), [(-1, torch.uint8), (300, torch.uint8), (255, torch.int8)])
@pytest.mark.parametrize("mode", MODES)
def test_an_index_that_the_target_cannot_hold_is_refused(mode: Any, index: int, dtype: torch.dtype) -> None:
    logits, target = batch(mode, (6, 4))
    with pytest.raises(InvalidInputError, match=f"found {index}; a target of dtype {dtype} holds"):
        EnhancedBCELoss(mode, ignore_index=index)(logits, target.to(dtype))
