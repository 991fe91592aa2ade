"""Surface metrics stand in a trial's last row and are those of its best checkpoint, also when it was interrupted."""

import shutil
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from components.checkpoints import verify_checkpoint
from tests.folders import png_folder, tiff_folder
from tuning import Study, StudyConfig
from tuning.data import load_data
from tuning.network_task import NetworkTask
from tuning.record import StudyDirectory
from tuning.store import TuneStore
from tuning.surface import masks_of, surface_of
from tuning.trial import Shared, trial_epochs

Make = Callable[..., StudyConfig]
Row = dict[str, Any]


@pytest.fixture
def config(study_config: Make, tmp_path: Path) -> StudyConfig:
    return study_config(
        data={"root": str(png_folder(tmp_path / "discs")), "build": None},
        training={"epochs": 4, "lr": 0.05, "precision": "fp32"},
        checkpoint={"strategy": "epoch", "max_checkpoints": 9},
    )


def train(config: StudyConfig, folder: Path, *, epochs: int | None = None) -> tuple[list[Row], list[Row]]:
    """Rows of a trial from the last checkpoint in `folder` on, and the surface lines of its cases."""
    folder.mkdir(exist_ok=True)
    records = [verify_checkpoint(path) for path in sorted(folder.glob("epoch_*"))]
    store = TuneStore(folder / "staging", records, lambda: folder.glob("epoch_*"))
    shared = Shared(config, NetworkTask(load_data(config.data)), str(folder))
    rows, lines = [], []
    begun = trial_epochs({"number": 0, "overrides": {}, "checkpoints": []}, shared, store)
    for row, _, cases in islice(begun, epochs):
        if store.staged:
            shutil.copytree(store.staged.path, folder / f"epoch_{row['epoch']:03d}")
            store.discard()
        lines += [case for case in cases if "nsd" in case]
        rows.append({name: value for name, value in row.items() if name != "seconds"})
    return rows, lines


def best_saved(folder: Path) -> tuple[float, int]:
    saved = [verify_checkpoint(path) for path in folder.glob("epoch_*")]
    return max((record.metrics["val_dice"], record.epoch) for record in saved)


@pytest.mark.parametrize("strategy", ["epoch", "best", "interval"])
def test_the_last_row_has_the_surfaces_of_the_best_checkpoint(
    config: StudyConfig, tmp_path: Path, strategy: str
) -> None:
    config = config.with_overrides({"checkpoint.strategy": strategy, "checkpoint.interval": 3})
    rows, lines = train(config, tmp_path / "trial")
    data, (_, epoch) = load_data(config.data)[0], best_saved(tmp_path / "trial")
    masks = masks_of([verify_checkpoint(tmp_path / "trial" / f"epoch_{epoch:03d}")], data.mode)
    assert masks is not None
    found, last = surface_of(data, masks, config.metrics.tolerance), rows[-1]
    assert (last["best_epoch"], last["best_nsd"], last["best_hd95"]) == (epoch, found.nsd.mean, found.hd95.mean)
    assert (last["best_hd95_missed"], last["best_hd95_spurious"]) == (found.missed, found.spurious)
    assert [line["case"] for line in lines] == list(data.val.cases)
    assert {line["epoch"] for line in lines} == {epoch}
    assert fmean(line["nsd"] for line in lines) == pytest.approx(found.nsd.mean)
    assert not any(name.startswith("best_") for row in rows[:-1] for name in row)


@pytest.mark.parametrize("stopped_after", [1, 2, 3])
@pytest.mark.parametrize("strategy", ["epoch", "best", "interval"])
def test_a_trial_that_goes_on_ends_with_the_same_surfaces(
    config: StudyConfig, tmp_path: Path, stopped_after: int, strategy: str
) -> None:
    config = config.with_overrides({"checkpoint.strategy": strategy, "checkpoint.interval": 2})
    rows, lines = train(config, tmp_path / "whole")
    train(config, tmp_path / "parts", epochs=stopped_after)
    rest, again = train(config, tmp_path / "parts")
    assert again == lines != []
    assert rest == rows[-len(rest) :]


def test_surfaces_can_be_left_out_and_tolerance_forgives(config: StudyConfig, tmp_path: Path) -> None:
    def last(name: str, **metrics: object) -> Row:
        settings = config.model_dump()
        settings["metrics"] |= metrics
        return train(StudyConfig.load(settings), tmp_path / name)[0][-1]

    assert not any(name.startswith("best_") for name in last("without", surface=False))
    assert last("strict", tolerance=0.0)["best_nsd"] < last("lax", tolerance=40.0)["best_nsd"] == 1.0


def test_several_classes_have_columns_of_their_own(study_config: Make, tmp_path: Path) -> None:
    root = tiff_folder(tmp_path / "kinds")
    classes = ["background", "red", "blue"]
    data = {"root": str(root), "build": None, "classes": classes, "ignore": 255}
    rows, lines = train(study_config(data=data, training={"epochs": 2}), tmp_path / "trial")
    assert {"best_nsd_red", "best_nsd_blue"} <= rows[-1].keys()
    assert {line["class"] for line in lines} == {"red", "blue"}
    one_sided = rows[-1]["best_hd95_missed"] + rows[-1]["best_hd95_spurious"]
    assert one_sided == sum(line["hd95"] is None and line["nsd"] == 0 for line in lines)


def test_each_fold_has_surfaces_in_its_last_row(config: StudyConfig, tmp_path: Path) -> None:
    settings = config.model_dump()
    settings["data"]["folds"], settings["training"]["epochs"] = 2, 2
    rows, lines = train(StudyConfig.load(settings), tmp_path / "trial")
    assert ["best_nsd" in row for row in rows] == [False, True, False, True]
    assert len(lines) == len({line["case"] for line in lines}) == 8
    for row in (rows[1], rows[3]):
        assert row["best_nsd"] == pytest.approx(fmean(x["nsd"] for x in lines if x["epoch"] == row["best_epoch"]))


@pytest.mark.usefixtures("ray_session")
def test_a_study_joins_them_with_the_scores_of_each_case(study_config: Make, folder: Path) -> None:
    config = study_config(search={"trials": 1, "baselines": False}, training={"epochs": 2}, scheduler={"type": "none"})
    Study(config, folder).run()
    trial = StudyDirectory(folder).trial(0)
    best = trial.best_checkpoint()
    assert best is not None
    lines = [line for line in trial.case_scores() if line["epoch"] == best["epoch"]]
    assert len(lines) == 3
    assert fmean(line["dice"] for line in lines) == pytest.approx(best["dice"])
    assert fmean(line["nsd"] for line in lines) == pytest.approx(trial.epochs()[2]["best_nsd"])
