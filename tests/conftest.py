"""What tests of whole studies share: one Ray for the session, and a small study."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tuning import StudyConfig
from tuning.config import ResourcesConfig
from tuning.engine import ray_running

settings.register_profile("without_deadline", deadline=None)  # the machine is slow at times, which proves nothing
settings.load_profile("without_deadline")


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """Ray, started once."""
    with ray_running(ResourcesConfig(concurrent=2)):
        yield


@pytest.fixture
def study_config() -> Callable[..., StudyConfig]:
    """Makes the settings of a small study; changes are laid over its sections."""

    def make(**changes: dict[str, Any]) -> StudyConfig:
        return StudyConfig.load(small_settings(**changes))

    return make


def small_settings(**changes: dict[str, Any]) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "name": "small",
        "data": {"build": "tests.toys:tiny_data"},
        "model": {"build": "tests.toys:network"},
        "training": {"epochs": 4, "batch": 2, "lr": 0.03},
        "search": {"trials": 4, "startup_trials": 2, "space": {"presets": ["loss_weights"]}},
        "scheduler": {"grace": 1, "reduction": 2},
        "resources": {"concurrent": 2},
    }
    return {
        key: {**section, **changes.pop(key, {})} if isinstance(section, dict) else section
        for key, section in settings.items()
    } | changes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A study directory that does not exist yet."""
    return tmp_path / "study"
