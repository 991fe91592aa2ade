"""Dice over epochs and over trials."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.figures.look import BASELINE, GREY, STATES, empty_figure, plain
from reports.rows import contenders, rows_of
from tuning.record import trial_label

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def learning_curves(epochs: pd.DataFrame, trials: pd.DataFrame, rungs: Sequence[int] = ()) -> "Figure":
    """Validation Dice over epochs, a line a trial; a cross where a trial was stopped early, a dotted line at each rung.

    Args:
        epochs: columns `number`, `epoch`, `val_dice`.
        trials: columns `number`, `baseline`, `state`, `best_dice`; only their epochs are drawn.
        rungs: epochs at which weak trials are stopped.

    Example:
        >>> learning_curves(epochs_table(study), load_trials(study)).show()  # doctest: +SKIP
    """
    figure = empty_figure(x="epoch", y="validation Dice", height=420)
    finite = epochs[epochs["val_dice"].notna()]
    by_number = dict(tuple(finite[finite["number"].isin(trials["number"])].groupby("number", sort=False)))
    best = _best_number(trials)
    for kind in ("pruned", "failed", "running", "complete", "baseline"):
        chosen = [row for row in rows_of(trials) if _kind(row) == kind and row.number in by_number]
        _add_lines(figure, kind, [(row, by_number[row.number]) for row in chosen if row.number != best])
    if best is not None and best in by_number:
        row = next(row for row in rows_of(trials) if row.number == best)
        colour = _look(_kind(row))[1]
        own = by_number[best]
        figure.add_scatter(
            x=own["epoch"].tolist(),
            y=own["val_dice"].tolist(),
            mode="lines+markers",
            line={"color": colour, "width": 4},
            name=plain(f"best: {trial_label(row.number, row.baseline)}"),
            hovertemplate="epoch %{x}: %{y:.4f}<extra></extra>",
        )
    for rung in rungs:
        figure.add_vline(x=rung, line={"dash": "dot", "color": GREY, "width": 1})
        figure.add_annotation(
            x=rung, y=1, yref="paper", text=f"rung {rung}", showarrow=False, xanchor="left", yanchor="top"
        )
    return figure


def optimisation_history(trials: pd.DataFrame) -> "Figure":
    """Best Dice of each search trial in order, the best so far as a line, the best baseline as a dashed one.

    Args:
        trials: as `load_trials` gives them.
    """
    figure = empty_figure(x="trial", y="best validation Dice")
    scored = trials[trials["best_dice"].notna() & (trials["state"] != "failed")]
    search = scored[scored["baseline"].isna()].sort_values("number")
    for state, (name, colour, symbol) in STATES.items():
        own = search[search["state"] == state]
        if not own.empty:
            figure.add_scatter(
                x=own["number"].tolist(),
                y=own["best_dice"].tolist(),
                mode="markers",
                marker={"color": colour, "symbol": symbol, "size": 8},
                name=name,
                hovertemplate="trial %{x}: %{y:.4f}<extra></extra>",
            )
    if not search.empty:
        so_far = search["best_dice"].cummax()
        steps = search[(so_far.diff() != 0).to_numpy() | (search["number"] == search["number"].max()).to_numpy()]
        figure.add_scatter(
            x=steps["number"].tolist(),
            y=so_far[steps.index].tolist(),
            mode="lines",
            line={"shape": "hv", "color": GREY, "width": 2},
            name="best so far",
            hoverinfo="skip",
        )
    baselines = scored[scored["baseline"].notna()]
    if not baselines.empty:
        best = baselines.sort_values("best_dice").iloc[-1]
        label = f"best baseline, {plain(best['baseline'])}: {best['best_dice']:.4f}"
        figure.add_hline(y=float(best["best_dice"]), line={"dash": "dash", "color": BASELINE[1], "width": 2})
        figure.add_annotation(
            x=1,
            xref="paper",
            y=float(best["best_dice"]),
            text=label,
            showarrow=False,
            xanchor="right",
            yanchor="bottom",
        )
    return figure


def _add_lines(figure: "Figure", kind: str, chosen: list[tuple[Any, pd.DataFrame]]) -> None:
    """All lines of a kind as one trace, with a gap between trials: a trace a trial would make a page of many slow."""
    if not chosen:
        return
    name, colour, symbol = _look(kind)
    x: list[Any] = []
    y: list[Any] = []
    text: list[str] = []
    for row, own in chosen:
        x += [*own["epoch"].tolist(), None]
        y += [*own["val_dice"].tolist(), None]
        text += [plain(trial_label(row.number, row.baseline))] * len(own) + [""]
    figure.add_scatter(
        x=x,
        y=y,
        text=text,
        mode="lines" if any(len(own) > 1 for _, own in chosen) else "markers",
        line={"color": colour, "width": 1.5, "dash": "dash" if kind == "baseline" else "solid"},
        opacity=0.75,
        name=name,
        legendgroup=kind,
        hovertemplate="%{text}, epoch %{x}: %{y:.4f}<extra></extra>",
    )
    if kind in ("pruned", "failed"):
        figure.add_scatter(
            x=[own["epoch"].iloc[-1] for _, own in chosen],
            y=[own["val_dice"].iloc[-1] for _, own in chosen],
            text=[plain(trial_label(row.number, row.baseline)) for row, _ in chosen],
            mode="markers",
            marker={"color": colour, "symbol": symbol, "size": 8},
            showlegend=False,
            legendgroup=kind,
            hovertemplate="%{text} ended after epoch %{x}<extra></extra>",
        )


def _kind(row: Any) -> str:
    return "baseline" if row.baseline is not None and not pd.isna(row.baseline) else str(row.state)


def _look(kind: str) -> tuple[str, str, str]:
    return BASELINE if kind == "baseline" else STATES[kind]


def _best_number(trials: pd.DataFrame) -> int | None:
    scored = contenders(trials)
    return (
        None if scored.empty else int(scored.sort_values("best_dice", ascending=False, kind="stable")["number"].iloc[0])
    )
