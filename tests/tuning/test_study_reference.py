"""What `segtune schema` prints: complete, current, and true of the study files that are shown."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tuning import StudyConfig
from tuning.config.reference import json_schema, markdown
from tuning.study_file import read_study_file

ROOT = Path(__file__).parents[2]
SCHEMA: dict[str, Any] = json.loads(json_schema())


def settings_of(model: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every setting and section by dotted path."""
    for name, field in model["properties"].items():
        yield f"{prefix}{name}", field
        for option in (field, *field.get("anyOf", [])):
            if "$ref" in option:
                inner = SCHEMA["$defs"][option["$ref"].rpartition("/")[2]]
                yield from settings_of(inner, f"{prefix}{name}.")


SETTINGS = dict(settings_of(SCHEMA))


def validator() -> Any:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    return jsonschema.Draft202012Validator(SCHEMA)


def test_the_page_is_the_generated_one() -> None:
    page = (ROOT / "docs" / "reference" / "study_file.md").read_text(encoding="utf-8")
    assert page == markdown(), "run: segtune schema --format markdown > docs/reference/study_file.md"


def test_every_setting_is_described_and_stands_in_the_page() -> None:
    assert {"name", "training.lr", "data.group.csv", "search.space", "storage.url"} < SETTINGS.keys()
    page = markdown()
    for setting, field in SETTINGS.items():
        assert field["description"].strip(), setting
        assert f"`{setting}`" in page, setting


def test_every_setting_has_its_default_or_is_required() -> None:
    sections = set(StudyConfig.model_fields)
    required = {s for s, field in SETTINGS.items() if "default" not in field} - sections
    assert required == {"script.path", "retrain.settings", "retrain.seeds", "retrain.baseline"}
    assert SCHEMA["required"] == ["name"]
    assert not validator().is_valid({"name": "neither data nor a script"})
    assert SETTINGS["loss.schedule"]["default"] == {"type": "constant"}


def test_limits_and_choices_are_given() -> None:
    assert [kind.get("enum") for kind in SETTINGS["training.optimizer"]["anyOf"]] == [["adamw", "sgd"], None]
    assert SETTINGS["training.momentum"] | {"minimum": 0, "exclusiveMaximum": 1} == SETTINGS["training.momentum"]
    rows = [line for line in markdown().splitlines() if line.startswith(("| `training.seed`", "| `training.momentum`"))]
    assert rows[0].startswith("| `training.momentum` | number ≥ 0, < 1 | `0.9` | ")
    assert rows[1].startswith("| `training.seed` | integer ≥ 0 or `per_trial` | `0` | ")


def test_the_schema_says_its_dialect_and_ends_in_a_newline() -> None:
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert SCHEMA["title"] == "segtune study file"
    assert json_schema().endswith("}\n")


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda path: path.name)
def test_the_schema_takes_the_examples(path: Path) -> None:
    settings = read_study_file(path).settings
    assert [error.message for error in validator().iter_errors(settings)] == []


@pytest.mark.parametrize(
    "change",
    [{"training": {"epoch": 3}}, {"training": {"lr": 0}}, {"checkpoint": {"strategy": "bets"}}, {"name": "a b"}],
)
def test_the_schema_refuses_what_the_command_refuses(change: dict[str, Any]) -> None:
    settings = {"name": "x", "data": {"root": "y"}}
    assert validator().is_valid(settings)
    assert not validator().is_valid(settings | change)
