"""A training step of one's own that cannot be used is refused with its place in the study file, before any trial."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from tests.folders import png_folder
from tuning.checks import check_study
from tuning.data import load_data
from tuning.errors import StudyConfigError
from tuning.study_file import read_study_file


def no_loss() -> Callable[..., None]:
    return lambda *_: None


def raising() -> Callable[..., Tensor]:
    def step(*_: Any) -> Tensor:
        raise KeyError("weights")

    return step


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (f"{__name__}:no_loss", "at a first batch returned no loss. Hint: return the loss, a scalar tensor with"),
        (f"{__name__}:raising", "at a first batch raised KeyError: 'weights'."),
        (f"{__name__}:raisin", f"'{__name__}:raisin': the module '{__name__}' has no 'raisin'. Hint: did you mean"),
        ("tests.nowhere:step", "there is no module 'tests.nowhere'."),
    ],
)
def test_a_step_that_cannot_be_used_is_refused_with_its_place(tmp_path: Path, name: str, message: str) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(f"name: discs\ndata:\n  root: {png_folder(tmp_path / 'discs')}\ntraining:\n  step: {name}\n")
    study_file = read_study_file(file)
    config = study_file.load()
    with pytest.raises(StudyConfigError) as caught, study_file.placed():
        check_study(config, load_data(config.data)[0])
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{file}:5:3 training.step: ")
    assert message in line
