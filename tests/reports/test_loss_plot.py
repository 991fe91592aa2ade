"""The plot of a comparison of losses shows the numbers of its rows."""

import csv
import io
import json

import pytest
import torch
from torch import Tensor, nn

from components.losses import LossEvaluation, LossManager
from reports import plot_loss_evaluation
from reports.losses import rows_text


@pytest.fixture(scope="module")
def evaluation() -> LossEvaluation:
    masks = torch.zeros(2, 1, 32, 32)
    masks[:, :, 6:26, 12:18] = 1
    return LossManager.evaluate(["dice", "bce", "balanced"], masks, repeats=1)


def test_bars_of_time_and_of_shares_are_those_of_the_rows(evaluation: LossEvaluation) -> None:
    figure = plot_loss_evaluation(evaluation)
    rows = evaluation.rows()
    bars = [trace for trace in figure.data if trace.type == "bar"]
    assert list(bars[0].x) == [row["milliseconds"] for row in rows]
    half = {trace.name: trace for trace in bars if trace.xaxis == "x3"}
    assert list(half["dice"].x) == [100.0, None, pytest.approx(100 * rows[2]["share_dice_half"])]
    assert list(half["bce"].y) == ["dice", "bce", "balanced"]
    assert sum(trace.showlegend is True for trace in bars) == 2  # each term once


def test_verdicts_on_empty_masks_are_written_beside_their_dots(evaluation: LossEvaluation) -> None:
    dots = [trace for trace in plot_loss_evaluation(evaluation).data if trace.type == "scatter"]
    assert {(name, word) for trace in dots for name, word in zip(trace.y, trace.text, strict=True)} == {
        ("dice", "no gradient"),
        ("bce", "ok"),
        ("balanced", "ok"),
    }


def test_losses_of_one_term_show_how_much_falls_on_foreground(evaluation: LossEvaluation) -> None:
    masks = torch.zeros(1, 1, 16, 16)
    masks[..., 4:8] = 1
    alone = LossManager.evaluate(["dice", "bce"], masks, repeats=1)
    bars = [trace for trace in plot_loss_evaluation(alone).data if trace.type == "bar"]
    assert list(bars[1].x) == [pytest.approx(100 * row["foreground_untrained"]) for row in alone.rows()]
    assert len(plot_loss_evaluation(evaluation).layout.annotations) == 5


def test_rows_are_the_same_as_csv_and_json(evaluation: LossEvaluation) -> None:
    rows = json.loads(rows_text(evaluation, "json"))
    table = list(csv.DictReader(io.StringIO(rows_text(evaluation, "csv"))))
    assert [row["loss"] for row in table] == [row["loss"] for row in rows] == ["dice", "bce", "balanced"]
    assert [float(row["milliseconds"]) for row in table] == [row["milliseconds"] for row in rows]
    assert table[0]["share_bce_half"] == ""


class Undefined(nn.Module):
    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return (logits * target).sum() * float("nan")


def test_what_is_not_finite_is_null_in_json() -> None:
    found = LossManager.evaluate({"mine": Undefined(), "dice": {"type": "dice"}}, torch.ones(1, 1, 8, 8), repeats=1)
    text = rows_text(found, "json")
    assert "NaN" not in text
    assert json.loads(text)[0]["value_half"] is None
