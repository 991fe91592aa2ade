"""What the terms of a loss did during a training."""

from typing import TYPE_CHECKING

import pandas as pd

from reports.figures.look import DASHES, SERIES, empty_figure, plain

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_TITLES = {
    "loss": "value of the term",
    "weight": "weight",
    "weighted": "weighted value",
    "gradient_share": "share of the gradient",
}


def term_curves(terms: pd.DataFrame, part: str = "loss") -> "Figure":
    """A line a term over the epochs of one trial.

    Args:
        terms: rows of one trial of `terms_table`.
        part: the column drawn: `loss`, `weight`, `weighted` or `gradient_share`.

    Example:
        >>> terms = terms_table(study)
        >>> term_curves(terms[terms["number"] == 7], "weight")  # doctest: +SKIP
    """
    figure = empty_figure(x="epoch", y=_TITLES.get(part, part), height=320, showlegend=True)
    for index, (term, own) in enumerate(terms.groupby("term", sort=False)):
        figure.add_scatter(
            x=own["epoch"].tolist(),
            y=own[part].tolist(),
            mode="lines+markers",
            name=plain(term),
            line={"color": SERIES[index % len(SERIES)], "dash": DASHES[index % len(DASHES)]},
            hovertemplate="epoch %{x}: %{y:.4g}<extra></extra>",
        )
    figure.update_yaxes(rangemode="tozero")
    return figure
