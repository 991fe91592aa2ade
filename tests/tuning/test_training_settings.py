"""What the settings of `training` do in a trial, and that a resumed trial goes on under them."""

import shutil
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import Tensor

from components.checkpoints import verify_checkpoint
from components.deployment.bundle import WEIGHTS
from tests.folders import png_folder
from tuning import Study, StudyConfig
from tuning.building import resolve_precision
from tuning.checks import check_study
from tuning.data import load_data
from tuning.errors import StudyConfigError
from tuning.network_task import NetworkTask
from tuning.store import TuneStore
from tuning.trial import Shared, trial_epochs

Make = Callable[..., StudyConfig]


@pytest.fixture
def make(study_config: Make, tmp_path: Path) -> Make:
    png_folder(tmp_path / "discs")

    def made(**training: Any) -> StudyConfig:
        return study_config(
            data={"root": str(tmp_path / "discs"), "build": None},
            training={"epochs": 4, "precision": "fp32"} | training,
            search={"trials": 1, "baselines": False},
            checkpoint={"strategy": "epoch"},
        )

    return made


def train(config: StudyConfig, folder: Path, epochs: int | None = None) -> list[tuple[dict[str, Any], str]]:
    """Rows of trial 0 from the last checkpoint kept in `folder` on, each with why the trial has ended."""
    folder.mkdir(exist_ok=True)
    records = [verify_checkpoint(path) for path in sorted(folder.glob("epoch_*"))]
    store = TuneStore(folder / "staging", records)
    shared = Shared(config, NetworkTask(load_data(config.data)), str(folder))
    rows = []
    for row, ended, _ in islice(trial_epochs({"number": 0, "overrides": {}, "checkpoints": []}, shared, store), epochs):
        if store.staged:
            shutil.copytree(store.staged.path, folder / f"epoch_{row['epoch']:03d}")
        rows.append(({name: value for name, value in row.items() if name != "seconds"}, ended))
    return rows


SETTINGS = [
    {"augment": "standard"},
    {"augment": "standard", "augment_strength": 0.5, "mirror": [1]},
    {"augment": "strong"},
    {"augment": "tests.tuning.test_training_settings:darker"},
    {"accumulate": 2, "clip_norm": 0.5, "warmup": 2, "lr_schedule": "cosine"},
    {"step": "tests.tuning.test_training_settings:noisy"},
    {"steps": 3, "accumulate": 2},
    {"lr_schedule": "trapezoid", "optimizer": "torch.optim:RAdam", "optimizer_arguments": {"betas": [0.8, 0.9]}},
    {"precision": "bf16"},
    {"precision": "fp16", "clip_norm": 1.0},
]


@pytest.mark.parametrize("training", SETTINGS, ids=lambda training: " ".join(map(str, training.values())))
def test_a_resumed_trial_equals_an_uninterrupted_one(make: Make, tmp_path: Path, training: dict[str, Any]) -> None:
    config = make(**training)
    whole = train(config, tmp_path / "whole")
    assert len(whole) == 4
    assert train(config, tmp_path / "parts", 2) + train(config, tmp_path / "parts") == whole
    assert whole != train(make(), tmp_path / "plain")


def darker() -> Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]:
    """An augmentation of one's own."""

    def apply(images: Tensor, masks: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return images - torch.rand(1, generator=generator), masks

    return apply


def noisy() -> Callable[..., Tensor]:
    """A step of one's own."""

    def step(model: Any, images: Tensor, target: Tensor, loss: Any) -> Tensor:
        return loss(model(images + 0.1 * torch.randn_like(images)).float(), target)  # type: ignore[no-any-return]

    return step


def without_loss() -> Callable[..., None]:
    """Forgets to return."""
    return lambda *_: None


def test_a_step_that_returns_no_loss_is_refused_before_anything_starts(make: Make) -> None:
    config = make(step="tests.tuning.test_training_settings:without_loss")
    with pytest.raises(StudyConfigError, match=r"^training.step: .*at a first batch returned no loss. Hint"):
        check_study(config, load_data(config.data)[0])


def test_a_trial_without_a_gain_ends_early_and_says_so_also_when_resumed(make: Make, tmp_path: Path) -> None:
    config = make(epochs=50, patience=2, lr=1e-9)
    whole = train(config, tmp_path / "whole")
    assert len(whole) < 50
    assert [ended for _, ended in whole] == [""] * (len(whole) - 1) + ["no better Dice in 2 epochs"]
    assert train(config, tmp_path / "parts", 1) + train(config, tmp_path / "parts") == whole
    assert train(config, tmp_path / "parts") == []  # it had ended


def test_a_trial_ends_when_its_minutes_have_passed(make: Make, tmp_path: Path) -> None:
    rows = train(make(max_minutes=1e-6), tmp_path / "trial")
    assert [ended for _, ended in rows] == ["1e-06 minutes have passed"]


@pytest.mark.usefixtures("ray_session")
def test_why_a_trial_ended_and_what_auto_became_are_recorded(make: Make, folder: Path) -> None:
    config = make(epochs=50, patience=1, lr=1e-9, precision="auto")
    (entry,) = Study(config, folder).run().trials
    assert entry.state == "complete"
    assert entry.stop == {"state": "complete", "cause": "no better Dice in 1 epochs"}
    settings = yaml.safe_load((folder / "study.yaml").read_text())["settings"]["training"]
    assert settings["precision"] == resolve_precision(config).training.precision != "auto"
    study = folder / "study.yaml"
    other = {"bf16": "fp32", "fp32": "bf16"}[settings["precision"]]  # as if another machine had made it
    study.write_text(study.read_text().replace(f"precision: {settings['precision']}", f"precision: {other}"))
    assert len(Study(config, folder).run().trials) == 1  # goes on with what was recorded


def not_callable() -> int:
    """No augmentation."""
    return 3


def without_masks() -> Callable[..., Tensor]:
    """Forgets the masks."""
    return lambda images, *_: images


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("standart", r"training.augment: found 'standart', .*did you mean standard"),
        ("tests.nowhere:darker", r"training.augment: .*tests.nowhere"),
        ("tests.tuning.test_training_settings:not_callable", "returned int, nothing to be called"),
        ("tests.tuning.test_training_settings:without_masks", "augment: found Tensor for images"),
    ],
)
def test_an_augmentation_that_is_none_is_refused_before_anything_starts(make: Make, name: str, message: str) -> None:
    config = make(augment=name)
    with pytest.raises(StudyConfigError, match=message):
        check_study(config, load_data(config.data)[0])


def test_a_warm_up_of_all_epochs_is_refused(make: Make) -> None:
    with pytest.raises(StudyConfigError, match=r"training.warmup: found 4 of 4 epochs"):
        make(warmup=4)


def test_a_compiled_trial_trains_as_one_that_is_not_and_keeps_the_names_of_its_weights(
    make: Make, tmp_path: Path
) -> None:
    # `aot_eager` goes the whole way of torch.compile but for the last step, which needs a compiler.
    torch.compiler.reset()
    counted = torch._dynamo.utils.counters
    counted.clear()
    unet = {"model.build": "components.training.network:small_unet", "model.arguments": {"channels": [4, 8, 16]}}
    compiled = train(make(compile="aot_eager", epochs=2).with_overrides(unet), tmp_path / "compiled")
    assert counted["stats"]["unique_graphs"] > 0
    plain = train(make(epochs=2).with_overrides(unet), tmp_path / "plain")
    for (found, _), (expected, _) in zip(compiled, plain, strict=True):
        assert found["train_loss"] == pytest.approx(expected["train_loss"], rel=1e-3)
    names = [set(load_file(tmp_path / name / "epoch_002" / WEIGHTS)) for name in ("compiled", "plain")]
    assert names[0] == names[1]


def test_a_backend_that_is_none_is_refused_before_anything_starts(make: Make) -> None:
    config = make(compile="aot_eger")
    with pytest.raises(StudyConfigError, match=r"^training\.compile: found 'aot_eger'.* aot_eager") as caught:
        check_study(config, load_data(config.data)[0])
    assert len(str(caught.value).splitlines()) == 1
