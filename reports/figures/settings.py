"""How Dice depends on the settings that were drawn."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from reports.figures.look import BLUE, SCALE, cut, empty_figure, plains

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_BANDS = 5  # shades of lines, each as many trials
_WIDE = 0.02  # share by which values of one choice are spread, so that lines are told apart
_LONGEST = 14  # signs of a value or a name that has room beside the next one
_LINE = 13  # pixels between lines of that text
_UNSET = "\N{EN DASH}"
_LOG_SPAN = 50  # a positive setting whose largest value is so many times the smallest is drawn on a log axis


def importance_bars(importances: "pd.Series[float]") -> "Figure":
    """Shares of importance, a bar a setting, the largest above.

    Args:
        importances: by setting, sum 1.
    """
    ordered = importances.sort_index(ascending=False).sort_values(kind="stable")
    figure = empty_figure(x="share of importance", height=120 + 32 * len(ordered))
    figure.add_bar(
        x=ordered.tolist(),
        y=plains([str(name) for name in ordered.index]),
        orientation="h",
        marker={"color": BLUE},
        text=[f"{100 * value:.0f} %" for value in ordered],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{y}: %{x:.3f}<extra></extra>",
    )
    figure.update_xaxes(range=[0, 1.25 * float(ordered.max() or 1)], tickformat=".0%")
    return figure


def parallel_axes(settings: pd.DataFrame, dice: "pd.Series[float]") -> "Figure":
    """An axis a setting and a line a trial; the brighter and thicker, the better.

    Args:
        settings: a row a trial, a column a setting; numbers, or else words.
        dice: of the same rows.

    Example:
        >>> parallel_axes(settings_table(trials), trials["best_dice"])  # doctest: +SKIP
    """
    figure = empty_figure(height=440)
    names = [*settings.columns, "Dice"]
    table = settings.assign(Dice=dice)[dice.notna()].sort_values("Dice")
    places, ends = zip(*(_axis(table[name]) for name in names), strict=True)
    ranks = np.minimum(np.arange(len(table)) * _BANDS // max(len(table), 1), _BANDS - 1)
    for band in range(_BANDS):
        rows = np.flatnonzero(ranks == band)
        if not len(rows):
            continue
        x: list[Any] = []
        y: list[Any] = []
        for row in rows:
            x += [*range(len(names)), None]
            y += [*(None if np.isnan(place[row]) else float(place[row]) for place in places), None]
        low, high = table["Dice"].iloc[rows[0]], table["Dice"].iloc[rows[-1]]
        figure.add_scatter(
            x=x,
            y=y,
            mode="lines",
            connectgaps=False,
            line={"color": _shade(band), "width": 1 + band * 0.5, "dash": "solid"},
            name=f"{low:.3f} to {high:.3f}",
            hoverinfo="skip",
        )
    for position, end in enumerate(ends):
        figure.add_vline(x=position, line={"color": "rgba(128,128,128,0.6)", "width": 1})
        for y_end, text, anchor in ((0, end[0], "top"), (1, end[1], "bottom")):
            outwards = (2 * y_end - 1) * _LINE * (position % 2)  # every other one, or neighbours run into each other
            figure.add_annotation(
                x=position,
                y=y_end,
                text=cut(text, _LONGEST),
                showarrow=False,
                yanchor=anchor,
                yshift=outwards,
                font={"size": 11},
            )
    figure.update_xaxes(tickvals=list(range(len(names))), ticktext=[cut(_short(name), _LONGEST) for name in names])
    figure.update_xaxes(title="", autotickangles=[0, -45, -90], ticklabeloverflow="allow")
    figure.update_xaxes(showgrid=False, zeroline=False, range=[-0.3, len(names) - 0.7])
    figure.update_yaxes(visible=False, range=[-0.12, 1.12])
    figure.update_layout(legend={"title": {"text": "Dice "}})
    return figure


def ternary_weights(weights: pd.DataFrame, dice: "pd.Series[float]") -> "Figure":
    """Dice over three loss weights, or over two as a line of dots.

    Args:
        weights: two or three columns, a row a trial; rows are scaled to sum 1, those of sum 0 left out.
        dice: of the same rows.
    """
    known = dice.notna() & (weights.sum(axis=1) > 0)
    shares, shown = weights[known].div(weights[known].sum(axis=1), axis=0), dice[known]
    names = plains([str(name) for name in weights.columns])
    marker = {
        "color": shown.tolist(),
        "colorscale": [list(stop) for stop in SCALE],
        "size": 12,
        "line": {"width": 1, "color": "rgba(128,128,128,0.8)"},
        "showscale": True,
        "colorbar": {"title": {"text": "Dice"}, "thickness": 12, "orientation": "h", "y": -0.25},
    }
    if len(names) < 3:  # noqa: PLR2004 - a triangle needs three
        figure = empty_figure(x=f"weight of {names[0]}", y="best validation Dice")
        figure.add_scatter(
            x=shares.iloc[:, 0].tolist(), y=shown.tolist(), mode="markers", marker=marker | {"showscale": False}
        )
        return figure
    figure = empty_figure(height=500)
    columns = [shares.iloc[:, index].tolist() for index in range(3)]
    hover = "<br>".join(f"{name} %{{{axis}:.2f}}" for name, axis in zip(names, "abc", strict=True))
    figure.add_scatterternary(
        a=columns[0],
        b=columns[1],
        c=columns[2],
        mode="markers",
        marker=marker,
        cliponaxis=False,
        customdata=shown.tolist(),
        hovertemplate=hover + "<br>Dice %{customdata:.4f}<extra></extra>",
    )
    axes = {
        f"{axis}axis": {
            "title": {"text": cut(name, _LONGEST)},
            "gridcolor": "rgba(128,128,128,0.25)",
            "linecolor": "rgba(128,128,128,0.6)",
        }
        for name, axis in zip(weights.columns, "abc", strict=True)
    }
    figure.update_layout(
        ternary={"bgcolor": "rgba(0,0,0,0)", "sum": 1, **axes}, margin={"t": 60, "b": 110, "l": 50, "r": 50}
    )
    return figure


def _axis(column: "pd.Series[Any]") -> tuple[np.typing.NDArray[np.float64], tuple[str, str]]:
    """Places between 0 and 1 of a setting's values, and what stands at both ends."""
    numbers = pd.to_numeric(column, errors="coerce")
    if (
        numbers.notna().any()
        and (numbers.notna() == column.notna()).all()
        and not column.map(lambda value: isinstance(value, bool)).any()
    ):
        low, high = float(numbers.min()), float(numbers.max())
        ends = (f"{low:.3g}", f"{high:.3g}")
        if low > 0 and high / low > _LOG_SPAN:
            numbers, low, high = np.log(numbers), np.log(low), np.log(high)
        span = high - low
        return ((numbers - low) / span if span else numbers * 0 + 0.5).to_numpy(float), ends
    words = column.map(lambda value: "" if pd.isna(value) else str(value))
    kinds = sorted(set(words))
    jitter = np.linspace(-_WIDE, _WIDE, len(words)) if len(words) > 1 else 0.0
    places = words.map({kind: index / max(len(kinds) - 1, 1) for index, kind in enumerate(kinds)}).to_numpy(float)
    return places + jitter, (kinds[0] or _UNSET, kinds[-1] or _UNSET) if kinds else ("", "")


def _short(name: object) -> str:
    return ".".join(str(name).split(".")[-2:]) if str(name).startswith("loss.") else str(name).rpartition(".")[2]


def _shade(band: int) -> str:
    return ("#6b6b8a", "#5f7fae", "#56B4E9", "#E69F00", "#D55E00")[band]
