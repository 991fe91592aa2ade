"""Files of a checkpoint are damaged: while the manager that saved it runs, or before the next start."""

import logging
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from components.checkpoints import CheckpointManager, inspect_checkpoints, verify_checkpoint
from components.errors import CheckpointError

FILES = ["model.safetensors", "state.safetensors", "state.json", "manifest.json"]
_FLIPS_SAMPLED, _FLIPS = 8, 1000
Damage = Callable[[Path, Path], None]  # of a file; the other is the same file of an older checkpoint


def open_manager(folder: Path) -> CheckpointManager:
    return CheckpointManager(folder, save_strategy="epoch")


def of_epoch(folder: Path, epoch: int) -> Path:
    return next(folder.glob(f"model_epoch_epoch_{epoch:03d}_*"))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Epochs 1 to 3, of which the last is the best; no two have a file in common."""
    folder = tmp_path_factory.mktemp("saved") / "run"
    manager = open_manager(folder)
    for epoch in (1, 2, 3):
        torch.rand(1)
        model = nn.Linear(4, 4)
        nn.init.constant_(model.weight, epoch)
        manager.save_checkpoint(model, epoch=epoch, metrics={"val_dice": 0.1 * epoch}, extra={"epoch": epoch})
    return folder


@pytest.fixture
def run(saved: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(saved, tmp_path / "run")


def cut_to(share: float) -> Damage:
    def damage(path: Path, _: Path) -> None:
        os.truncate(path, int(share * path.stat().st_size))

    return damage


def cut_the_end(path: Path, _: Path) -> None:
    os.truncate(path, path.stat().st_size - 2)  # a manifest's last byte is a line break, which says nothing


def lengthen(path: Path, _: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def flip(path: Path, _: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def remove(path: Path, _: Path) -> None:
    path.unlink()


def swap(path: Path, other: Path) -> None:
    content = other.read_bytes()
    assert path.read_bytes() != content
    path.write_bytes(content)


def put_a_link(path: Path, _: Path) -> None:
    elsewhere = path.parent.parent / f"elsewhere-{path.name}"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def put_a_folder(path: Path, _: Path) -> None:
    path.unlink()
    path.mkdir()


def put_a_pipe(path: Path, _: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def check(run: Path, name: str, damage: Damage, caplog: pytest.LogCaptureFixture, *, named: str = "") -> None:
    """A file of epoch 3 is damaged: every reader names it, epoch 2 is loaded instead, and training goes on."""
    named = named or name
    going_on = open_manager(run)
    restarted = shutil.copytree(run, run.with_name("restarted"))
    for place in (run, restarted):
        damage(of_epoch(place, 3) / name, of_epoch(place, 2) / name)
    victim = of_epoch(run, 3)
    with pytest.raises(CheckpointError) as caught:
        verify_checkpoint(victim)
    assert named in str(caught.value)
    assert [bool(found.problem) for found in inspect_checkpoints(run, verified=True)] == [False, False, True]
    for place, which, start in ((run, "best", False), (restarted, "latest", True)):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            manager = open_manager(place) if start else going_on
            model = nn.Linear(4, 4)
            assert manager.load_checkpoint(which, model).epoch == 2
        (message,) = [record.message for record in caplog.records]
        assert message.startswith(f"set aside a damaged checkpoint as {place / f'.damaged-{victim.name}'}: ")
        assert named in message
        assert float(model.weight.detach()[0, 0]) == 2
        assert [record.epoch for record in manager.list_checkpoints()] == [1, 2]
        assert (place / f".damaged-{victim.name}").is_dir()
        assert manager.save_checkpoint(model, epoch=4, metrics={"val_dice": 0.1}) is not None


_OUTCOME = "noticed, the file named; the checkpoint set aside with a message; the next older one is loaded"


@pytest.mark.fault(fault="a file cut to nothing, to a half, by two bytes", outcome=_OUTCOME)
@pytest.mark.parametrize("damage", [cut_to(0), cut_to(0.5), cut_the_end], ids=["nothing", "half", "by two bytes"])
@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_noticed_named_and_survived(
    run: Path, name: str, damage: Damage, caplog: pytest.LogCaptureFixture
) -> None:
    check(run, name, damage, caplog)


@pytest.mark.fault(fault="a bit flipped, a byte added, a file removed or swapped with an older one", outcome=_OUTCOME)
@pytest.mark.parametrize("damage", [flip, lengthen, remove, swap])
@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_is_noticed_named_and_survived(
    run: Path, name: str, damage: Damage, caplog: pytest.LogCaptureFixture
) -> None:
    # Of an older checkpoint's manifest, the first file that does not answer to it is named.
    check(run, name, damage, caplog, named=FILES[0] if name == "manifest.json" and damage is swap else name)


@pytest.mark.fault(fault="a symbolic link, a folder or a named pipe in place of a file", outcome=_OUTCOME)
@pytest.mark.parametrize("damage", [put_a_link, put_a_folder, put_a_pipe])
@pytest.mark.parametrize("name", FILES)
def test_what_is_no_plain_file_is_noticed_named_and_survived(
    run: Path, name: str, damage: Damage, caplog: pytest.LogCaptureFixture
) -> None:
    check(run, name, damage, caplog)


@pytest.mark.fault(fault="a file or a folder too many in a checkpoint", outcome=_OUTCOME)
@pytest.mark.parametrize("put", [Path.touch, Path.mkdir], ids=["file", "folder"])
def test_what_does_not_belong_is_noticed_named_and_survived(
    run: Path, put: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    check(run, "stray", lambda path, _: put(path), caplog)


@pytest.mark.fault(fault="a symbolic link in place of a whole checkpoint", outcome="refused, set aside, survived")
def test_a_checkpoint_that_became_a_link_is_noticed_named_and_survived(
    run: Path, caplog: pytest.LogCaptureFixture
) -> None:
    victim = of_epoch(run, 3)
    victim.rename(run.with_name("elsewhere"))
    victim.symlink_to(run.with_name("elsewhere"))
    with caplog.at_level(logging.WARNING):
        assert open_manager(run).load_checkpoint("best").epoch == 2
    assert f"{victim}: is a symbolic link" in caplog.text
    assert verify_checkpoint(run.with_name("elsewhere")).epoch == 3


def test_every_checkpoint_damaged_is_an_error_and_training_can_start_anew(run: Path) -> None:
    for epoch in (1, 2, 3):
        flip(of_epoch(run, epoch) / "model.safetensors", run)
    manager = open_manager(run)
    with pytest.raises(CheckpointError, match="there is no valid best checkpoint"):
        manager.load_checkpoint("best")
    assert manager.save_checkpoint(nn.Linear(4, 4), epoch=1, metrics={"val_dice": 0.1}) is not None
    assert len(list(run.glob(".damaged-*"))) == 3


def flip_at_random(run: Path, name: str, count: int) -> None:
    victim = of_epoch(run, 3)
    before, content, chance = verify_checkpoint(victim), (victim / name).read_bytes(), random.Random(name)
    for _ in range(count):
        flipped, place = bytearray(content), chance.randrange(8 * len(content))
        flipped[place // 8] ^= 1 << place % 8
        (victim / name).write_bytes(flipped)
        try:
            record = verify_checkpoint(victim)
        except CheckpointError as error:
            assert name in str(error)  # noqa: PT017 - see below
            continue
        # The seventeenth digit of a number may not matter: then what the manifest says is the same.
        assert name == "manifest.json"
        assert replace(record, manifest_sha256=before.manifest_sha256) == before


_FLIP = "one bit flipped at random"
_NOTICED = "noticed, the file named (or what the manifest says is unchanged)"


@pytest.mark.fault(fault=_FLIP, outcome=_NOTICED, cases=_FLIPS_SAMPLED)
@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_is_noticed(run: Path, name: str) -> None:
    flip_at_random(run, name, _FLIPS_SAMPLED)


@pytest.mark.faults
@pytest.mark.fault(fault=_FLIP, outcome=_NOTICED, cases=_FLIPS)
@pytest.mark.parametrize("name", FILES)
def test_each_of_many_flipped_bits_is_noticed(run: Path, name: str) -> None:
    flip_at_random(run, name, _FLIPS)
