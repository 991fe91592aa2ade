"""Comparing losses before training: what each number says, what data it takes, what it refuses."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from components.data import SegmentationData, Split
from components.data.folder import open_folder, split_folder
from components.errors import InvalidInputError
from components.losses import EnhancedBCELoss, LossEvaluation, LossManager
from components.losses.behaviour import at_stage, value_and_gradient
from components.losses.costs import peak_mebibytes, training_step
from components.losses.evaluation_batch import MaskBatch
from components.losses.stages import STAGES, stage_logits

ROOT = os.environ.get("SEGTUNE_DATA")


def masks(cases: int = 2, size: int = 32) -> Tensor:
    target = torch.zeros(cases, 1, size, size)
    target[:, :, 6:26, 12:18] = 1
    return target


def class_masks() -> Tensor:
    target = torch.zeros(2, 32, 32, dtype=torch.int64)
    target[:, 4:20, 4:12] = 1
    target[:, 10:30, 20:28] = 2
    return target


def evaluate(losses: Any, data: Any = None, **options: Any) -> LossEvaluation:
    return LossManager.evaluate(losses, masks() if data is None else data, repeats=1, **options)


def batch(target: Tensor) -> MaskBatch:
    return MaskBatch(target, target, None, None, "binary", None)


class Own(nn.Module):
    """A loss without named terms."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return (logits.sigmoid() - target).square().mean()


class Broken(nn.Module):
    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        raise RuntimeError("no idea")


class NaNOnEmpty(nn.Module):
    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        sizes = target.flatten(1).sum(1)
        return ((logits.sigmoid() - target).square().flatten(1).sum(1) * sizes / sizes).mean()


def test_a_network_gets_better_from_stage_to_stage() -> None:
    found = evaluate(["bce"])
    dice = [stage.dice for stage in found.stages]
    assert [stage.name for stage in found.stages] == ["untrained", "half", "good"]
    assert dice[0] < 0.4 < dice[1] < dice[2]
    assert found.candidates[0].stages["good"].value < found.candidates[0].stages["untrained"].value


@pytest.mark.parametrize("stage", STAGES)
def test_stages_repeat_with_the_seed_alone(stage: str) -> None:
    truth = masks()
    assert torch.equal(stage_logits(truth, stage, 3), stage_logits(truth, stage, 3))
    assert not torch.equal(stage_logits(truth, stage, 3), stage_logits(truth, stage, 4))
    assert stage_logits(torch.zeros(1, 2, 1, 3, 5), stage, 0).shape == (1, 2, 1, 3, 5)


def test_dice_has_no_gradient_on_empty_masks_and_beside_bce_it_has() -> None:
    verdicts = {row["loss"]: row["empty_verdict"] for row in evaluate(["dice", "bce", "balanced"]).rows()}
    assert verdicts == {"dice": "no gradient", "bce": "ok", "balanced": "ok"}


def test_pooling_gives_dice_a_gradient_on_empty_masks() -> None:
    found = evaluate({"apart": {"type": "dice"}, "pooled": {"type": "dice", "batch": True}})
    assert [row["empty_verdict"] for row in found.rows()] == ["no gradient", "ok"]


def test_lovasz_pulls_at_one_pixel_of_an_empty_mask() -> None:
    (row,) = evaluate(["lovasz"], masks(size=128)).rows()
    assert row["empty_verdict"] == "spike"
    assert row["empty_gradient_much"] > 10


def test_a_loss_that_breaks_on_empty_masks_is_told() -> None:
    found = evaluate({"mine": NaNOnEmpty()})
    assert found.rows()[0]["empty_verdict"] == "not finite"
    assert any("mine: NaN or infinite where a mask is empty" in note for note in found.notes)


def test_shares_of_the_gradient_are_those_written_out() -> None:
    target, logits = masks(), 0.3 * torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    loss = LossManager.create_loss_function({"dice_weight": 0.8, "bce_weight": 0.2})
    found = at_stage(loss, logits, batch(target))
    dice = value_and_gradient(LossManager.create_loss_function({"type": "dice"}), logits, target)[1] * 0.8
    bce = (logits.sigmoid() - target) / logits.numel() * 0.2
    expected = dice.norm() / (dice.norm() + bce.norm())
    assert found.shares["dice"] == pytest.approx(expected.item(), rel=1e-5)
    assert sum(found.shares.values()) == pytest.approx(1)
    whole = (dice + bce).abs()
    assert found.foreground == pytest.approx((whole[target == 1].sum() / whole.sum()).item(), rel=1e-5)
    assert found.value == pytest.approx(loss(logits, target).item(), rel=1e-5)


def test_a_term_of_weight_0_has_no_share() -> None:
    config = {"terms": {"dice": {}, "bce": {}, "focal": {}}, "weights": {"dice": 0.5, "bce": 0.5}}
    assert evaluate({"mine": config}).candidates[0].terms == ("dice", "bce")


def test_skeleton_recall_pulls_at_foreground_alone() -> None:
    assert evaluate(["skeleton_recall"]).candidates[0].stages["half"].foreground == pytest.approx(1)


def test_moving_a_weight_between_equal_terms_turns_nothing() -> None:
    same = {"terms": {"bce": {}, "again": {"kind": "bce"}}}
    assert evaluate({"same": same}).candidates[0].weight_cosine == pytest.approx(1)
    assert evaluate(["bce"]).candidates[0].weight_cosine is None


def test_the_turn_of_the_gradient_is_that_of_the_weights_moved() -> None:
    target = masks()
    logits = stage_logits(target, "half", 0)
    gradients = {
        kind: value_and_gradient(LossManager.create_loss_function({"type": kind}), logits, target)[1].flatten()
        for kind in ("dice", "bce")
    }

    def mixed(dice: float) -> Tensor:
        return dice * gradients["dice"] + (1 - dice) * gradients["bce"]

    expected = min(torch.cosine_similarity(mixed(0.5), mixed(moved), 0).item() for moved in (0.4, 0.6))
    found = at_stage(LossManager.create_loss_function({"preset": "balanced"}), logits, batch(target))
    assert found.weight_cosine == pytest.approx(expected, rel=1e-6)


def test_memory_is_that_of_the_tensors_alive_at_once() -> None:
    logits, target = torch.zeros(1, 1, 512, 512), torch.zeros(1, 1, 512, 512)  # 1 MiB each

    class Doubling(nn.Module):
        def forward(self, logits: Tensor, target: Tensor) -> Tensor:
            return (logits * 2).sum() + target[0, 0, 0, 0]

    step = training_step(Doubling(), logits, target)
    assert peak_mebibytes(step, torch.device("cpu")) == pytest.approx(1, abs=0.01)  # the product, then the gradient


def test_one_hot_presets_and_kinds_of_each_mode_can_be_compared() -> None:
    every = evaluate(None, class_masks(), mode="multiclass")
    assert [found.name for found in every.candidates] == [
        name for name, preset in LossManager.presets().items() if "multiclass" in preset.modes
    ]
    assert every.shape == (2, 3, 32, 32)
    assert evaluate(["dice"], masks().expand(2, 3, 32, 32), mode="multilabel").shape == (2, 3, 32, 32)
    assert evaluate(["dice"], torch.zeros(1, 1, 4, 8, 8)).shape == (1, 1, 4, 8, 8)


def test_masks_without_foreground_are_measured_but_for_the_empty_case() -> None:
    found = evaluate(["dice", "bce"], torch.zeros(2, 1, 16, 16))
    assert [row["empty_verdict"] for row in found.rows()] == [None, None]
    assert "No mask shown holds foreground" in found.notes[0]


def split(sizes: list[int]) -> Split:
    arrays = [masks(1, size)[0].numpy().astype(np.uint8) for size in sizes]
    names = tuple(map(str, range(len(sizes))))
    return Split([array.astype(np.float32) for array in arrays], arrays, names, names)


def test_a_data_set_brings_its_mode_and_what_it_ignores() -> None:
    part = split([32, 40])
    part.masks[0][0, 0, :] = 255
    data = SegmentationData("toy", "binary", ("vessel",), part, part, part, ignore=True)
    assert evaluate(["balanced"], data).shape == (2, 1, 32, 32)  # the smallest size of all
    assert evaluate(["balanced"], data, crop=16, cases=1).shape == (1, 1, 16, 16)
    with pytest.raises(InvalidInputError, match="found 'multiclass', but data 'toy' are 'binary'"):
        evaluate(["bce"], data, mode="multiclass")


@pytest.mark.parametrize(
    "data",
    [
        masks(),
        masks().numpy(),
        masks().bool(),
        [masks(1), masks(1)],
        [(torch.zeros(2, 3, 32, 32), masks())],
        (torch.zeros(2, 3, 32, 32), masks()),
        split([32, 32]),
        masks()[:, 0],
    ],
    ids=["tensor", "array", "bool", "batches", "loader", "pair", "split", "no channel"],
)
def test_masks_are_taken_as_the_user_has_them(data: Any) -> None:
    assert evaluate(["bce"], data).rows()[0]["value_good"] == pytest.approx(
        evaluate(["bce"]).rows()[0]["value_good"], rel=1e-4
    )


def test_a_network_gives_the_logits() -> None:
    model = nn.Conv2d(1, 1, 1)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias if model.bias is not None else model.weight)
    model.train()
    found = evaluate(["bce"], (masks(), masks()), model=model)
    assert [stage.name for stage in found.stages] == ["model"]
    assert found.rows()[0]["value_model"] == pytest.approx(np.log(2), rel=1e-5)
    assert model.training
    with pytest.raises(InvalidInputError, match="model: raised RuntimeError"):
        evaluate(["bce"], (masks().expand(2, 3, 32, 32), masks()), model=model)
    assert model.training


class TwoOutputs(nn.Module):
    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        return [0 * images, images[..., ::2, ::2]]


def test_of_several_outputs_the_finest_is_looked_at() -> None:
    found = evaluate(["bce"], (masks(), masks()), model=TwoOutputs())
    assert found.rows()[0]["value_model"] == pytest.approx(np.log(2), rel=1e-5)


def test_measuring_leaves_a_loss_as_it_was() -> None:
    loss = LossManager.create_loss_function({"preset": "balanced"})
    evaluate({"mine": loss})
    assert loss.epoch_means() == {}


def test_rows_have_the_same_keys_and_the_table_a_line_each() -> None:
    found = evaluate({"mine": Own(), "both": {"preset": "balanced"}, "module": EnhancedBCELoss()})
    rows = found.rows()
    assert len({tuple(row) for row in rows}) == 1
    assert rows[1]["share_dice_half"] + rows[1]["share_bce_half"] == pytest.approx(1)
    assert rows[0]["share_dice_half"] is None
    assert rows[0]["milliseconds"] > 0
    lines = found.table().splitlines()
    assert len({len(line) for line in lines}) == 1
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["mine", "both", "module"]
    assert str(found).startswith("2 masks of 32×32, binary, 1 channel, 11.7 % foreground")
    assert found.table() in str(found)


@pytest.mark.parametrize(
    ("losses", "data", "options", "message"),
    [
        (["dise"], None, {}, "losses: preset or kind: found 'dise'.*did you mean 'dice'"),
        ([], None, {}, "losses: found none"),
        ({"preset": "balanced"}, None, {}, "losses: preset: found 'balanced'; expected a configuration.*Hint"),
        ({"mine": {"type": "dice", "mode": "multilabel"}}, None, {}, "mine: mode 'multilabel', but the masks are"),
        ({"mine": {"type": "dise"}}, None, {}, "losses: mine: loss: type: found 'dise'"),
        ({"mine": Broken()}, None, {}, "losses: mine raised RuntimeError: no idea"),
        (["ce"], None, {}, "losses: ce: .*Hint: use 'bce'"),
        (["bce"], 255 * masks(), {}, "mask values from 0 to 255; mode 'binary' expects 0 to 1. Hint: divide"),
        (["bce"], "masks", {}, "data: found str; expected masks"),
        (["bce"], [], {}, "data: found none"),
        (["bce"], [masks(1, 32), masks(1, 40)], {}, "masks of different shapes.*Hint: crop"),
        (["bce"], torch.full((1, 1, 8, 8), 255.0), {"ignore_index": 255}, "no pixel that is not ignored"),
        (["bce"], None, {"crop": 16}, "crop: only a Split"),
        (["bce"], None, {"cases": 0}, "cases: found 0"),
        (["bce"], None, {"mode": "multi"}, "mode: found 'multi'"),
        (["bce"], None, {"model": nn.Identity()}, "model: the data have no images"),
        (["bce"], (masks().expand(2, 3, 32, 32), masks()), {"model": nn.Identity()}, "model: found logits .*expected"),
    ],
)
def test_mistakes_are_named(losses: Any, data: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        evaluate(losses, data, **options)


@pytest.mark.skipif(ROOT is None, reason="SEGTUNE_DATA is not set: no real data sets here")
def test_vessels_show_what_each_loss_is_for() -> None:
    data = split_folder(open_folder(Path(str(ROOT)) / "chase_db1_vessels"))[0]
    rows = {row["loss"]: row for row in evaluate(["bce", "dice", "thin_structures"], data, crop=256).rows()}
    assert rows["bce"]["foreground_untrained"] < 0.15 < rows["dice"]["foreground_untrained"]
    assert rows["thin_structures"]["share_skeleton_recall_untrained"] > 0.3
    assert [row["empty_verdict"] for row in rows.values()] == ["ok", "no gradient", "ok"]


def test_crops_show_foreground_where_the_study_asks_for_it() -> None:
    mask = np.zeros((1, 64, 64), np.uint8)
    mask[0, :2, :2] = 1
    split = Split([np.zeros((1, 64, 64), np.float32)] * 4, [mask] * 4, tuple("abcd"), tuple("abcd"))
    assert evaluate(["dice"], split, crop=8).foreground == 0
    assert evaluate(["dice"], split, crop=8, foreground=1.0).foreground > 0
