"""The whole page: one file that needs nothing but a browser."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.resources import files

from reports.html.parts import Section, paragraph, text

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:; font-src data:"
)


def page(title: str, sentences: Sequence[str], sections: Sequence[Section]) -> str:
    """Put sections together.

    Args:
        title: of the page, plain text.
        sentences: of the summary.
        sections: in order.

    Returns:
        HTML with styles, scripts and plotly.js in it; its content security policy keeps a browser from loading anything
        else.
    """
    links = "".join(f'<li><a href="#{text(section.ident)}">{text(section.title)}</a></li>' for section in sections)
    bodies = "".join(
        f'<section id="{text(section.ident)}" aria-labelledby="{text(section.ident)}-title">'
        f'<h2 id="{text(section.ident)}-title">{text(section.title)}</h2>{section.body}</section>'
        for section in sections
    )
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    has_plots = 'class="plot"' in bodies
    scripts = f"<script>{_plotly()}</script><script>{_own('report.js')}</script>" if has_plots else ""
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"><link rel="icon" href="data:,">'
        f"<title>{text(title)}</title><style>{_own('report.css')}</style></head><body>"
        '<a class="skip" href="#content">Skip to the report</a>'
        f'<header><h1>{text(title)}</h1><p class="note">Made by segtune on {made}. This file needs no network.</p>'
        f'<div class="summary" id="summary" role="doc-abstract">{"".join(paragraph(line) for line in sentences)}</div>'
        f'<nav aria-label="Sections"><ul>{links}</ul></nav></header><main id="content">{bodies}</main>'
        "<footer>Dice is that on validation unless said otherwise. All rows stand as CSV in the study's folder report."
        f"</footer>{scripts}</body></html>"
    )


def anchor(value: str) -> str:
    """A name that an anchor may have."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", value)


def _own(name: str) -> str:
    return files("reports.html").joinpath(name).read_text(encoding="utf-8")


def _plotly() -> str:
    from plotly.offline import get_plotlyjs  # noqa: PLC0415 - half a second that a table need not wait

    return str(get_plotlyjs()).replace("</script", "<\\/script")
