"""A changed study is refused with what was changed and what to do instead."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tuning import StudyConfig
from tuning.errors import StudyMismatchError
from tuning.identity import open_directory
from tuning.record import StudyDirectory

Make = Callable[..., StudyConfig]
DATA: dict[str, Any] = {"name": "discs", "cases": {"train": 4}, "fingerprint": "a" * 64}


@pytest.mark.parametrize(("sampler", "learns"), [("tpe", True), ("random", False)])
def test_other_settings_and_other_data_point_to_a_new_study_that_learns_from_this_one(
    study_config: Make,
    folder: Path,
    sampler: str,
    learns: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    directory, search = StudyDirectory(folder), {"sampler": sampler}
    open_directory(directory, study_config(search=search), DATA)
    changed = study_config(search=search, training={"lr": 0.01})
    with pytest.raises(StudyMismatchError) as settings:
        open_directory(directory, changed, DATA)
    with pytest.raises(StudyMismatchError) as data:
        open_directory(directory, study_config(search=search), DATA | {"fingerprint": "b" * 64})
    hint = "give the new study a directory of its own with --dir"
    hint += f"; with search.warm_start: [{folder}] it learns from this one's trials." if learns else "."
    assert str(settings.value).splitlines()[1:] == ["  training.lr: was 0.03, now 0.01", f"Hint: {hint}"]
    assert str(data.value).splitlines()[-1] == f"Hint: restore the data, or {hint}"
