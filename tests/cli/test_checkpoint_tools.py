"""`segtune checkpoints`: what it finds, what it says of damage, and that it changes nothing."""

import csv
import io
import json
from pathlib import Path

import pytest
from torch import nn

from components.checkpoints import CheckpointManager
from tests.cli.test_cli import segtune


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    manager = CheckpointManager(tmp_path / "run", "unet", save_strategy="epoch")
    for epoch, dice in enumerate((0.5, 0.7, 0.6), start=1):
        manager.save_checkpoint(nn.Linear(4, 4), epoch=epoch, metrics={"val_dice": dice})
    return tmp_path


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_list_is_the_same_in_every_format(folder: Path) -> None:
    before = snapshot(folder)
    rows = json.loads(segtune("checkpoints", "list", str(folder), "--format", "json").stdout)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert [row["metrics"] for row in rows] == [{"val_dice": 0.5}, {"val_dice": 0.7}, {"val_dice": 0.6}]
    assert all(row["path"].startswith("run/unet_epoch_epoch_00") and row["problem"] == "" for row in rows)
    table = list(csv.DictReader(io.StringIO(segtune("checkpoints", "list", str(folder), "--format", "csv").stdout)))
    assert [(int(row["epoch"]), int(row["bytes"])) for row in table] == [(row["epoch"], row["bytes"]) for row in rows]
    text = segtune("checkpoints", "list", str(folder / "run")).stdout
    assert "val_dice 0.7000" in text
    assert snapshot(folder) == before


def test_damage_is_named_and_gives_exit_code_1(folder: Path) -> None:
    assert segtune("checkpoints", "verify", str(folder)).returncode == 0
    victim = next((folder / "run").glob("*_002_*")) / "model.safetensors"
    content = bytearray(victim.read_bytes())
    content[-1] ^= 1
    victim.write_bytes(content)
    before = snapshot(folder)
    result = segtune("checkpoints", "verify", str(folder), "--format", "json")
    assert result.returncode == 1
    assert [bool(row["problem"]) for row in json.loads(result.stdout)] == [False, True, False]
    assert "3 checkpoints, 1 damaged" in result.stderr
    assert f"{victim}: its SHA-256 is not the manifest's" in result.stderr
    assert snapshot(folder) == before
    assert segtune("checkpoints", "verify", str(next((folder / "run").glob("*_001_*")))).returncode == 0


@pytest.mark.parametrize(("name", "message"), [("nowhere", "there is no such directory"), ("empty", "no checkpoint")])
def test_nothing_to_look_at_is_an_error(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    result = segtune("checkpoints", "list", str(tmp_path / name))
    assert result.returncode == 2
    assert message in result.stderr
