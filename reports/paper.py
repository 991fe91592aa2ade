"""The figures of a report as files for a paper: PNG, or PDF to be scaled as one likes."""

import json
import re
from collections.abc import Sequence
from html import unescape
from pathlib import Path
from typing import Literal

from components.errors import MissingExtraError
from reports.report import report_html
from reports.study_tables import StudyTables

_DRAWN = re.compile(r'<div class="plot" id="([^"]+)".*?<script type="application/json">(.*?)</script>', re.DOTALL)
_WIDTH = 720  # pixels of the page; a column of a paper shrinks them to about half
_SCALE = 3  # of PNG: 300 dots an inch at a column's width

PictureFormat = Literal["png", "pdf"]


def write_figures(
    studies: Sequence[StudyTables], folder: Path | None = None, form: PictureFormat = "png"
) -> list[Path]:
    """Write every figure that the report of the studies has, on white, named as in the page.

    Args:
        studies: one, or several that are compared.
        folder: made when absent; by default `figures` in the (first) study's report folder.
        form: `png` or `pdf`.

    Returns:
        The files; none where the report has no figure.

    Raises:
        MissingExtraError: kaleido, which draws them, or the Chromium or Chrome that it needs is not installed.

    Example:
        >>> write_figures([StudyTables("studies/brain")], form="pdf")  # doctest: +SKIP
    """
    import plotly.io  # noqa: PLC0415 - half a second that a table need not wait
    from plotly.graph_objects import Figure  # noqa: PLC0415

    try:
        from choreographer.errors import ChromeNotFoundError  # noqa: PLC0415
        from kaleido import write_fig  # noqa: F401, PLC0415 - plotly would only say that it is missing later
    except ImportError as error:
        raise MissingExtraError("figures as files need kaleido. Hint: pip install 'segtune[figures]'") from error
    target = folder or studies[0].directory.reports / "figures"
    target.mkdir(parents=True, exist_ok=True)
    drawn = {unescape(ident): json.loads(content) for ident, content in _DRAWN.findall(report_html(studies))}
    paths = [target / f"{ident}.{form}" for ident in drawn]
    figures = [Figure(content).update_layout(paper_bgcolor="white", plot_bgcolor="white") for content in drawn.values()]
    heights = [figure.layout.height for figure in figures]
    try:
        plotly.io.write_images(
            figures, paths, format=form, scale=_SCALE if form == "png" else 1, width=_WIDTH, height=heights
        )
    except ChromeNotFoundError as error:
        raise MissingExtraError(
            "figures as files need Chromium or Chrome. Hint: install it, or let `plotly_get_chrome` fetch one."
        ) from error
    return paths
