"""Pickles that would run code, dressed as checkpoints."""

import hashlib
import io
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from components.checkpoints import CheckpointManager
from components.checkpoints.record import manifest_bytes
from components.errors import CheckpointDamagedError, CheckpointError

FILES = ["model.safetensors", "state.safetensors", "state.json"]


class Malicious:
    """Leaves a trace where it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (self.trace,)


def plain_pickle(trace: Path) -> bytes:
    return pickle.dumps(Malicious(trace))


def torch_pickle(trace: Path) -> bytes:
    stream = io.BytesIO()
    torch.save({"weight": Malicious(trace)}, stream)
    return stream.getvalue()


PICKLES = [plain_pickle, torch_pickle]


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """The pickles do run where someone unpickles them; removed again."""
    trace = tmp_path / "trace"
    pickle.loads(plain_pickle(trace))  # noqa: S301 - our own
    assert trace.exists()
    trace.unlink()
    return trace


def two_epochs(folder: Path) -> tuple[CheckpointManager, Path]:
    """A manager, and the path of the best of two epochs."""
    manager = CheckpointManager(folder)
    for epoch in (1, 2):
        path = manager.save_checkpoint(nn.Linear(2, 1), epoch=epoch, metrics={"val_dice": 0.1 * epoch})
    assert path is not None
    return manager, path


def forge(path: Path, name: str, content: bytes) -> None:
    """Put the content in place of a file, and make the manifest say that it belongs there."""
    (path / name).write_bytes(content)
    manifest = json.loads((path / "manifest.json").read_text())
    del manifest["sha256"]
    manifest["files"][name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (path / "manifest.json").write_bytes(manifest_bytes(manifest))


@pytest.mark.fault(
    fault="a malicious pickle in place of a file of a checkpoint",
    outcome="refused, never executed; set aside; the next older checkpoint is loaded",
)
@pytest.mark.parametrize("make", PICKLES)
@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_pickle_in_place_of_a_file_is_refused_and_not_executed(
    tmp_path: Path, trace: Path, name: str, make: Any
) -> None:
    manager, path = two_epochs(tmp_path / "run")
    (path / name).write_bytes(make(trace))
    with pytest.raises(CheckpointDamagedError, match=name.replace(".", r"\.")):
        manager.load_checkpoint(path, nn.Linear(2, 1), rng=True)
    assert manager.load_checkpoint("best", nn.Linear(2, 1), rng=True).epoch == 1
    assert not trace.exists()


@pytest.mark.fault(
    fault="a malicious pickle under a forged manifest that answers to it",
    outcome="refused with an error, never executed",
)
@pytest.mark.parametrize("make", PICKLES)
@pytest.mark.parametrize("name", FILES)
def test_a_pickle_with_a_forged_manifest_is_refused_and_not_executed(
    tmp_path: Path, trace: Path, name: str, make: Any
) -> None:
    _, path = two_epochs(tmp_path / "run")
    forge(path, name, make(trace))
    manager = CheckpointManager(tmp_path / "run")
    model = nn.Linear(2, 1)
    before = model.weight.tolist()
    with pytest.raises(CheckpointDamagedError, match=name):
        manager.load_checkpoint(path, model, rng=True)
    assert model.weight.tolist() == before
    assert not trace.exists()


@pytest.mark.fault(
    fault="a file that cannot be parsed under a forged manifest that answers to it",
    outcome="set aside; the next older checkpoint is loaded",
)
@pytest.mark.parametrize("content", [b"\x80\x05.", b"[]", b""], ids=["pickle", "list", "empty"])
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_cannot_be_parsed_is_survived(tmp_path: Path, name: str, content: bytes) -> None:
    manager, path = two_epochs(tmp_path / "run")
    forge(path, name, content)
    assert manager.load_checkpoint("best", nn.Linear(2, 1)).epoch == 1


@pytest.mark.fault(
    fault="a malicious pickle as a file with the name of a checkpoint", outcome="refused by path, ignored at the start"
)
@pytest.mark.parametrize("make", PICKLES)
def test_a_pickle_named_as_a_checkpoint_is_refused_and_not_executed(tmp_path: Path, trace: Path, make: Any) -> None:
    two_epochs(tmp_path / "run")
    path = tmp_path / "run" / "model_best_epoch_003_20260101_120000"
    path.write_bytes(make(trace))
    manager = CheckpointManager(tmp_path / "run")
    assert manager.load_checkpoint("best", nn.Linear(2, 1)).epoch == 2
    with pytest.raises(CheckpointError):
        manager.load_checkpoint(path, nn.Linear(2, 1))
    assert not trace.exists()
