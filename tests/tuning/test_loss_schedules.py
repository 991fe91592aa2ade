"""Schedules of loss weights in a study: every type is taken, searched and resumed, and the pages name it."""

import shutil
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import optuna
import pytest

from components.checkpoints import verify_checkpoint
from components.losses.schedules import schedule_kinds
from search_spaces import Space
from tests.schedules import CONFIGS
from tuning import StudyConfig
from tuning.checks import check_loss, check_study, draw_settings
from tuning.config.reference import markdown
from tuning.data import load_data
from tuning.fold import FoldTraining
from tuning.store import TuneStore

Make = Callable[..., StudyConfig]
ROOT = Path(__file__).parents[2]
WEIGHTS = {"dice": 0.7, "bce": 0.3}
SEARCHED: dict[str, dict[str, Any]] = {
    "loss.schedule.type": {"choice": ["constant", "linear", "cosine", "adaptive", "dwa", "uwso", "uncertainty"]},
    "loss.schedule.end": {"simplex": ["dice", "bce"], "when": {"loss.schedule.type": ["linear", "cosine"]}},
    "loss.schedule.strength": {"float": [0.5, 2.0], "when": {"loss.schedule.type": "adaptive"}},
    "loss.schedule.temperature": {"float": [1.0, 10.0], "when": {"loss.schedule.type": ["dwa", "uwso"]}},
}


def without_epochs(config: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name != "epochs"}


def rows(config: StudyConfig, folder: Path, *, epochs: int | None = None) -> list[dict[str, Any]]:
    """Rows of a training from the last checkpoint in `folder` on; its checkpoints are kept there."""
    folder.mkdir(exist_ok=True)
    store = TuneStore(folder / "staging", [verify_checkpoint(path) for path in sorted(folder.glob("epoch_*"))])
    training = FoldTraining(config, load_data(config.data)[0], store, number=0, trial=0)
    found = []
    for row in islice(training.epochs([]), epochs):
        if store.staged:
            shutil.copytree(store.staged.path, folder / f"epoch_{row['epoch']:03d}", dirs_exist_ok=True)
        found.append({name: value for name, value in row.items() if name != "seconds"})
    return found


@pytest.mark.parametrize("schedule", CONFIGS, ids=lambda schedule: schedule["type"])
def test_a_study_takes_every_type_and_gives_it_the_budget(study_config: Make, schedule: dict[str, Any]) -> None:
    config = study_config(loss={"weights": WEIGHTS, "schedule": without_epochs(schedule)})
    check_loss(config, "binary")
    recorded = StudyConfig.load(config.model_dump(mode="json"))  # where epochs of milestones are text
    check_loss(recorded, "binary")


def test_a_search_over_types_brings_the_options_of_each(study_config: Make) -> None:
    config = study_config(loss={"weights": WEIGHTS}, search={"space": {"parameters": SEARCHED}})
    space = check_study(config, load_data(config.data)[0])
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen = set()
    for _ in range(60):
        drawn = config.with_overrides(space.suggest(study.ask()))
        check_loss(drawn, "binary")
        seen.add(drawn.loss.schedule["type"])
    assert seen == set(SEARCHED["loss.schedule.type"]["choice"])


def test_an_option_is_not_drawn_for_types_that_do_not_take_it(study_config: Make) -> None:
    config = study_config(loss={"weights": WEIGHTS, "schedule": {"type": "constant"}})
    only = {"loss.schedule.type": {"choice": ["constant", "random"]}}
    drawn = draw_settings(config, Space.from_config({"parameters": only}))
    assert set(drawn.loss.schedule) == {"type"}


@pytest.mark.parametrize("kind", ["uncertainty", "adaptive"])
def test_a_trial_moves_the_weights_and_resumes_exactly(study_config: Make, tmp_path: Path, kind: str) -> None:
    config = study_config(
        loss={"weights": WEIGHTS, "schedule": {"type": kind}}, checkpoint={"strategy": "epoch"}, scheduler={}
    )
    whole = rows(config, tmp_path / "whole")
    assert whole[0]["weight_dice"] == 0.7
    assert abs(whole[-1]["weight_dice"] - 0.7) > 1e-3
    first = rows(config, tmp_path / "parts", epochs=2)
    assert first + rows(config, tmp_path / "parts") == whole


def test_the_pages_name_every_type() -> None:
    line = next(line for line in markdown().splitlines() if line.startswith("| `loss.schedule`"))
    page = (ROOT / "docs" / "reference" / "schedules.md").read_text(encoding="utf-8")
    for kind in schedule_kinds():
        assert f"`{kind}`" in line
        assert f"\n| `{kind}` |" in page
