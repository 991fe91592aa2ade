"""One epoch and one evaluation, for every kind of mask and both numbers of dimensions."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from components.data import Split, training_batches
from components.errors import InvalidInputError, NonFiniteLossError
from components.losses import CombinedLoss, DeepSupervisionLoss, LossManager, ReferenceTerms
from components.losses.deep_supervision import outputs_of
from components.metrics.dice import Mode
from components.metrics.masks import PackedMasks, hard_masks
from components.training import build_lr_schedule, build_optimizer, evaluate, seed_everything, small_unet, train_epoch

CASES = {"binary": 1, "multilabel": 2, "multiclass": 3}


def split(mode: str, spatial: tuple[int, ...]) -> Split:
    """Cases whose classes can be told by brightness."""
    random = np.random.default_rng(0)
    classes = random.integers(0, CASES[mode] if mode == "multiclass" else CASES[mode] + 1, size=(4, *spatial))
    images = (classes + 0.05 * random.standard_normal(classes.shape)).astype(np.float32)[:, None]
    if mode == "multiclass":
        masks = classes.astype(np.uint8)
    else:
        masks = np.stack([classes > index for index in range(CASES[mode])], axis=1).astype(np.uint8)
    names = tuple(f"case{index}" for index in range(4))
    return Split(list(images), list(masks), names, names)


def loss_for(mode: str) -> CombinedLoss:
    cross_entropy = "ce" if mode == "multiclass" else "bce"
    terms: dict[str, Any] = {"dice": {}, cross_entropy: {}}
    return LossManager.create_loss_function(
        {"mode": mode, "terms": terms, "weights": {"dice": 0.3, cross_entropy: 0.7}}
    )


def pointwise(mode: str, dims: int) -> nn.Module:
    convolution = nn.Conv2d if dims == 2 else nn.Conv3d
    return nn.Sequential(convolution(1, 16, 1), nn.Tanh(), convolution(16, CASES[mode], 1))


@pytest.mark.parametrize("mode", ["binary", "multilabel", "multiclass"])
@pytest.mark.parametrize("spatial", [(8, 9), (4, 5, 6)])
def test_training_learns_what_can_be_learned(mode: Mode, spatial: tuple[int, ...]) -> None:
    seed_everything(0)
    data, model = split(mode, spatial), pointwise(mode, len(spatial))
    optimizer = build_optimizer("adamw", model.parameters(), lr=0.1, weight_decay=0.0)
    rows = [
        train_epoch(model, loss_for(mode), optimizer, training_batches(data, size=2, seed=0, epoch=epoch), epoch=epoch)
        for epoch in range(1, 41)
    ]
    assert rows[-1]["train_loss"] < 0.3 * rows[0]["train_loss"]
    assert evaluate(model, data, mode=mode, batch=3).mean > 0.95


def test_the_row_names_every_term_and_the_weighted_sum() -> None:
    model = pointwise("binary", 2)
    optimizer = build_optimizer("sgd", model.parameters(), lr=0.0, weight_decay=0.0)
    row = train_epoch(
        model,
        loss_for("binary"),
        optimizer,
        training_batches(split("binary", (4, 4)), size=3, seed=0, epoch=1),
        epoch=1,
    )
    assert set(row) == {"train_loss", "loss_dice", "loss_bce", "weighted_dice", "weighted_bce"}
    assert row["weighted_dice"] == pytest.approx(0.3 * row["loss_dice"])
    assert row["train_loss"] == pytest.approx(row["weighted_dice"] + row["weighted_bce"])


def test_the_row_holds_what_each_term_pulls_and_a_reference_that_no_weight_changes() -> None:
    rows = []
    for weights in ({"dice": 0.3, "bce": 0.7}, {"dice": 0.9, "bce": 0.1}):
        seed_everything(0)
        model, loss, reference = pointwise("binary", 2), loss_for("binary"), ReferenceTerms("binary")
        loss.weights, loss.gradient_interval = weights, 2
        optimizer = build_optimizer("sgd", model.parameters(), lr=0.0, weight_decay=0.0)
        batches = training_batches(split("binary", (4, 4)), size=1, seed=0, epoch=1)
        rows.append(train_epoch(model, loss, optimizer, batches, epoch=1, reference=reference))
    for row, weight in zip(rows, (0.3, 0.9), strict=True):
        pulls = weight * row["gradient_norm_dice"], (1 - weight) * row["gradient_norm_bce"]
        assert row["gradient_share_dice"] == pytest.approx(pulls[0] / sum(pulls), rel=0.05)  # a mean of shares
        assert row["gradient_share_dice"] + row["gradient_share_bce"] == pytest.approx(1)
    for name in ("reference_dice", "reference_bce", "gradient_norm_dice"):
        assert rows[0][name] == pytest.approx(rows[1][name])
    assert rows[0]["reference_dice"] == pytest.approx(rows[0]["loss_dice"])


class Levels(nn.Module):
    """A network with a coarse output beside the fine one, in a list or stacked."""

    def __init__(self, *, stacked: bool) -> None:
        super().__init__()
        self.fine = nn.Conv2d(1, 1, 1)
        self.stacked = stacked

    def forward(self, images: torch.Tensor) -> list[torch.Tensor] | torch.Tensor:
        fine: torch.Tensor = self.fine(images)
        return torch.stack([fine, -fine], 1) if self.stacked else [fine, -fine[..., ::2, ::2]]


@pytest.mark.parametrize("stacked", [False, True])
def test_a_network_may_return_several_outputs(stacked: bool) -> None:  # noqa: FBT001
    model, data = Levels(stacked=stacked), split("binary", (8, 8))
    with torch.no_grad():
        model.fine.weight.fill_(9.0)
        model.fine.bias.fill_(-4.5)  # type: ignore[union-attr]  # it has a bias
    assert evaluate(model, data, mode="binary", batch=4).mean == 1.0  # of the fine output alone
    loss, optimizer = loss_for("binary"), build_optimizer("sgd", model.parameters(), lr=0.0, weight_decay=0.0)
    images, target = next(iter(training_batches(data, size=4, seed=0, epoch=1)))
    row = train_epoch(model, loss, optimizer, [(images, target)], epoch=1)
    expected = DeepSupervisionLoss(loss)(model(images), target).item()
    assert row["train_loss"] == pytest.approx(expected, rel=1e-5)
    assert row["train_loss"] > 2 * loss(outputs_of(model(images), axes=4)[0], target).item()


def test_the_score_does_not_depend_on_the_batch() -> None:
    model, data = small_unet(1, 3, channels=(4, 8)), split("multiclass", (8, 8))
    scores = [evaluate(model, data, mode="multiclass", batch=batch).mean for batch in (1, 2, 4)]
    assert scores == pytest.approx([scores[0]] * 3, abs=1e-3)


def sizes(mode: Mode, *spatial: tuple[int, ...]) -> Split:
    """A case of each size, of those that `split` makes."""
    parts = [split(mode, size) for size in spatial]
    names = tuple(f"case{index}" for index in range(len(parts)))
    return Split([part.images[0] for part in parts], [part.masks[0] for part in parts], names, names)


@pytest.mark.parametrize("mode", ["binary", "multilabel", "multiclass"])
@pytest.mark.parametrize("spatial", [((5, 7), (8, 8), (9, 3)), ((3, 5, 6), (4, 4, 4))])
def test_what_is_predicted_beyond_the_image_is_cut_off(mode: Mode, spatial: tuple[tuple[int, ...], ...]) -> None:
    data, model = sizes(mode, *spatial), pointwise(mode, len(spatial[0]))
    plain, padded = PackedMasks(mode), PackedMasks(mode)
    scores = evaluate(model, data, mode=mode, batch=2, masks=plain)
    again = evaluate(model, data, mode=mode, batch=2, divisor=8, masks=padded)
    assert (again.mean, again.per_class, again.undefined) == (scores.mean, scores.per_class, scores.undefined)
    assert np.array_equal(again.per_case, scores.per_case, equal_nan=True)
    shapes = [mask.shape for mask in data.masks]
    for image, mask, other in zip(data.images, plain.unpack(shapes), padded.unpack(shapes), strict=True):
        with torch.inference_mode():
            expected = hard_masks(model(torch.from_numpy(image)[None]), mode)[0]
        assert np.array_equal(mask, expected)
        assert np.array_equal(other, expected)


def test_a_network_with_levels_scores_sizes_that_are_no_multiple() -> None:
    data, model = sizes("multiclass", (9, 14), (16, 16), (5, 21)), small_unet(1, 3, channels=(4, 8, 8))
    masks = PackedMasks("multiclass")
    scores = evaluate(model, data, mode="multiclass", batch=4, divisor=4, masks=masks)
    assert scores.per_case.shape == (3, 2)
    assert [mask.shape for mask in masks.unpack([(9, 14), (16, 16), (5, 21)])] == [(9, 14), (16, 16), (5, 21)]


def constant(*logits: float) -> nn.Module:
    """A network that gives every pixel the same logits."""
    model = nn.Conv2d(1, len(logits), 1)
    model.weight.data.zero_()
    model.bias = nn.Parameter(torch.tensor(logits))
    return model


def test_ignored_pixels_are_not_counted() -> None:
    mask = np.array([[[1, 1, 0, 255], [1, 255, 255, 255]]], np.uint8)
    data = Split([np.zeros((1, 2, 4), np.float32)], [mask], ("a",), ("a",))
    model = constant(1.0)
    assert evaluate(model, data, mode="binary", batch=1, ignore_index=255).mean == 2 * 3 / (2 * 3 + 1)
    assert evaluate(model, data, mode="binary", batch=1, divisor=8, ignore_index=255).mean == 2 * 3 / (2 * 3 + 1)
    assert evaluate(model, data, mode="binary", batch=1).mean == 2 * 7 / (2 * 7 + 1)  # 255 is not 0


def test_classes_that_are_not_scored_do_not_count() -> None:
    mask = np.array([[1, 1, 0, 0]], np.uint8)
    data = Split([np.zeros((1, 1, 4), np.float32)], [mask], ("a",), ("a",))
    model = constant(0.0, 1.0, -1.0)
    with pytest.raises(InvalidInputError, match=r"foreground class\(es\) \[2\] occur in no case"):
        evaluate(model, data, mode="multiclass", batch=1)
    scores = evaluate(model, data, mode="multiclass", batch=1, scored=(True, False))
    assert scores.mean == scores.per_class[0] == 2 * 2 / (2 * 2 + 2)
    assert np.isnan(scores.per_class[1])


def test_evaluation_leaves_the_weights_and_sets_the_mode() -> None:
    model, data = small_unet(1, 3, channels=(4, 8)), split("multiclass", (8, 8))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.train()
    evaluate(model, data, mode="multiclass", batch=4, divisor=2)
    assert not model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_bf16_trains_and_scores_close_to_fp32() -> None:
    rows = {}
    for precision in ("fp32", "bf16"):
        seed_everything(0)
        model = pointwise("binary", 2)
        optimizer = build_optimizer("adamw", model.parameters(), lr=0.01, weight_decay=0.0)
        batches = training_batches(split("binary", (8, 8)), size=2, seed=0, epoch=1)
        rows[precision] = train_epoch(
            model,
            loss_for("binary"),
            optimizer,
            batches,
            epoch=1,
            precision=precision,
        )["train_loss"]
    assert rows["bf16"] != rows["fp32"]
    assert rows["bf16"] == pytest.approx(rows["fp32"], rel=0.02)


class Poisoned(nn.Module):
    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return logits.sum() * float("inf")


def test_a_loss_that_is_not_finite_names_term_and_epoch_and_leaves_the_weights() -> None:
    model = pointwise("binary", 2)
    before = [parameter.clone() for parameter in model.parameters()]
    optimizer = build_optimizer("sgd", model.parameters(), lr=1.0, weight_decay=0.0)
    loss = CombinedLoss({"poison": Poisoned()})
    with pytest.raises(NonFiniteLossError, match=r"epoch 7, batch 1: loss term 'poison'"):
        train_epoch(model, loss, optimizer, training_batches(split("binary", (4, 4)), size=4, seed=0, epoch=7), epoch=7)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_no_batch_and_unknown_names_are_refused() -> None:
    model = pointwise("binary", 2)
    optimizer = build_optimizer("sgd", model.parameters(), lr=1.0, weight_decay=0.0)
    with pytest.raises(InvalidInputError, match="no batch at all"):
        train_epoch(model, loss_for("binary"), optimizer, [], epoch=1)
    with pytest.raises(InvalidInputError, match="use one of adamw, sgd"):
        build_optimizer("adam", model.parameters(), lr=1.0, weight_decay=0.0)
    with pytest.raises(InvalidInputError, match="use one of constant, cosine, poly"):
        build_lr_schedule("linear", optimizer, epochs=3)


@pytest.mark.parametrize(
    ("name", "rates"), [("constant", [1, 1, 1]), ("cosine", [1, 0.5, 0]), ("poly", [1, 0.5**0.9, 0])]
)
@pytest.mark.filterwarnings("ignore:Detected call of")  # no optimiser step is needed to read the rates
def test_the_learning_rate_follows_the_full_budget(name: str, rates: list[float]) -> None:
    optimizer = build_optimizer("sgd", nn.Linear(1, 1).parameters(), lr=1.0, weight_decay=0.0)
    schedule = build_lr_schedule(name, optimizer, epochs=2)
    found = []
    for _ in range(3):
        found.append(optimizer.param_groups[0]["lr"])
        schedule.step()
    assert found == pytest.approx(rates)


@pytest.mark.parametrize("dims", [2, 3])
def test_the_default_network_fits_channels_and_classes(dims: int) -> None:
    logits = small_unet(2, 5, spatial_dims=dims)(torch.zeros(1, 2, *[16] * dims))
    assert logits.shape == (1, 5, *[16] * dims)
