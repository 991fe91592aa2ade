"""The enhanced training system end to end: every snippet that its users know, and what stands behind it."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import components
from components import (
    CheckpointManager,
    TrainingManager,
    setup_enhanced_training,
)
from components.data.mni152 import mni152_slices
from components.errors import InvalidInputError
from components.training import small_unet
from tests.training_toys import CONFIG, batch, network

# The Python blocks of the summary of the system, in its order; only the imports are ours.
SNIPPETS = [
    """
    checkpoint_manager = CheckpointManager(
        save_strategy='best',      # 'best', 'epoch', 'interval', 'all'
        monitor_metric='val_dice', # Any metric name
        mode='max',               # 'min' or 'max'
        max_checkpoints=5         # Automatic cleanup
    )

    # Automatic best model detection
    checkpoint_path = checkpoint_manager.save_checkpoint(
        model, optimizer, scheduler, epoch, metrics
    )
    """,
    """
    loss_function = LossManager.create_loss_function({
        'type': 'combined',
        'dice_weight': 0.7,
        'bce_weight': 0.3
    })

    # Dynamic weight adjustment
    loss_scheduler = LossManager.create_loss_scheduler(
        loss_function, {'type': 'adaptive'}
    )
    """,
    """
    loss_function, checkpoint_manager, config = setup_enhanced_training(
        model_dir='./output',
        model_name='my_model'
    )

    # Or comprehensive manager
    training_manager = TrainingManager(
        model_dir='./output',
        model_name='my_model',
        config=enhanced_config
    )
    """,
    """
    loss_function, checkpoint_manager, _ = setup_enhanced_training(model_dir, model_name)
    checkpoint_manager.save_checkpoint(model, optimizer, scheduler, epoch, metrics)
    """,
    """
    training_manager = TrainingManager(model_dir, model_name, full_config)
    training_manager.setup_training(model, optimizer, scheduler)

    # Enhanced training loop
    for epoch in range(num_epochs):
        step_metrics = training_manager.train_step(model, batch, optimizer, device)
        val_metrics = training_manager.validate_step(model, val_batch, device)
        training_manager.log_epoch(epoch, step_metrics, val_metrics)
        training_manager.save_checkpoint(epoch, val_metrics)
    """,
]


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One thread, since several wait for each other where other tests compute too."""
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_every_snippet_of_the_summary_runs(tmp_path: Path) -> None:
    model = network()
    optimizer = torch.optim.AdamW(model.parameters())
    known: dict[str, Any] = {
        "model": model,
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.ConstantLR(optimizer),
        "epoch": 1,
        "metrics": {"val_dice": 0.7},
        "enhanced_config": {"loss": {"type": "combined", "dice_weight": 0.7, "bce_weight": 0.3}},
        "full_config": {"preset": "balanced", "loss": {"schedule": {"type": "adaptive"}}},
        "model_dir": "output/snippets",
        "model_name": "test_unet",
        "num_epochs": 3,
        "batch": batch(),
        "val_batch": batch(seed=1),
        "device": "cpu",
    }
    known |= {name: getattr(components, name) for name in components.__all__}
    for snippet in SNIPPETS:
        exec(textwrap.dedent(snippet), known)  # noqa: S102 - our own
    assert known["checkpoint_path"].name.startswith("model_best_epoch_001_")
    assert known["training_manager"].loss.weights.keys() == {"dice", "bce"}
    assert [row["epoch"] for row in known["training_manager"].history.rows] == [0, 1, 2]
    assert list((tmp_path / "output" / "snippets").glob("test_unet_best_epoch_*"))


def test_steps_of_ones_own_loop_learn_and_are_scored_over_all_cases_of_the_epoch() -> None:
    manager = TrainingManager("out", "unet", CONFIG, report=None)
    model = network()
    manager.setup_training(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    first = manager.train_step(model, batch(), optimizer)
    assert first["loss"] == pytest.approx(0.5 * first["loss_dice"] + 0.5 * first["loss_bce"], rel=1e-5)
    for _ in range(60):
        last = manager.train_step(model, batch(), optimizer)
    assert last["loss"] < 0.3 * first["loss"]
    assert last["train_loss"] > last["loss"]  # the epoch so far

    several = [manager.validate_step(model, batch(count, seed), "cpu") for count, seed in ((3, 1), (5, 2))]
    manager.log_epoch(1, last, several[-1])
    images, masks = (torch.cat(parts) for parts in zip(batch(3, 1), batch(5, 2), strict=True))
    assert manager.validate_step(model, (images, masks)) == pytest.approx(several[-1])
    assert {"train_loss", "train_dice", "val_loss", "val_dice", "weight_dice"} <= manager.history.rows[0].keys()


def test_fit_learns_saves_and_tells(capsys: pytest.CaptureFixture[str]) -> None:
    config = CONFIG | {"training": CONFIG["training"] | {"epochs": 30, "lr": 0.1}}
    manager = TrainingManager("out", "unet", config, tensorboard=True)
    manager.setup_training(network())
    rows = manager.fit([batch()], [batch(seed=1)])
    assert rows[-1]["val_dice"] > 0.9 > rows[0]["val_dice"]
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(
        r"epoch 30: train loss [\d.]+, val loss [\d.]+, Dice [\d.]+, saved unet_epoch_epoch_030_\S+; budget of 30 "
        "epochs reached",
        lines[-1],
    )
    assert list(Path("out/tensorboard/unet").glob("events.*"))
    progress = manager.progress()
    assert (progress["epochs"], progress["ended"]) == (30, "budget of 30 epochs reached")
    model = network(1)
    other = TrainingManager("out", "unet", CONFIG, report=None)
    other.setup_training(model)
    assert other.load_checkpoint("best").metrics["val_dice"] == max(row["val_dice"] for row in rows)


def test_fit_ends_early_by_its_patience() -> None:
    manager = TrainingManager("out", "unet", {"training": {"epochs": 50, "lr": 1e-9, "patience": 2}}, report=None)
    manager.setup_training(network())
    assert len(manager.fit([batch()], [batch(seed=1)])) == 3
    assert manager.progress()["ended"] == "no better Dice in 2 epochs"


SCRIPT = """
import torch
from components import TrainingManager
from tests.training_toys import CONFIG, batch, network
from torch.utils.data import DataLoader, TensorDataset

torch.set_num_threads(1)
manager = TrainingManager("run", "unet", CONFIG, report=lambda line: print(line, flush=True))
manager.setup_training(network())
loader = DataLoader(TensorDataset(*batch(12)), batch_size=4, shuffle=True)
manager.fit(loader, [batch(seed=1)])
"""


def test_a_killed_fit_goes_on_and_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    root = Path(components.__file__).parent.parent
    environment = os.environ | {"PYTHONPATH": str(root)}
    for name, kills in (("whole", 0), ("killed", 2)):
        folder = tmp_path / name
        folder.mkdir()
        for number in range(kills + 1):
            with subprocess.Popen(
                [sys.executable, "-c", SCRIPT], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
            ) as process:
                assert process.stdout is not None
                if number < kills:
                    process.stdout.readline()
                    process.stdout.readline()
                    process.send_signal(signal.SIGKILL)
                process.stdout.read()
    rows = [
        [json.loads(line) for line in (tmp_path / name / "run/unet_history.jsonl").read_text().splitlines()]
        for name in ("whole", "killed")
    ]
    for row in (*rows[0], *rows[1]):
        assert row.pop("seconds") > 0
    assert rows[0] == rows[1]
    assert [row["epoch"] for row in rows[0]] == [1, 2, 3, 4, 5, 6]
    weights = []
    for name in ("whole", "killed"):
        model = network(9)
        CheckpointManager(tmp_path / name / "run", "unet").load_checkpoint("latest", model)
        weights.append(torch.cat([weight.detach().flatten() for weight in model.parameters()]))
    assert torch.equal(*weights)


def test_fit_trains_on_real_data() -> None:
    pytest.importorskip("nilearn")
    data = mni152_slices()
    training = {"epochs": 8, "batch": 4, "lr": 1e-2, "augment": "standard"}
    config = {"training": training, "loss": {"mode": data.mode}}
    manager = TrainingManager("out", "brain", config, report=None)
    manager.setup_training(small_unet(data.in_channels, len(data.classes)))
    rows = manager.fit(data)
    assert rows[-1]["val_dice"] > rows[0]["val_dice"] + 0.1


def test_a_history_survives_a_torn_line_and_is_exported_and_drawn() -> None:
    manager = TrainingManager("out", "unet", CONFIG, report=None)
    manager.setup_training(network())
    manager.fit([batch()], [batch(seed=1)])
    path = Path("out/unet_history.jsonl")
    path.write_text(path.read_text() + '{"epoch": 7, "val_')
    again = TrainingManager("out", "unet", CONFIG, report=None)
    assert [row["epoch"] for row in again.history.rows] == [1, 2, 3, 4, 5, 6]
    with again.export_history("history.csv").open() as stream:
        table = list(csv.DictReader(stream))
    assert [float(row["val_dice"]) for row in table] == [row["val_dice"] for row in again.history.rows]
    assert json.loads(again.export_history("history.json").read_text()) == again.history.rows
    assert "val_dice" in again.plot_history("history.html").read_text(encoding="utf-8")
    with pytest.raises(InvalidInputError, match=r"\.csv or \.json"):
        again.export_history("history.xlsx")


def test_what_is_not_set_up_says_so() -> None:
    manager = TrainingManager("out", "unet", report=None)
    with pytest.raises(InvalidInputError, match="Hint: call setup_training first"):
        manager.fit([batch()], [batch()])
    with pytest.raises(InvalidInputError, match="Hint: call setup_training first"):
        manager.save_checkpoint(1, {"val_dice": 0.5})
    manager.setup_training(network())
    with pytest.raises(InvalidInputError, match="nothing to validate on"):
        manager.fit([batch()])


def test_one_line_sets_up_an_existing_script() -> None:
    loss_function, manager, config = setup_enhanced_training("out", "unet", {"loss": {"weights": {"dice": 1.0}}})
    model, optimizer = network(), None
    loader = DataLoader(TensorDataset(*batch()), batch_size=4)
    for images, masks in loader:
        assert loss_function(model(images), masks).requires_grad
    path = manager.save_checkpoint(model, optimizer, None, 1, {"val_dice": 0.5})
    assert path is not None
    assert path.parent == Path("out")
    assert config["loss"]["weights"] == {"dice": 1.0}


def test_the_example_trains_and_says_what_it_did(tmp_path: Path) -> None:
    pytest.importorskip("nilearn")
    root = Path(components.__file__).parent.parent
    result = subprocess.run(
        [sys.executable, str(root / "examples" / "integration_example.py"), "--epochs", "2"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    expected = r"""🚀 Enhanced Training Integration Example
=+
✅ Enhanced loss function created
✅ Enhanced checkpoint manager created
✅ Enhanced training setup completed for test_unet
Training on device: cpu
Checkpoint saved: test_unet_best_epoch_001_\d{8}_\d{6}
Epoch 1/2: Train Loss: 0\.\d{4}, Train Dice: 0\.\d{4}, Val Loss: 0\.\d{4}, Val Dice: (0\.\d{4})
  ✅ Checkpoint saved
  🎯 New best validation dice: \1
(.*\n)*🎉 Training completed!
Best validation dice: 0\.\d{4}
Total checkpoints saved: [12]
✅ Integration example completed successfully!
"""
    assert re.fullmatch(expected, result.stdout), result.stdout
