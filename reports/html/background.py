"""Sections on where the numbers come from: data, settings, environment, commands, and what is missing."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from reports.html.parts import bullets, folded, paragraph, preformatted, table
from reports.settings import flat_settings
from reports.study_tables import StudyTables


def data(study: StudyTables, _ident: str) -> str:
    """Fingerprint, counts and warnings."""
    found = study.record.get("data") or {}
    if not found:
        return paragraph("The study's record says nothing of its data.", "warning")
    warnings = [str(line) for line in found.get("warnings") or []]
    body = "".join(paragraph(line, "warning") for line in warnings)
    rows = [[name, value] for name, value in flat_settings(found).items() if name != "warnings"]
    return body + table(("what", "value"), rows, "The data as it was when the study began", rows_shown=60)


def configuration(study: StudyTables, _ident: str) -> str:
    """Settings, environment, attempts and commands."""
    body = "<h3>Go on, or run again</h3>" + preformatted("\n".join(commands(study)))
    versions = study.record.get("versions") or {}
    body += "<h3>Environment</h3>"
    body += table(("library", "version"), [[name, value] for name, value in versions.items()], "When the study began")
    body += _attempts(study.attempts, versions)
    text = yaml.safe_dump(study.settings, sort_keys=False, allow_unicode=True)
    return body + folded("All settings, as they were resolved", preformatted(text))


def commands(study: StudyTables) -> list[str]:
    """The commands that go on with a study, report it again, and run the same study anew."""
    root = shlex.quote(str(study.directory.root))
    settings = "import sys, yaml; print(yaml.safe_dump(yaml.safe_load(open(sys.argv[1]))['settings'], sort_keys=False))"
    return [
        "# the settings as a study file, from the study's own record",
        f'python -c "{settings}" {root}/study.yaml > again.yaml',
        "# go on with this study (finished trials are kept)",
        f"segtune run again.yaml --dir {root}",
        "# run the same study anew, in another directory",
        f"segtune run again.yaml --dir {root}-again",
        "# make this report again",
        f"segtune report {root}",
    ]


def missing_text(problems: Sequence[str]) -> str:
    """What could not be read or drawn."""
    return paragraph("The rest of the report is made without the following.", "warning") + bullets(problems)


def _attempts(events: Sequence[Mapping[str, Any]], first: Mapping[str, Any]) -> str:
    ends = {event.get("attempt"): event for event in events if event.get("event") == "end"}
    rows = []
    for event in (event for event in events if event.get("event") == "start"):
        end = ends.get(event.get("attempt"), {})
        moved = {
            name: value for name, value in (event.get("versions") or {}).items() if first.get(name, value) != value
        }
        changed = ", ".join(f"{name} {value}" for name, value in {**(event.get("changed") or {}), **moved}.items())
        rows.append(
            [event.get("attempt"), event.get("time"), event.get("host"), end.get("how", "no end recorded"), changed]
        )
    columns = ("attempt", "started", "host", "how it ended", "what had changed")
    return table(columns, rows, "Attempts") if rows else ""
