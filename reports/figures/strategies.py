"""What checkpoint strategies cost."""

from typing import TYPE_CHECKING

import pandas as pd

from reports.figures.look import BASELINE, BLUE, empty_figure, plain, plains

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def strategy_costs(strategies: pd.DataFrame) -> "Figure":
    """MiB written by each strategy, and how much of it is kept.

    Args:
        strategies: columns `strategy`, `mib_written` and `mib_kept`; a row a trial, averaged by strategy.
    """
    means = strategies.groupby("strategy")[["mib_written", "mib_kept"]].mean().sort_values("mib_written")
    figure = empty_figure(x="MiB a trial, mean", height=150 + 56 * len(means), barmode="group")
    for column, name, colour, shape in (
        ("mib_written", "written", BLUE, ""),
        ("mib_kept", "kept", BASELINE[1], "/"),
    ):
        figure.add_bar(
            x=means[column].tolist(),
            y=plains([str(name) for name in means.index]),
            orientation="h",
            name=plain(name),
            marker={"color": colour, "pattern": {"shape": shape}},
            hovertemplate="%{y}: %{x:.2f} MiB " + name + "<extra></extra>",
        )
    return figure
