"""What a checkpoint holds, that it comes back exactly, and that damage is noticed."""

import json
import math
import pickletools
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from components.checkpoints import (
    CheckpointRecord,
    TrainingState,
    restore_checkpoint,
    verify_checkpoint,
    write_checkpoint,
)
from components.checkpoints.record import manifest_bytes
from components.checkpoints.tree import join_tree, split_tree
from components.errors import CheckpointDamagedError, CheckpointError, CheckpointNotFoundError, InvalidInputError

Leaves = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False) | st.text(max_size=5)
Trees = st.recursive(
    Leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=4) | st.integers(0, 9), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(tree=Trees)
@settings(max_examples=200, deadline=None)
def test_nested_state_comes_back_exactly(tree: Any) -> None:
    tensors: dict[str, torch.Tensor] = {}
    skeleton = json.loads(json.dumps(split_tree(tree, tensors, "state")))
    again = join_tree(skeleton, tensors)
    assert again == tree
    assert repr(again) == repr(tree)  # 1 and True, 1 and 1.0, list and tuple are told apart


def test_what_cannot_be_saved_without_pickle_is_named() -> None:
    with pytest.raises(CheckpointError, match="state 'state/a/1' holds a set"):
        split_tree({"a": [1, {2}]}, {}, "state")


class Tied(nn.Module):
    """Weights that share storage, a view that is not contiguous, a scalar, and state that is no tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.second = nn.Linear(3, 3)
        self.second.weight = self.first.weight
        self.register_buffer("turned", torch.arange(6.0).reshape(2, 3).t())
        self.register_buffer("scalar", torch.tensor(1.5))
        self.note = "fresh"

    def get_extra_state(self) -> dict[str, Any]:
        return {"note": self.note}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.note = state["note"]


def parts(optimizer: str = "adamw", steps: int = 2) -> tuple[nn.Module, torch.optim.Optimizer, Any]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 1))
    kinds: dict[str, Any] = {"adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
    chosen = kinds[optimizer](model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.StepLR(chosen, 1)
    train(model, chosen, schedule, steps)
    return model, chosen, schedule


def train(model: nn.Module, optimizer: torch.optim.Optimizer, schedule: Any, steps: int) -> list[float]:
    losses = []
    for _ in range(steps):
        inputs = torch.randn(5, 4) + random.random() + float(np.random.rand())  # noqa: NPY002 - the global generator is what is restored
        loss = model(inputs).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


def write(folder: Path, state: TrainingState, **options: Any) -> CheckpointRecord:
    return write_checkpoint(folder / "one", state, epoch=3, metrics={"val_dice": 0.5}, kind="best", **options)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("steps", [0, 2])
def test_a_resumed_training_equals_the_uninterrupted_one_bit_for_bit(
    tmp_path: Path, optimizer: str, steps: int
) -> None:
    model, chosen, schedule = parts(optimizer, steps)
    write(tmp_path, TrainingState(model, chosen, schedule))
    whole = train(model, chosen, schedule, 4)

    again, other, later = parts(optimizer, 1)
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002
    random.seed(99)
    restore_checkpoint(tmp_path / "one", TrainingState(again, other, later))
    assert train(again, other, later, 4) == whole
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))


def test_moments_come_back_in_the_memory_layout_of_their_weights(tmp_path: Path) -> None:
    model = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    model(torch.ones(1, 3, 5, 5)).sum().backward()
    optimizer.step()
    moment = optimizer.state[model.weight]["exp_avg"].clone()
    write(tmp_path, TrainingState(model, optimizer))
    restore_checkpoint(tmp_path / "one", TrainingState(model, optimizer))
    found = optimizer.state[model.weight]["exp_avg"]
    assert found.stride() == model.weight.stride() == (27, 1, 9, 3)
    assert torch.equal(found, moment)


def test_tied_strided_and_scalar_tensors_and_extra_state_come_back(tmp_path: Path) -> None:
    model = Tied()
    model.note = "trained"
    write(tmp_path, TrainingState(model, extra={"position": (3, torch.tensor([1, 2]))}))
    again, state = Tied(), TrainingState(None, rng=False)
    restore_checkpoint(tmp_path / "one", TrainingState(again))
    restore_checkpoint(tmp_path / "one", state)
    assert again.note == "trained"
    assert torch.equal(again.second.weight, model.first.weight)
    assert torch.equal(again.get_buffer("turned"), model.get_buffer("turned"))
    assert state.extra["position"][0] == 3
    assert torch.equal(state.extra["position"][1], torch.tensor([1, 2]))


def test_the_record_says_what_was_written(tmp_path: Path) -> None:
    metrics = {"val_dice": 0.5, "bad": math.nan, "worse": -math.inf, "epoch": 3, "note": "x"}
    write_checkpoint(
        tmp_path / "a",
        TrainingState(Tied()),
        epoch=3,
        metrics=metrics,
        kind="best",
        metadata={"trial": 7},
        durable=False,
    )
    record = verify_checkpoint(tmp_path / "a")
    assert (record.epoch, record.kind, record.metadata["trial"]) == (3, "best", 7)
    assert record.metadata["torch"] == torch.__version__
    assert math.isnan(record.metrics.pop("bad"))
    assert record.metrics == {"val_dice": 0.5, "worse": -math.inf, "epoch": 3, "note": "x"}
    assert record.bytes == sum(path.stat().st_size for path in (tmp_path / "a").iterdir())
    json.loads((tmp_path / "a" / "manifest.json").read_text(), parse_constant=pytest.fail)  # strict JSON


def test_nothing_is_pickled(tmp_path: Path) -> None:
    model, optimizer, schedule = parts()
    write(tmp_path, TrainingState(model, optimizer, schedule))
    assert {path.suffix for path in (tmp_path / "one").iterdir()} == {".safetensors", ".json"}
    for path in (tmp_path / "one").iterdir():
        with pytest.raises(Exception):  # noqa: B017, PT011 - whatever pickle says of it
            list(pickletools.genops(path.read_bytes()))


def test_metrics_of_another_epoch_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="metrics of epoch 2 do not belong to weights of epoch 3"):
        write_checkpoint(tmp_path / "a", TrainingState(Tied()), epoch=3, metrics={"epoch": 2}, kind="best")


def test_a_part_that_the_checkpoint_lacks_is_named_and_nothing_is_changed(tmp_path: Path) -> None:
    write(tmp_path, TrainingState(parts()[0]))
    model, optimizer, _ = parts(steps=1)
    before = [parameter.clone() for parameter in model.parameters()]
    with pytest.raises(CheckpointError, match="holds no optimizer"):
        restore_checkpoint(tmp_path / "one", TrainingState(model, optimizer))
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


@pytest.mark.parametrize("name", ["model.safetensors", "state.safetensors", "state.json", "manifest.json"])
@pytest.mark.parametrize("damage", ["truncate", "flip", "remove", "empty", "symlink"])
def test_any_damage_to_any_file_is_noticed(tmp_path: Path, name: str, damage: str) -> None:
    model, optimizer, schedule = parts()
    write(tmp_path, TrainingState(model, optimizer, schedule))
    path = tmp_path / "one" / name
    content = bytearray(path.read_bytes())
    if damage == "remove":
        path.unlink()
    elif damage == "symlink":
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
    else:
        middle = len(content) // 2
        content[middle] ^= 0xFF
        path.write_bytes(bytes({"truncate": content[:middle], "flip": content, "empty": b""}[damage]))
    with pytest.raises(CheckpointError) as caught:
        restore_checkpoint(tmp_path / "one", TrainingState(model))
    assert str(tmp_path / "one") in str(caught.value)


def test_a_manifest_that_points_elsewhere_or_is_of_another_version_is_refused(tmp_path: Path) -> None:
    write(tmp_path, TrainingState(Tied()))
    path = tmp_path / "one" / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["sha256"]
    path.write_bytes(manifest_bytes(manifest | {"files": {"../secret": {"bytes": 0, "sha256": ""}}}))
    with pytest.raises(CheckpointDamagedError, match=r"names '\.\./secret', which is no plain file name"):
        verify_checkpoint(tmp_path / "one")
    path.write_bytes(manifest_bytes(manifest | {"files": {}}))
    with pytest.raises(CheckpointDamagedError, match=r"not those of the manifest: model\.safetensors"):
        verify_checkpoint(tmp_path / "one")
    path.write_bytes(manifest_bytes(manifest | {"format": 99}))
    with pytest.raises(CheckpointError, match="found format version 99"):
        verify_checkpoint(tmp_path / "one")
    with pytest.raises(CheckpointNotFoundError, match=r"no manifest\.json"):
        verify_checkpoint(tmp_path / "none")


def test_what_the_system_leaves_in_a_folder_does_no_harm(tmp_path: Path) -> None:
    write(tmp_path, TrainingState(Tied()))
    (tmp_path / "one" / ".DS_Store").touch()
    assert verify_checkpoint(tmp_path / "one").epoch == 3
