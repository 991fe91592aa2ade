"""A comparison of losses as a plot."""

import csv
import json
import math
from io import StringIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from components.losses import LossEvaluation

# Okabe & Ito's colours, told apart with any eyes; after them they come again, lighter.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
_EMPTY_COLOURS = {"ok": "#009E73", "no gradient": "#E69F00", "spike": "#D55E00", "not finite": "#000000"}
_ROW_HEIGHT, _HEAD, _FOOT = 26, 95, 50  # pixels: of a loss, above the bars, and below them
_LEGEND_ROW, _TERMS_A_ROW = 22, 5  # pixels; names that stand beside each other in the legend
_FLOOR = 1e-6  # of relative gradients, so that 0 stands on a logarithmic axis
_EMPTY_RANGE = [-7, 4.5]  # powers of ten, with room for a word on either side
_ROOM = 1.35  # for the number behind the longest bar


def plot_loss_evaluation(evaluation: "LossEvaluation") -> "Figure":
    """Draw time, the gradient by term at each stage, and the gradient on empty masks, a row a loss.

    Where every loss is a single term, the share of the gradient on foreground stands in place of the terms.

    Args:
        evaluation: as `LossManager.evaluate` gives it.

    Returns:
        A plotly figure: `write_html` or `show` it.

    Example:
        >>> figure = plot_loss_evaluation(LossManager.evaluate(["dice", "balanced"], masks))
        >>> figure.write_html("losses.html")
    """
    from plotly.subplots import make_subplots  # noqa: PLC0415 - half a second that a table need not wait

    stages = [stage.name for stage in evaluation.stages]
    compound = any(len(found.terms) > 1 for found in evaluation.candidates)
    shared, draw = ("by term", _add_shares) if compound else ("on foreground", _add_foreground)
    titles = [
        "time, ms",
        *(f"gradient {shared}, %<br>{stage.name} (Dice {stage.dice:.2f})" for stage in evaluation.stages),
        "gradient on empty masks,<br>of that with foreground",
    ]
    widths = [1.0, *(1.0 for _ in stages), 1.2]
    figure = make_subplots(
        rows=1,
        cols=len(titles),
        shared_yaxes=True,
        column_widths=[width / sum(widths) for width in widths],
        horizontal_spacing=0.025,
        subplot_titles=titles,
    )
    _add_time(figure, evaluation)
    for column, stage in enumerate(stages, 2):
        draw(figure, evaluation, stage, column)
        figure.update_xaxes(range=[0, 100], tickvals=[0, 50, 100], row=1, col=column)
    _add_empty(figure, evaluation, len(titles))
    _lay_out(figure, evaluation, legend=_terms(evaluation) if compound else [])
    return figure


def rows_text(evaluation: "LossEvaluation", form: str) -> str:
    """The rows of a comparison as `csv` or `json`."""
    rows = evaluation.rows()
    if form == "json":
        plain = [{name: _as_json(value) for name, value in row.items()} for row in rows]
        return json.dumps(plain, indent=2, allow_nan=False)
    text = StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().rstrip("\n")


def _as_json(value: Any) -> Any:
    """The value, or None for NaN and infinity, which JSON does not have."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _add_time(figure: Any, evaluation: "LossEvaluation") -> None:
    times = [found.milliseconds for found in evaluation.candidates]
    figure.add_bar(
        x=times,
        y=_names(evaluation),
        orientation="h",
        marker_color="#666666",
        text=[f"{time:.1f}" for time in times],
        textposition="outside",
        customdata=[found.mebibytes for found in evaluation.candidates],
        hovertemplate="%{y}: %{x:.2f} ms, %{customdata:.1f} MiB<extra></extra>",
        showlegend=False,
        row=1,
        col=1,
    )
    figure.update_xaxes(range=[0, _ROOM * max(times)], nticks=4, row=1, col=1)


def _add_shares(figure: Any, evaluation: "LossEvaluation", stage: str, column: int) -> None:
    for index, term in enumerate(_terms(evaluation)):
        shares = [found.stages[stage].shares.get(term) for found in evaluation.candidates]
        figure.add_bar(
            x=[None if share is None else 100 * share for share in shares],
            y=_names(evaluation),
            orientation="h",
            name=term,
            legendgroup=term,
            showlegend=column == 2,  # noqa: PLR2004 - the first of the stages
            marker_color=_COLOURS[index % len(_COLOURS)],
            marker_pattern_shape="/" if index >= len(_COLOURS) else "",
            hovertemplate=f"%{{y}}: {term} %{{x:.0f}} %<extra></extra>",
            row=1,
            col=column,
        )


def _add_foreground(figure: Any, evaluation: "LossEvaluation", stage: str, column: int) -> None:
    figure.add_bar(
        x=[100 * found.stages[stage].foreground for found in evaluation.candidates],
        y=_names(evaluation),
        orientation="h",
        marker_color=_COLOURS[0],
        hovertemplate="%{y}: %{x:.0f} %<extra></extra>",
        showlegend=False,
        row=1,
        col=column,
    )


def _add_empty(figure: Any, evaluation: "LossEvaluation", column: int) -> None:
    measured = [(found.name, found.empty) for found in evaluation.candidates if found.empty is not None]
    for verdict, colour in _EMPTY_COLOURS.items():
        chosen = [(name, empty) for name, empty in measured if empty.verdict == verdict]
        if chosen:
            figure.add_scatter(
                x=[max(empty.gradient_much, _FLOOR) for _, empty in chosen],
                y=[name for name, _ in chosen],
                mode="markers+text",
                marker={"color": colour, "size": 11},
                text=[verdict] * len(chosen),
                textposition=["middle right" if empty.gradient_much < 1e-2 else "middle left" for _, empty in chosen],  # noqa: PLR2004 - where there is room
                hovertemplate="%{y}: %{x:.2g}<extra></extra>",
                showlegend=False,
                row=1,
                col=column,
            )
    powers = {"tickvals": [1e-6, 1e-4, 1e-2, 1, 100], "ticktext": ["≤10⁻⁶", "10⁻⁴", "0.01", "1", "100"]}
    figure.update_xaxes(type="log", range=_EMPTY_RANGE, **powers, row=1, col=column)


def _lay_out(figure: Any, evaluation: "LossEvaluation", legend: list[str]) -> None:
    rows, foot = len(evaluation.candidates), _FOOT + _LEGEND_ROW * math.ceil(len(legend) / _TERMS_A_ROW)
    figure.update_layout(
        barmode="stack",
        template="plotly_white",
        height=_HEAD + foot + _ROW_HEIGHT * max(rows, 3),
        margin={"t": _HEAD, "b": foot, "l": 10, "r": 20},
        legend={"orientation": "h", "y": 0, "yref": "container", "yanchor": "bottom", "x": 0, "traceorder": "normal"},
        title={"text": f"{rows} losses on {_masks(evaluation)}", "x": 0, "xref": "paper", "y": 0.99, "yanchor": "top"},
        font={"size": 12},
    )
    figure.update_annotations(font_size=12)
    figure.update_yaxes(autorange="reversed", automargin=True, categoryorder="array", categoryarray=_names(evaluation))


def _masks(evaluation: "LossEvaluation") -> str:
    spatial = "×".join(map(str, evaluation.shape[2:]))
    return f"{evaluation.shape[0]} masks of {spatial}, {100 * evaluation.foreground:.1f} % foreground"


def _names(evaluation: "LossEvaluation") -> list[str]:
    return [found.name for found in evaluation.candidates]


def _terms(evaluation: "LossEvaluation") -> list[str]:
    return list(dict.fromkeys(term for found in evaluation.candidates for term in found.terms))
