"""Whatever a study file holds, the command accepts it or refuses it with a text; it never ends in a traceback."""

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings

from components.errors import ComponentError
from search_spaces import Space, SpaceError
from tests.property.study_files import EXAMPLE, FILES, OVERRIDES, VALID, dumped
from tuning.checks import check_loss, draw_settings
from tuning.config import set_by_path
from tuning.errors import StudyConfigError, StudyError
from tuning.plan import check_space
from tuning.study_file import read_study_file


def read_as_the_command_does(path: Path, overrides: list[str]) -> None:
    """All that happens to a study file before any data is read."""
    file = read_study_file(path, overrides)
    try:
        config = file.load()
    except StudyConfigError as error:
        for line in str(error).splitlines():
            assert line.startswith((f"{path}:", f"{path} ", "-s ")), line
        raise
    with file.placed():
        space = Space.from_config(config.search.space, mode="binary")
        check_space(space, config)
        for tried in (config, draw_settings(config, space)):
            check_loss(tried, "binary")


def check_accepted_or_refused(folder: Path, text: str, overrides: list[str]) -> None:
    path = folder / "study.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        read_as_the_command_does(path, overrides)
    except (StudyError, ComponentError, SpaceError) as error:
        assert str(error).strip()  # noqa: PT017 - what is refused has a text; anything else fails


LOAD = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@settings(LOAD, max_examples=300, derandomize=True)
@given(text=FILES, overrides=OVERRIDES)
@example(text=EXAMPLE, overrides=["search.space.presets=1e999"])
def test_a_study_file_is_accepted_or_refused(folder: Path, text: str, overrides: list[str]) -> None:
    check_accepted_or_refused(folder, text, overrides)


@pytest.mark.faults
@settings(LOAD, max_examples=10_000)
@given(text=FILES, overrides=OVERRIDES)
def test_ten_thousand_study_files_are_accepted_or_refused(folder: Path, text: str, overrides: list[str]) -> None:
    check_accepted_or_refused(folder, text, overrides)


def test_the_studies_that_are_changed_are_valid(tmp_path: Path) -> None:
    for text in (EXAMPLE, dumped(VALID)):
        path = tmp_path / "study.yaml"
        path.write_text(text, encoding="utf-8")
        read_as_the_command_does(path, [])


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        (
            "search.space.parameters",
            {"training.lr": {"float": [0.0, 1e300], "step": 1e-300}},
            "is too small for the range",
        ),
        ("search.space.parameters", {"training.lr.x": {"int": [1, 2]}}, "training.lr is no mapping"),
        ("search.space.parameters", {"training.batch": {"int": [4, 16], "step": None}}, None),
        ("loss.terms.dice", {"kind": ".a:b"}, "loss kind: found '.a:b'"),
        ("loss.terms.dice", {"kind": "builtins:dict"}, "built dict; expected a torch.nn.Module"),
        (
            "loss.terms.dice",
            {"kind": "torch.nn:Conv2d", "in_channels": -1, "out_channels": 1, "kernel_size": 3},
            "raised",
        ),
    ],
)
def test_what_the_files_found(tmp_path: Path, path: str, value: Any, text: str | None) -> None:
    document = copy.deepcopy(VALID)
    set_by_path(document, path, value)
    file = tmp_path / "study.yaml"
    file.write_text(dumped(document), encoding="utf-8")
    if text is None:
        read_as_the_command_does(file, [])
        return
    with pytest.raises((StudyError, ComponentError)) as caught:
        read_as_the_command_does(file, [])
    assert text in str(caught.value)
