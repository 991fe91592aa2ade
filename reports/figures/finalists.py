"""The means of finalists and baseline with their intervals."""

from typing import TYPE_CHECKING

import pandas as pd

from reports.figures.look import BASELINE, BLUE, empty_figure, plains

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def finalists_intervals(means: pd.DataFrame, baseline: str) -> "Figure":
    """A dot and its 95 % interval a setting, the best above.

    Args:
        means: as `reports.statistics.settings_means` gives them.
        baseline: the setting that is drawn as such.
    """
    rows = means.iloc[::-1]
    figure = empty_figure(x="mean Dice", height=140 + 44 * len(rows))
    for is_baseline, (name, colour, symbol) in ((False, ("finalist", BLUE, "circle")), (True, BASELINE)):
        own = rows[(rows["setting"] == baseline) == is_baseline]
        if own.empty:
            continue
        figure.add_scatter(
            x=own["mean"].tolist(),
            y=plains(own["setting"].tolist()),
            mode="markers",
            name=name,
            marker={"color": colour, "symbol": symbol, "size": 12},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": (own["high"] - own["mean"]).tolist(),
                "arrayminus": (own["mean"] - own["low"]).tolist(),
                "color": colour,
            },
            hovertemplate="%{y}: %{x:.4f}<extra></extra>",
        )
    figure.update_yaxes(categoryorder="array", categoryarray=plains(rows["setting"].tolist()))
    return figure
