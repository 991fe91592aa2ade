"""Decisions and replays as text."""

import csv
import json
import math
from io import StringIO
from typing import Any

import pytest

from components.checkpoints import (
    AdaptivePolicy,
    BestPolicy,
    Decision,
    EpochPolicy,
    SaveMoment,
    Step,
    Trace,
    compare_policies,
)
from reports.decisions import explain_text
from reports.replay import replay_text


def decisions() -> list[Decision]:
    policy = AdaptivePolicy("val_dice")
    first = policy.decide(SaveMoment(1, {"val_dice": 0.5}))
    second = policy.decide(SaveMoment(2, {"val_dice": 0.51, "val_dice_se": 0.1}, best=0.5, save_seconds=1.0))
    third = policy.decide(SaveMoment(3, {}, best=0.5, save_seconds=1.0))
    facts: dict[str, Any] = {"seconds": 0.1234, "bytes": 3 << 20, "path": "u[red]_001"}
    return [
        Decision.of(first, epoch=1, metric=0.5, epoch_seconds=9.0, cases={"a": 0.5}, **facts),
        Decision.of(second, epoch=2, metric=0.51, epoch_seconds=9.0, seconds=0.01),
        Decision.of(third, epoch=3, metric=math.nan, epoch_seconds=9.0),
    ]


def test_a_table_tells_what_was_done_and_why() -> None:
    lines = [line.strip() for line in explain_text(decisions(), "table").splitlines()]
    assert " ".join(lines[0].split()) == "epoch time decision kind reason metric waited s MiB checkpoint"
    saved, held, nothing, total = lines[2:]
    assert total == "1 saves, 3.0 MiB written; training waited 0.133 s, 0.49 % of the time"
    assert saved.startswith("1 ")
    for part in ("save", "best", "the first that counts", "0.5000", "0.123", "3.0", "u[red]_001"):
        assert part in saved
    for part in ("hold", "gain 0.01 within noise 0.1; 0.0 s since the last save, τ 169.7 s", "0.010"):
        assert part in held
    assert " - " in nothing
    assert "val_dice is no number" in nothing


def test_csv_and_json_hold_the_inputs() -> None:
    rows = json.loads(explain_text(decisions(), "json"), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert [(row["epoch"], row["save"], row["hold"]) for row in rows] == [
        (1, True, False),
        (2, False, True),
        (3, False, False),
    ]
    assert rows[1]["inputs"]["margin"] == 0.1
    assert rows[2]["metric"] is None
    table = list(csv.DictReader(StringIO(explain_text(decisions(), "csv"))))
    assert [json.loads(row.pop("inputs"))["value"] for row in table] == [0.5, 0.51, None]
    assert [row["path"] for row in table] == ["u[red]_001", "", ""]


def test_policies_stand_beside_each_other() -> None:
    trace = Trace([Step(epoch, 10.0, metric, 1.0, bytes=1 << 20) for epoch, metric in ((1, 0.5), (2, 0.4))])
    rows = compare_policies(trace, {"best": BestPolicy("val_dice"), "epoch": EpochPolicy()})
    best, epoch = replay_text(rows, "table").splitlines()[2:]
    assert " ".join(best.split()) == "best 1 1.0 1.0 1.0 4.76 5.2 10.0 0.00476 0.00000"
    assert epoch.split()[:4] == ["epoch", "2", "2.0", "2.0"]
    assert json.loads(replay_text(rows, "json")) == rows
    (first, _) = csv.DictReader(StringIO(replay_text(rows, "csv")))
    assert (first["policy"], first["bytes_written"], first["final_regret"]) == ("best", str(1 << 20), "0.0")


def test_a_trace_without_metrics_has_no_regret() -> None:
    trace = Trace([Step(1, 10.0, None, 1.0)])
    rows = compare_policies(trace, {"epoch": EpochPolicy()})
    assert json.loads(replay_text(rows, "json"))[0]["final_regret"] is None
    assert replay_text(rows, "table").splitlines()[2].split()[-1] == "10.0"
