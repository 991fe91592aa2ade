"""What all figures look like: colours told apart with any eyes, no background of their own, text that stays text."""

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

# Okabe & Ito's colours, the blue lighter, so that they show on white as on black.
BLUE, ORANGE, GREEN, RED, PINK, SKY, GREY = "#1F86C8", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#888888"
SERIES = (BLUE, ORANGE, GREEN, PINK, RED, SKY, GREY)
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
# From low to high: a part of cividis, which also grey print keeps in order.
SCALE = ((0.0, "#414d6b"), (0.5, "#8a8678"), (1.0, "#e8cf4a"))
STATES = {
    "complete": ("finished", BLUE, "circle"),
    "pruned": ("stopped early", ORANGE, "x"),
    "failed": ("failed", RED, "triangle-down"),
    "running": ("running", SKY, "circle-open"),
}
BASELINE = ("baseline", GREEN, "diamond")
_GRID = "rgba(128,128,128,0.25)"


def empty_figure(*, x: str = "", y: str = "", height: int = 380, **layout: Any) -> "Figure":
    """A figure without traces, whose background lets the page's through."""
    from plotly.graph_objects import Figure  # noqa: PLC0415 - half a second that a table need not wait

    axis = {"gridcolor": _GRID, "linecolor": _GRID, "zerolinecolor": _GRID, "automargin": True}
    return Figure(
        layout={
            "template": "none",
            "paper_bgcolor": "rgba(0,0,0,0)",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "font": {"size": 13, "family": "system-ui, sans-serif"},
            "height": height,
            "margin": {"l": 55, "r": 15, "t": 30, "b": 50},
            "xaxis": {"title": {"text": x}, **axis},
            "yaxis": {"title": {"text": y}, **axis},
            "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
            "hovermode": "closest",
            **layout,
        }
    )


def cut(text: object, longest: int) -> str:
    """Text that has room beside a plot on a phone, as `plain`; what is too long ends in three dots."""
    words = str(text)
    return plain(words if len(words) <= longest else f"{words[: longest - 1]}…")


def plain(text: object) -> str:
    """Text as plotly shows it unchanged: its own small HTML is switched off."""
    return escape(str(text), quote=False)


def plains(texts: Sequence[object]) -> list[str]:
    """Each as `plain`."""
    return [plain(text) for text in texts]
