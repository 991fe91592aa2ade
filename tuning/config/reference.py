"""What a study file may say, written out: as JSON Schema for editors, as Markdown for people."""

import json
from typing import Any

from pydantic import BaseModel

from tuning.config.problems import model_of
from tuning.config.sections import StudyConfig

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TITLE = "segtune study file"

_INTRO = """\
# The study file: every setting

Settings are named by dotted path, as errors and `-s training.lr=1e-3` name them. In the file a dot is a level:
`training.lr` is `lr` under `training:`. Where no default stands, nothing is set, and the meaning says what follows.
[study.md](../study.md) has the search space and what the numbers mean.

An editor that knows JSON Schema completes and checks a study file as it is written. Write the schema once,
`segtune schema > study.schema.json`, and put this line on top of the study file:

```yaml
# yaml-language-server: $schema=study.schema.json
```

This page is generated: `segtune schema --format markdown > docs/reference/study_file.md`.
"""
_HEAD = "| setting | type | default | meaning |\n|---|---|---|---|"
_NAMES = {"integer": "integer", "number": "number", "string": "text", "boolean": "true or false"}
_LIMITS = {"minimum": "≥ {:g}", "exclusiveMinimum": "> {:g}", "maximum": "≤ {:g}", "exclusiveMaximum": "< {:g}"}


def json_schema() -> str:
    """The JSON Schema (draft 2020-12) of a study file, indented, with a newline at its end."""
    return json.dumps(_schema(), indent=2, ensure_ascii=False) + "\n"


def markdown() -> str:
    """The page `docs/reference/study_file.md`: a table a section, in the order of the file."""
    schema = _schema()
    tables = [_table("The file itself", "", "What is no section.", _leaves(schema), schema)]
    for name, field in schema["properties"].items():
        if section := _section(field, schema):
            tables += _section_tables(name, section, schema)
    return "\n".join([_INTRO, *tables])


def _schema() -> dict[str, Any]:
    schema = StudyConfig.model_json_schema()
    _add_made_defaults(StudyConfig, schema, schema["$defs"])
    for field in schema["properties"].values():
        if "$ref" in field:  # what a section is for stands with it, its defaults stand with its settings
            field.pop("default", None)
            field["description"] = _section(field, schema)["description"]
    schema["required"].remove("data")
    schema["anyOf"] = [{"required": ["data"]}, {"required": ["script"]}]
    return {"$schema": _DIALECT} | schema | {"title": _TITLE, "description": "What segtune run FILE reads."}


def _add_made_defaults(model: type[BaseModel], schema: dict[str, Any], models: dict[str, Any]) -> None:
    """Add the defaults that a factory makes, which pydantic leaves out."""
    for name, field in model.model_fields.items():
        if field.default_factory is not None:
            default = field.get_default(call_default_factory=True, validated_data={})
            schema["properties"][name]["default"] = default
        elif inner := model_of(field.annotation):
            _add_made_defaults(inner, models[inner.__name__], models)


def _section_tables(path: str, section: dict[str, Any], schema: dict[str, Any]) -> list[str]:
    """The table of a section, then those of the sections inside it."""
    tables = [_table(f"`{path}`", f"{path}.", section["description"], section, schema)]
    for name, field in section["properties"].items():
        if inner := _section(field, schema):
            tables += _section_tables(f"{path}.{name}", inner, schema)
    return tables


def _leaves(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema less its sections."""
    return schema | {"properties": {name: f for name, f in schema["properties"].items() if not _section(f, schema)}}


def _table(title: str, prefix: str, text: str, section: dict[str, Any], schema: dict[str, Any]) -> str:
    needed = section.get("required", [])
    rows = [
        _row(f"`{prefix}{name}`", _type(field, schema), _default(field, needed=name in needed), field["description"])
        for name, field in section["properties"].items()
    ]
    return "\n".join([f"## {title}\n", f"{text}\n", _HEAD, *rows, ""])


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _section(field: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """The section that a field is, empty where it is a setting."""
    options = [field, *field.get("anyOf", [])]
    reference = next((option["$ref"] for option in options if "$ref" in option), None)
    return schema["$defs"][reference.rpartition("/")[2]] if reference else {}


def _type(field: dict[str, Any], schema: dict[str, Any]) -> str:
    if _section(field, schema):
        return "section, see below"
    options = [option for option in field.get("anyOf", [field]) if option.get("type") != "null"]
    return " or ".join(_kind(option) for option in options)


def _kind(option: dict[str, Any]) -> str:
    if choices := option.get("enum", [option["const"]] if "const" in option else []):
        return ", ".join(f"`{choice}`" for choice in choices)
    if option["type"] == "array":
        entries = option.get("prefixItems")
        return f"list of {len(entries)} {_kind(entries[0])}s" if entries else f"list ({_kind(option['items'])} each)"
    if option["type"] == "object":
        inner = option.get("additionalProperties")
        return f"mapping ({_kind(inner)} each)" if isinstance(inner, dict) else "mapping"
    limits = [form.format(option[key]) for key, form in _LIMITS.items() if key in option]
    return " ".join([_NAMES[option["type"]], ", ".join(limits)]).rstrip()


def _default(field: dict[str, Any], *, needed: bool) -> str:
    if needed:
        return "required"
    value = field["default"]
    text = value if isinstance(value, str) else json.dumps(value)
    return "" if value in (None, {}) else f"`{text}`"
