"""What the training manager does where a loop goes wrong, goes on, or trains on data of one's own."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import StepLR

import components
from components import TrainingManager
from components.data import SegmentationData, Split
from components.errors import InvalidInputError, NonFiniteLossError
from components.training import small_unet
from components.training.inference import extended
from tests.folders import png_folder
from tests.training_toys import CONFIG, batch, network


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def manager_of(training: dict[str, Any] | None = None, **sections: Any) -> TrainingManager:
    config = CONFIG | sections | {"training": CONFIG["training"] | (training or {})}
    return TrainingManager("out", "unet", config, report=None)


def weights(model: nn.Module) -> Tensor:
    return torch.cat([weight.detach().flatten() for weight in model.parameters()])


def odd_data(*, size: tuple[int, ...] = (19, 21), ignore: bool = False) -> SegmentationData:
    """Bright pixels, in images whose sizes no network divides."""
    random = np.random.default_rng(0)
    images = [random.normal(size=(1, *size)).astype(np.float32) for _ in range(4)]
    masks = [(image > 0.5).astype(np.uint8) for image in images]
    if ignore:
        masks[0][..., 0] = 255
    names = ("a", "b", "c", "d")
    split = Split(images, masks, names, names)
    return SegmentationData("odd", "binary", ("bright",), split, split, Split([], [], (), ()), ignore=ignore)


def test_bad_batches_are_left_out_of_the_scores_and_counted_an_epoch() -> None:
    manager, model = manager_of({"max_bad_steps": 1}), network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    images, masks = batch()
    for epoch in (1, 2, 3):
        good = manager.train_step(model, (images, masks), optimizer)
        before = weights(model)
        bad = manager.train_step(model, (images * float("nan"), masks), optimizer)
        assert torch.equal(weights(model), before)
        assert bad["train_loss"] == good["train_loss"] == good["loss"]
        row = manager.log_epoch(epoch, bad, {})
        assert row["train_bad_steps"] == 1
        assert row["train_loss_dice"] == good["loss_dice"]
    manager.train_step(model, (images * float("nan"), masks), optimizer)
    with pytest.raises(NonFiniteLossError):
        manager.train_step(model, (images * float("nan"), masks), optimizer)


def test_calls_accumulate_and_the_rest_of_an_epoch_steps_before_validation() -> None:
    whole, parts = network(), network()
    images, masks = batch(7)
    manager = manager_of({"accumulate": 2}, loss={"weights": {"bce": 1.0}})
    optimizer = torch.optim.SGD(parts.parameters(), lr=0.1)
    one = manager_of(loss={"weights": {"bce": 1.0}})
    plain = torch.optim.SGD(whole.parameters(), lr=0.1)
    first = weights(parts)
    manager.train_step(parts, (images[:3], masks[:3]), optimizer)
    assert torch.equal(weights(parts), first)
    manager.train_step(parts, (images[3:], masks[3:]), optimizer)  # 3 and 4 cases weigh as 7 together
    one.train_step(whole, (images, masks), plain)
    torch.testing.assert_close(weights(parts), weights(whole))
    manager.train_step(parts, (images[:3], masks[:3]), optimizer)
    manager.validate_step(parts, (images, masks))
    one.train_step(whole, (images[:3], masks[:3]), plain)
    torch.testing.assert_close(weights(parts), weights(whole))


@pytest.mark.parametrize("strategy", ["best", "epoch"])
def test_a_finished_fit_ends_at_once_and_goes_on_with_a_larger_budget(strategy: str) -> None:
    def fit(epochs: int) -> tuple[TrainingManager, nn.Module, Tensor]:
        manager, model = manager_of({"epochs": epochs, "lr": 0.3}, checkpoint={"strategy": strategy}), network()
        manager.setup_training(model)
        before = weights(model)
        manager.fit([batch()], [batch(seed=1)])
        return manager, model, before

    ended = weights(fit(3)[1])
    again, model, _ = fit(3)
    assert torch.equal(weights(model), ended)
    assert [row["epoch"] for row in again.history.rows] == [1, 2, 3]
    longer, model, _ = fit(5)
    rows = longer.history.rows
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5]
    assert not torch.equal(weights(model), ended)
    assert rows[3]["lr"] == pytest.approx(0.3 * (1 - 3 / 5) ** 0.9)  # poly over the new budget
    assert longer.progress()["ended"] == "budget of 5 epochs reached"


def test_weights_that_a_loss_learns_join_an_optimiser_of_ones_own_once() -> None:
    manager = manager_of(loss={"schedule": {"type": "uncertainty"}})
    model = network()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05, weight_decay=0.1)
    scheduler = StepLR(optimizer, 1, gamma=0.5)
    for _ in range(2):
        manager.setup_training(model, optimizer, scheduler)
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0]
    rows = manager.fit([batch()], [batch(seed=1)])
    assert rows[-1]["weight_dice"] != rows[0]["weight_dice"]
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.05 * 0.5**6] * 2)


def test_the_scheduler_of_another_optimiser_is_neither_kept_nor_taken() -> None:
    manager, model = manager_of(), network()
    manager.setup_training(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    manager.train_step(model, batch(), optimizer)
    path = manager.save_checkpoint(1, {"val_dice": 0.5})
    assert path is not None
    other = manager_of()
    other.setup_training(network())
    with pytest.raises(OSError, match="no scheduler"):
        other.load_checkpoint(path)
    with pytest.raises(InvalidInputError, match="another optimiser"):
        other.setup_training(network(), optimizer, StepLR(torch.optim.SGD(model.parameters(), lr=0.1), 1))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Conv2d(1, 1, 3), "^network: gives logits of .*; expected the size of the images. Hint: padded"),
        (nn.Conv2d(1, 3, 1), "^logits: found 3 channels; mode 'binary' expects 1. Hint: 'multilabel'"),
    ],
)
def test_a_network_that_does_not_fit_is_refused_in_training_and_in_validation(model: nn.Module, message: str) -> None:
    manager = manager_of()
    with pytest.raises(InvalidInputError, match=message):
        manager.train_step(model, batch(), torch.optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(InvalidInputError, match=message):
        manager.validate_step(model, batch())


def test_no_foreground_to_validate_on_says_so() -> None:
    manager = manager_of()
    model = nn.Conv2d(1, 1, 1)
    nn.init.constant_(model.bias, -50.0)  # type: ignore[arg-type]  # it has one
    manager.setup_training(model)
    with pytest.raises(InvalidInputError, match="no validation case has any foreground"):
        manager.fit([batch()], [(batch()[0], torch.zeros(8, 1, 16, 16))])


def test_fit_on_data_of_any_size_has_every_score_in_its_history() -> None:
    manager = TrainingManager(
        "out",
        "unet",
        {"training": {"epochs": 3, "batch": 2, "crop": 16}, "checkpoint": {"monitor": "val_loss", "mode": "min"}},
        report=None,
    )
    manager.setup_training(small_unet(1, 1))
    rows = manager.fit(odd_data())
    expected = {"val_loss", "val_dice", "val_dice_bright", "val_iou", "val_precision", "val_recall", "val_threshold"}
    assert expected | {"val_dice_tuned", "val_undefined", "lr", "seconds", "precision"} <= rows[-1].keys()
    assert rows[-1]["val_dice_tuned"] >= rows[-1]["val_dice"]
    best = manager.checkpoints.best_checkpoint
    assert best is not None
    assert best.metrics["val_loss"] == min(row["val_loss"] for row in rows)


def test_volumes_are_validated_by_windows() -> None:
    sizes = []

    class Watching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv3d(1, 1, 1)

        def forward(self, images: Tensor) -> Tensor:
            sizes.append(tuple(images.shape[2:]))
            out: Tensor = self.layer(images)
            return out

    manager = manager_of({"epochs": 1, "batch": 2, "crop": 16})
    manager.setup_training(Watching())
    manager.fit(odd_data(size=(40, 33, 33)))
    assert set(sizes) == {(16, 16, 16)}


def test_a_loss_that_does_not_read_the_masks_is_refused() -> None:
    manager = manager_of(loss={"mode": "multiclass"})
    manager.setup_training(network())
    with pytest.raises(InvalidInputError, match=r"loss.mode: found 'multiclass', the data 'odd' are 'binary'"):
        manager.fit(odd_data())
    manager = manager_of()
    manager.setup_training(network())
    with pytest.raises(InvalidInputError, match=r"loss.ignore_index: found None.* are 255"):
        manager.fit(odd_data(ignore=True))


def test_a_step_of_ones_own_trains_and_memory_has_its_hint() -> None:
    manager = manager_of()
    with pytest.raises(RuntimeError, match="out of memory") as caught:
        manager.train_step(OutOfMemory(), batch(), torch.optim.SGD(network().parameters(), lr=0.1))
    assert "training.batch" in caught.value.__notes__[0]
    manager = manager_of({"step": f"{__name__}:build_step", "epochs": 1})
    manager.setup_training(network())
    assert manager.fit([batch()], [batch()])[0]["train_loss_own"] == 7.0


class OutOfMemory(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, images: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("out of memory")


def build_step() -> Any:
    def step(model: nn.Module, images: Tensor, target: Tensor, loss: Any) -> dict[str, Tensor]:
        return {"loss": loss(model(images).float(), target), "own": torch.tensor(7.0)}

    return step


def test_images_are_continued_as_batches_continue_them() -> None:
    images = torch.randn(2, 1, 3, 10)
    expected = np.pad(images.numpy(), [(0, 0), (0, 0), (0, 13), (0, 6)], mode="symmetric")
    assert torch.equal(extended(images, 16), torch.from_numpy(expected))


def test_the_example_trains_on_images_whose_size_the_network_does_not_divide(tmp_path: Path) -> None:
    png_folder(tmp_path / "discs", size=45)
    root = Path(components.__file__).parent.parent
    command = [sys.executable, str(root / "examples" / "integration_example.py"), "discs", "--epochs", "1"]
    result = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(root)}, capture_output=True, text=True, check=False
    )
    assert "completed successfully" in result.stdout, result.stderr
