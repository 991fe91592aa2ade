"""Files of other programs: state dicts as trainers nest them are read, code in them never runs."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from components.checkpoints import CheckpointManager
from components.checkpoints.foreign import read_foreign
from components.errors import CheckpointDamagedError, CheckpointError, CheckpointNotFoundError


def filled(value: float) -> nn.Sequential:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    for parameter in model.parameters():
        nn.init.constant_(parameter, value)
    return model


def values(model: nn.Module) -> set[float]:
    return {float(value) for parameter in model.parameters() for value in parameter.detach().reshape(-1)}


WEIGHTS = filled(3.0).state_dict()
FORMS: dict[str, Any] = {
    "bare": WEIGHTS,
    "state_dict": {"state_dict": WEIGHTS, "epoch": 7},
    "model_state_dict": {"epoch": 7, "model_state_dict": WEIGHTS, "loss": 0.5},
    "model": {"model": WEIGHTS, "epoch": 7},
    "of DataParallel": {"state_dict": {f"module.{name}": value for name, value in WEIGHTS.items()}, "epoch": 7},
    "of torch.compile": {f"_orig_mod.{name}": value for name, value in WEIGHTS.items()},
}


@pytest.mark.parametrize("form", FORMS)
def test_a_state_dict_is_read_as_trainers_nest_it(tmp_path: Path, form: str) -> None:
    torch.save(FORMS[form], tmp_path / "model.pth")
    model = filled(0.0)
    record = CheckpointManager(tmp_path / "run").load_checkpoint(tmp_path / "model.pth", model)
    assert values(model) == {3.0}
    assert record.epoch == (7 if "epoch" in FORMS[form] else 0)
    assert (record.kind, record.metrics, record.path) == ("foreign", {}, tmp_path / "model.pth")


def test_a_safetensors_file_is_read(tmp_path: Path) -> None:
    save_file(WEIGHTS, tmp_path / "model.safetensors")
    model = filled(0.0)
    CheckpointManager(tmp_path / "run").load_checkpoint(str(tmp_path / "model.safetensors"), model)
    assert values(model) == {3.0}


def test_an_optimizer_is_filled_where_the_file_has_one(tmp_path: Path) -> None:
    model = filled(1.0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.25, momentum=0.5)
    torch.save({"model_state_dict": WEIGHTS, "optimizer_state_dict": optimizer.state_dict()}, tmp_path / "a.pth")
    torch.save(WEIGHTS, tmp_path / "b.pth")
    manager, again = CheckpointManager(tmp_path / "run"), torch.optim.SGD(model.parameters(), lr=0.1)
    manager.load_checkpoint(tmp_path / "a.pth", model, again)
    assert again.param_groups[0]["lr"] == 0.25
    with pytest.raises(CheckpointError, match=r"b\.pth: holds no optimizer. Hint: load without it"):
        manager.load_checkpoint(tmp_path / "b.pth", filled(0.0), again)
    with pytest.raises(CheckpointError, match="holds no rng"):
        manager.load_checkpoint(tmp_path / "b.pth", filled(0.0), rng=True)


def test_weights_of_another_network_are_refused_and_nothing_is_changed(tmp_path: Path) -> None:
    torch.save({"other.weight": torch.ones(2)}, tmp_path / "model.pth")
    model = filled(0.0)
    with pytest.raises(CheckpointError, match=r"misses 0\.bias"):
        CheckpointManager(tmp_path / "run").load_checkpoint(tmp_path / "model.pth", model)
    assert values(model) == {0.0}


class Payload:
    """Its pickle creates a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


@pytest.mark.fault(
    fault="a malicious pickle in a `.pth` file of another program", outcome="refused by name, never executed"
)
@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_is_refused_and_never_runs(tmp_path: Path, zipped: bool) -> None:  # noqa: FBT001
    evidence, path = tmp_path / "evidence", tmp_path / "model.pth"
    torch.save({"state_dict": WEIGHTS, "more": Payload(evidence)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointDamagedError, match="no tensors, or other things besides") as caught:
        CheckpointManager(tmp_path / "run").load_checkpoint(path, filled(0.0))
    assert not evidence.exists()
    assert "weights_only" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be read"),
        (b"PK\x03\x04 cut short", "cannot be read"),
        (b"no torch file at all", "cannot be read"),
    ],
)
def test_what_is_no_torch_file_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "model.pth").write_bytes(content)
    with pytest.raises(CheckpointDamagedError, match=message):
        read_foreign(tmp_path / "model.pth")


@pytest.mark.parametrize("content", [[1, 2], {"state_dict": {"a": 1}}, {"ema_state_dict": WEIGHTS}])
def test_what_is_no_state_dict_is_named(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "model.pth")
    with pytest.raises(CheckpointDamagedError, match="no plain state dict"):
        read_foreign(tmp_path / "model.pth")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointNotFoundError, match=r"nowhere\.pth: no such file"):
        read_foreign(tmp_path / "nowhere.pth")
