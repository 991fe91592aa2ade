"""Other libraries and other code of one's own since the last attempt are noticed."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import small_settings
from tuning.config import StudyConfig
from tuning.drift import describe_drift, hash_code


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "my_model.py").write_text("from my_blocks import block\nimport json\nbuild = block\n")
    (tmp_path / "my_blocks.py").write_text("def block(): pass\n")
    (tmp_path / "my_loss.py").write_text("class Loss: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.import_module("my_model")
    yield tmp_path
    for name in ("my_model", "my_blocks"):
        sys.modules.pop(name, None)


def config() -> StudyConfig:
    choice = {"choice": ["my_loss:Loss", "bce", "not_there:Loss"]}
    return StudyConfig.load(
        small_settings(
            model={"build": "my_model:build"},
            data={"build": "components.data.mni152:mni152_slices"},
            search={"space": {"parameters": {"loss.terms.other.kind": choice}}},
        )
    )


@pytest.mark.usefixtures("code")
def test_the_modules_that_a_study_names_and_those_that_they_use_are_hashed() -> None:
    assert list(hash_code(config())) == ["my_blocks", "my_loss", "my_model"]


def test_what_changed_since_the_last_attempt_is_said(code: Path) -> None:
    hashes = hash_code(config())
    before = {"versions": {"torch": "2.13.0", "ray": "2.60.0"}, "code": hashes}
    versions = {"torch": "2.14.0", "ray": "2.60.0", "new": "1.0"}
    (code / "my_blocks.py").write_text("def block(): return 1\n")
    assert describe_drift(before, versions, hash_code(config())) == [
        "torch is 2.14.0, was 2.13.0 at the last attempt",
        "the code of my_blocks has changed since the last attempt",
    ]
    assert describe_drift(None, versions, hashes) == []
    assert describe_drift({}, versions, hashes) == []
