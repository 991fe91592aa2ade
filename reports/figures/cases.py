"""The best setting and the baseline beside each other, case by case and class by class."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.figures.look import BASELINE, BLUE, GREY, cut, empty_figure, plain, plains
from reports.rows import rows_of

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_MANY = 60  # cases beyond which the lines between dots are left without names
_LONGEST = 22  # signs of a name


def case_dots(pairs: pd.DataFrame, names: tuple[str, str]) -> "Figure":
    """Two dots a case, joined by a line; the cases in order of their difference.

    Args:
        pairs: columns `case`, `baseline` and `tuned` (their Dice).
        names: of the baseline and of the tuned setting.
    """
    rows = pairs.dropna(subset=["baseline", "tuned"])
    rows = rows.assign(gain=rows["tuned"] - rows["baseline"]).sort_values("gain", kind="stable")
    named = len(rows) <= _MANY
    positions = list(range(len(rows)))
    figure = empty_figure(x="Dice", height=160 + (22 if named else 6) * len(rows))
    x: list[Any] = []
    y: list[Any] = []
    for position, row in zip(positions, rows_of(rows), strict=True):
        x += [row.baseline, row.tuned, None]
        y += [position, position, None]
    figure.add_scatter(x=x, y=y, mode="lines", line={"color": GREY, "width": 2}, showlegend=False, hoverinfo="skip")
    for column, name, colour, symbol in (
        ("baseline", names[0], BASELINE[1], BASELINE[2]),
        ("tuned", names[1], BLUE, "circle"),
    ):
        figure.add_scatter(
            x=rows[column].tolist(),
            y=positions,
            mode="markers",
            name=plain(name),
            marker={"color": colour, "symbol": symbol, "size": 10 if named else 6},
            text=plains(rows["case"].tolist()),
            hovertemplate="%{text}: %{x:.4f}<extra></extra>",
        )
    labels = [cut(case, _LONGEST) for case in rows["case"]]
    figure.update_yaxes(tickvals=positions if named else [], ticktext=labels if named else [], showgrid=False)
    figure.update_yaxes(range=[-1, len(rows)], zeroline=False)
    return figure


def class_bars(classes: pd.DataFrame, names: tuple[str, str]) -> "Figure":
    """Mean Dice of each class, baseline and tuned; they lie, so that long names have room on a phone.

    Args:
        classes: columns `class`, `baseline` and `tuned`.
        names: of the baseline and of the tuned setting.
    """
    positions = list(range(len(classes)))
    figure = empty_figure(x="mean Dice over cases", height=150 + 56 * len(classes), barmode="group")
    for column, name, colour, shape in (
        ("baseline", names[0], BASELINE[1], "/"),
        ("tuned", names[1], BLUE, ""),
    ):
        figure.add_bar(
            x=classes[column].tolist(),
            y=positions,
            orientation="h",
            name=plain(name),
            customdata=plains(classes["class"].tolist()),
            marker={"color": colour, "pattern": {"shape": shape}},
            text=["" if pd.isna(value) else f"{value:.3f}" for value in classes[column]],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{customdata}: %{x:.4f}<extra></extra>",
        )
    labels = [cut(name, _LONGEST) for name in classes["class"]]
    figure.update_yaxes(tickvals=positions, ticktext=labels, autorange="reversed", showgrid=False)
    scores = [score for column in ("baseline", "tuned") for score in classes[column] if not pd.isna(score)]
    widest = max(scores, default=0.0) or 1.0
    figure.update_xaxes(range=[0, 1.25 * widest])  # room for the numbers on a phone
    return figure
