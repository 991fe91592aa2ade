"""`segtune checkpoints`: what it finds, what it says of damage, and that it changes nothing."""

import csv
import io
import json
from pathlib import Path

import pytest
from torch import nn
from typer.testing import CliRunner, Result

from components.checkpoints import CheckpointManager
from components.errors import CheckpointNotFoundError
from tests.commands import segtune_here
from tuning.cli import app


def called(*arguments: str) -> Result:
    """The command within this process, which is quicker; errors are raised."""
    return CliRunner().invoke(app, ["checkpoints", *arguments], catch_exceptions=False)


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
    rows = json.loads(called("list", str(folder), "--format", "json").stdout)
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert [row["metrics"] for row in rows] == [{"val_dice": 0.5}, {"val_dice": 0.7}, {"val_dice": 0.6}]
    assert all(row["path"].startswith("run/unet_epoch_epoch_00") and row["problem"] == "" for row in rows)
    table = list(csv.DictReader(io.StringIO(called("list", str(folder), "--format", "csv").stdout)))
    assert [(int(row["epoch"]), int(row["bytes"])) for row in table] == [(row["epoch"], row["bytes"]) for row in rows]
    text = called("list", str(folder / "run")).stdout
    assert "val_dice 0.7000" in text
    assert snapshot(folder) == before


def test_damage_is_named_and_gives_exit_code_1(folder: Path) -> None:
    assert called("verify", str(folder)).exit_code == 0
    victim = next((folder / "run").glob("*_002_*")) / "model.safetensors"
    content = bytearray(victim.read_bytes())
    content[-1] ^= 1
    victim.write_bytes(content)
    before = snapshot(folder)
    result = called("verify", str(folder), "--format", "json")
    assert result.exit_code == 1
    assert [bool(row["problem"]) for row in json.loads(result.stdout)] == [False, True, False]
    assert "3 checkpoints, 1 damaged" in result.stderr
    assert f"{victim}: its SHA-256 is not the manifest's" in result.stderr
    assert snapshot(folder) == before
    assert called("verify", str(next((folder / "run").glob("*_001_*")))).exit_code == 0


@pytest.mark.parametrize(("name", "message"), [("nowhere", "there is no such directory"), ("empty", "no checkpoint")])
def test_nothing_to_look_at_is_an_error(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "empty").mkdir()
    result = segtune_here("checkpoints", "list", str(tmp_path / name))
    assert result.returncode == 2
    assert message in result.stderr


def test_prune_keeps_the_best_and_the_latest_and_says_what_it_would_do(folder: Path) -> None:
    before = snapshot(folder)
    planned = called("prune", str(folder), "--keep", "1", "--dry-run")
    assert "_001_" in planned.stdout
    assert "would be removed" in planned.stdout
    assert {name for name in snapshot(folder) if "checkpoint" not in name} >= before.keys()
    done = called("prune", str(folder), "--keep", "1")
    assert done.exit_code == 0
    assert done.stdout.count("removed") == 1
    assert "1 changes" in done.stderr
    rows = json.loads(called("list", str(folder), "--format", "json").stdout)
    assert [row["epoch"] for row in rows] == [2, 3]
    assert called("prune", str(folder)).exit_code == 2
    lowest = called("prune", str(folder), "--keep", "1", "--lowest", "--dry-run")
    assert "_002_" in lowest.stdout


def test_repair_sets_damage_aside_clears_leftovers_and_says_so(folder: Path) -> None:
    run = folder / "run"
    (run / ".tmp-0123456789ab-unet_epoch_epoch_004").mkdir()
    victim = next(run.glob("*_002_*"))
    (victim / "state.json").write_text("{}")
    (run / "index.json").unlink()
    result = called("repair", str(folder))
    assert result.exit_code == 0
    assert f"{victim}: set aside: {victim / 'state.json'}: found 2 bytes" in result.stdout
    assert ".tmp-0123456789ab-unet_epoch_epoch_004: removed" in result.stdout
    assert [line["epoch"] for line in json.loads((run / "index.json").read_text())] == [1, 3]
    again = called("repair", str(folder))
    assert again.stdout == ""
    assert "nothing to do" in again.stderr
    assert called("verify", str(folder)).exit_code == 0


def test_explain_and_replay_read_the_log_of_decisions(folder: Path) -> None:
    rows = json.loads(called("explain", str(folder / "run"), "--format", "json").stdout)
    assert [(row["epoch"], row["save"], row["metric"]) for row in rows] == [
        (1, True, 0.5),
        (2, True, 0.7),
        (3, True, 0.6),
    ]
    text = called("explain", str(folder / "run")).stdout
    assert "end of epoch 2" in text
    assert "3 saves, " in text
    table = list(csv.DictReader(io.StringIO(called("replay", str(folder / "run"), "--format", "csv").stdout)))
    saves = {row["policy"]: int(row["saves"]) for row in table}
    assert list(saves) == ["best", "epoch", "adaptive", "interval of 5"]
    assert (saves["best"], saves["epoch"], saves["interval of 5"]) == (2, 3, 0)
    assert "s at risk, mean" in called("replay", str(folder / "run")).stdout
    with pytest.raises(CheckpointNotFoundError, match="no such log of decisions"):
        called("explain", str(folder))
