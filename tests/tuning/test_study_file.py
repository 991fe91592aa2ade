from pathlib import Path

import pytest

from tuning import StudyConfig
from tuning.errors import StudyConfigError
from tuning.study_file import read_study_file

MINIMAL = {"name": "toy", "data": {"build": "a.b:c"}}


def write(folder: Path, text: str) -> Path:
    path = folder / "study.yaml"
    path.write_text(text)
    return path


def test_numbers_are_read_as_people_write_them(tmp_path: Path) -> None:
    path = write(tmp_path, "a: 1e-3\nb: 1E5\nc: 1.5e+2\nd: 3\ne: 1e\nf: .5\ng: 2026-01-02\nh: -1e3\n")
    found = read_study_file(path)
    assert [found[key] for key in "abcdefh"] == [0.001, 100000.0, 150.0, 3, "1e", 0.5, -1000.0]
    assert str(found["g"]) == "2026-01-02"


def test_overrides_are_laid_over_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "training: {lr: 1, batch: 4}\n")
    found = read_study_file(path, ["training.lr=1e-3", "search.space.presets=[optimizer]", "name=x=y"])
    assert found == {
        "training": {"lr": 0.001, "batch": 4},
        "search": {"space": {"presets": ["optimizer"]}},
        "name": "x=y",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", r"study.yaml:3:1 the key 'a' stands twice \(first in line 1\)"),
        ("a: {b: 1, b: 2}\n", "study.yaml:1:11 the key 'b' stands twice"),
        ("a: [1\n", "cannot be read as YAML"),
        ("- a\n", "found list, expected a mapping"),
        ("", "found NoneType, expected a mapping"),
        ("a: !!python/object/apply:os.system [ls]\n", "cannot be read as YAML"),
    ],
)
def test_a_broken_file_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(StudyConfigError, match=message):
        read_study_file(write(tmp_path, text))


def test_a_missing_file_and_a_bad_override_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyConfigError, match=r"no such study file\. Hint"):
        read_study_file(tmp_path / "none.yaml")
    with pytest.raises(StudyConfigError, match="expected key=value"):
        read_study_file(write(tmp_path, "a: 1\n"), ["training.lr"])
    with pytest.raises(StudyConfigError, match="cannot be laid over"):
        read_study_file(write(tmp_path, "a: 1\n"), ["a.b=1"])


def test_all_problems_come_at_once_and_unknown_keys_get_a_suggestion() -> None:
    with pytest.raises(StudyConfigError) as caught:
        StudyConfig.load({"name": "a b", "training": {"epoch": 3, "lr": -1}}, source="study.yaml")
    lines = str(caught.value).splitlines()
    assert len(lines) == 4
    assert "study.yaml: training.epoch: unknown setting. Hint: did you mean epochs?" in lines
    assert any(line.startswith("study.yaml: training.lr: Input should be greater than 0. Found: -1.") for line in lines)
    assert any(line.startswith("study.yaml: data: Field required") for line in lines)


def test_grace_beyond_the_budget_is_refused() -> None:
    with pytest.raises(StudyConfigError, match=r"scheduler\.grace \(9\) is beyond training\.epochs \(4\)"):
        StudyConfig.load(MINIMAL | {"training": {"epochs": 4}, "scheduler": {"grace": 9}})


def test_sampled_values_are_laid_over_and_checked() -> None:
    study = StudyConfig.load(MINIMAL)
    assert study.with_overrides({"training.lr": 0.5, "loss.weights": {"dice": 1.0}}).loss.weights == {"dice": 1.0}
    with pytest.raises(StudyConfigError, match=r"training\.lr: Input should be greater than 0"):
        study.with_overrides({"training.lr": 0.0})


def test_checkpoints_kept_by_default_depend_on_the_strategy() -> None:
    keeps = {
        strategy: StudyConfig.load(MINIMAL | {"checkpoint": {"strategy": strategy}}).checkpoint.keep
        for strategy in ("best", "all")
    }
    assert keeps == {"best": 1, "all": None}
