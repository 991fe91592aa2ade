"""A comparison of losses as a plot."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from components.losses import LossEvaluation

# Okabe & Ito's colours, told apart with any eyes; after them they come again, lighter.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
_EMPTY_COLOURS = {"ok": "#009E73", "no gradient": "#E69F00", "spike": "#D55E00", "not finite": "#000000"}
_ROW_HEIGHT, _HEAD, _FOOT = 26, 110, 110  # pixels: of a loss, above the bars, and below them for the legend
_FLOOR = 1e-6  # of relative gradients, so that 0 stands on a logarithmic axis


def plot_loss_evaluation(evaluation: "LossEvaluation") -> "Figure":
    """Draw time, each term's share of the gradient by stage, and the gradient on empty masks, a row a loss.

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
    titles = [
        "time, ms",
        *(f"gradient by term, {stage.name}<br>(Dice {stage.dice:.2f})" for stage in evaluation.stages),
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
        _add_shares(figure, evaluation, stage, column)
    _add_empty(figure, evaluation, len(titles))
    _lay_out(figure, evaluation)
    return figure


def _add_time(figure: Any, evaluation: "LossEvaluation") -> None:
    times = [found.milliseconds for found in evaluation.candidates]
    figure.add_bar(
        x=times,
        y=_names(evaluation),
        orientation="h",
        marker_color="#666666",
        text=[f"{time:.1f}" for time in times],
        textposition="auto",
        customdata=[found.mebibytes for found in evaluation.candidates],
        hovertemplate="%{y}: %{x:.2f} ms, %{customdata:.1f} MiB<extra></extra>",
        showlegend=False,
        row=1,
        col=1,
    )
    figure.update_xaxes(type="log", row=1, col=1)


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
    figure.update_xaxes(range=[0, 100], ticksuffix=" %", tickvals=[0, 50, 100], row=1, col=column)


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
    figure.update_xaxes(type="log", dtick=2, exponentformat="power", row=1, col=column)


def _lay_out(figure: Any, evaluation: "LossEvaluation") -> None:
    rows = len(evaluation.candidates)
    figure.update_layout(
        barmode="stack",
        template="plotly_white",
        height=_HEAD + _FOOT + _ROW_HEIGHT * max(rows, 3),
        margin={"t": _HEAD, "b": _FOOT, "l": 10, "r": 20},
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
