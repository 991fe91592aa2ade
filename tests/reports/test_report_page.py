"""The report shows what there is, says what is missing, and lets no text become HTML."""

import json
import math
import re
from pathlib import Path

import pytest

from components.errors import InvalidInputError
from reports import Finalists, StudyTables, report_html, report_markdown, summary_sentences, write_report
from tests.report_studies import StudyWriter, write_finalists, write_large_study
from tests.reports_scores import noisy_scores

_MARKED = "<script>alert('x')</script>"


def without_scripts(page: str) -> str:
    return re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)


def figures_of(page: str) -> list[str]:
    return re.findall(r'<div class="plot" id="([^"]+)"', page)


def complete(root: Path) -> StudyWriter:
    study = StudyWriter(root, epochs=4)
    cases = {"a": 0.7, "b": 0.8, "c": 0.9}
    study.add([0.2, 0.5, 0.6, 0.7], baseline="dice", weights={"dice": 1.0}, cases=cases)
    for number in range(10):
        weights = {"dice": 0.1 + number / 20, "bce": 0.5 - number / 40, "focal": 0.4 - number / 40}
        curve = [0.3, 0.5, 0.6 + number / 100, 0.7 + number / 50]
        study.add(curve, weights=weights, params={"training.lr": 10 ** -(1 + number / 5)}, cases=cases)
    study.add([0.1, 0.15, 0.1], state="pruned", cause="stopped at rung 3")
    study.add([], state="failed", cause="the loss is NaN", log="line of the log\n")
    return study


def test_a_complete_study_has_every_figure_and_nothing_is_missing(tmp_path: Path) -> None:
    page = report_html(complete(tmp_path / "study").write())
    assert figures_of(page) == [
        "curves-plot",
        "curves-history",
        "settings-importance",
        "settings-axes",
        "settings-map",
        "terms-tuned-loss",
        "terms-tuned-gradient_share",
        "terms-baseline-loss",
        "terms-baseline-gradient_share",
        "cases-dots",
    ]
    text = without_scripts(page)
    assert "could not be drawn" not in text
    assert "What is missing" not in text
    for part in ("on the 10 finished trials only", "line of the log", "2 masks are empty", "segtune run again.yaml"):
        assert part in text
    assert len(page) < 8_000_000


def test_the_summary_is_three_sentences(tmp_path: Path) -> None:
    done, first, claim = summary_sentences(StudyTables(complete(tmp_path / "study").write()))
    assert done == (
        "written: 12 settings and 1 baseline were trained on discs (11 finished, 1 stopped early, 1 failed), which "
        "took 1 min 10 s of training, and early stopping spared 2 % of the epochs."
    )
    assert first == (
        "Best on validation is trial 9 (0.55 dice + 0.28 bce + 0.18 focal) with Dice 0.8800 at epoch 4; the best "
        "baseline, dice, reached 0.7000 (+0.1800)."
    )
    assert claim.startswith("No winner is named: these are single trainings")


@pytest.mark.parametrize("kind", ["empty", "running", "failed", "unscored"])
def test_a_study_without_results_is_reported(tmp_path: Path, kind: str) -> None:
    study = StudyWriter(tmp_path / "study")
    if kind == "running":
        study.add([0.4, 0.5], state="running")
    if kind == "failed":
        study.add([], state="failed", cause="out of memory")
    if kind == "unscored":
        study.add([math.nan] * 3, state="failed", cause="NaN", baseline="bce")
        study.add([math.nan] * 3, state="complete")
    page = without_scripts(report_html(study.write()))
    assert "could not be drawn" not in page
    assert "cannot be summed up" not in page
    assert report_markdown(study.directory.root).startswith("## study")


def test_damage_is_named_and_the_rest_shown(tmp_path: Path) -> None:
    root = complete(tmp_path / "study").write()
    (root / "trials" / "0009" / "metrics.jsonl").write_text('{"epoch": 1, "val_dice": NaN, "seconds": NaN}\nrubbish\n')
    (root / "trials" / "0009" / "cases.jsonl").write_text('{"epoch": 4}\n[]\n')
    (root / "attempts.jsonl").write_bytes(b"\xff\xfe\n")
    page = report_html(root)
    text = without_scripts(page)
    assert "What is missing" in text
    assert "0009/metrics.jsonl: 1 damaged line (2) left out" in text
    assert "0009/cases.jsonl: 1 damaged line (2) left out" in text
    assert "The scores of the cases are missing" in text
    assert "curves-plot" in figures_of(page)


def test_what_users_wrote_stays_text(tmp_path: Path) -> None:
    study = StudyWriter(tmp_path / "study", name=_MARKED)
    study.add([0.5, 0.6], baseline=_MARKED, cases={_MARKED: 0.5}, weights={_MARKED: 1.0})
    study.add([0.5, 0.7], params={_MARKED: _MARKED}, cases={_MARKED: 0.6})
    study.add([], state="failed", cause=_MARKED, log=f"</pre>{_MARKED}")
    page = report_html(study.write())
    assert _MARKED not in page
    assert "&lt;script&gt;alert" in page
    contents = re.findall(r'<script type="application/json">(.*?)</script>', page)
    names = [trace["name"] for content in contents for trace in json.loads(content)["data"] if "name" in trace]
    assert "baseline &lt;script&gt;alert('x')&lt;/script&gt;" in names  # as plotly shows it unchanged
    assert "<script>" not in report_markdown(study.directory.root)


def test_images_that_cannot_be_had_are_said_to_be_missing(tmp_path: Path) -> None:
    def gone(study: StudyTables) -> list[object]:
        raise InvalidInputError(f"{study.name}: the folder is gone.")

    page = without_scripts(report_html(complete(tmp_path / "study").write(), images=gone))  # type: ignore[arg-type]
    assert "Pictures: InvalidInputError: study: the folder is gone." in page
    assert "No checkpoint of it is kept" in without_scripts(report_html(tmp_path / "study", images=lambda _: []))


def test_of_many_trials_some_are_drawn_and_that_is_said(tmp_path: Path) -> None:
    page = report_html(write_large_study(tmp_path / "study", trials=300, epochs=3))
    assert "150 of 304 are drawn: baselines, the best, and an even choice of the others" in page
    assert len(page) < 8_000_000


def test_strategies_are_compared_where_there_are_several(tmp_path: Path) -> None:
    study = StudyWriter(tmp_path / "study")
    for strategy in ("best", "epoch"):
        study.add([0.5], params={"checkpoint.strategy": strategy})
    assert "kinds-strategies" in figures_of(report_html(study.write()))


def test_several_studies_are_compared_in_one_file(tmp_path: Path) -> None:
    one, two = complete(tmp_path / "one").write(), StudyWriter(tmp_path / "two").write()
    written = write_report([one, two])
    assert written == one / "report" / "comparison.html"
    page = written.read_text(encoding="utf-8")
    assert "Studies compared" in page
    assert "two: Leaderboard" in page
    identifiers = re.findall(r' id="([^"]+)"', page)
    assert len(identifiers) == len(set(identifiers))


def test_finalists_come_first_with_what_may_be_claimed(tmp_path: Path) -> None:
    scores = noisy_scores({"base": 0, "better": 0.03})
    finalists = Finalists(scores, "base", search={"better": 0.9}, retrained=scores)
    root = complete(tmp_path / "study").write()
    page = report_html(root, finalists=finalists)
    assert figures_of(page)[0] == "finalists-means"
    assert "better beats base: +0.0" in page
    assert "What the search had promised" in page
    assert "better beats base" in report_markdown(root, finalists=finalists)


def test_what_finalists_cost_and_how_they_failed_is_shown(tmp_path: Path) -> None:
    root = complete(tmp_path / "study").write()
    write_finalists(root, failed=1)
    page = without_scripts(report_html(root))
    assert "3 of 4 trainings were scored on cases held out (1 failed)." in page
    assert "1 of 4 trainings of finalists failed." in page
    assert "baseline dice, seed 1002: the loss is NaN" in page
    assert '<th scope="row">epochs trained</th><td>47</td><td>8</td>' in page
    assert "What the search had promised" in page


def test_finalists_that_are_not_tested_yet_are_said_to_be_so(tmp_path: Path) -> None:
    root = complete(tmp_path / "study").write()
    write_finalists(root)
    for path in (root / "finalists" / "trials").glob("b0[2-4]/test.jsonl"):
        path.unlink()
    assert "Nothing to compare yet: baseline dice has no score on cases held out." in report_markdown(root)
    (root / "finalists" / "trials" / "b01" / "test.jsonl").unlink()
    page = without_scripts(report_html(root))
    assert "0 of 4 trainings were scored on cases held out." in page
    assert "could not be drawn" not in page


def test_saving_and_averages_have_their_tables(tmp_path: Path) -> None:
    root = complete(tmp_path / "study").write()
    for path in (root / "trials").glob("*/metrics.jsonl"):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        averaged = [row | {"dice_of_raw": row["val_dice"], "dice_of_ema": 0.75} for row in rows]
        path.write_text("".join(json.dumps(row) + "\n" for row in averaged))
    page = without_scripts(report_html(root))
    assert '<th scope="row">best</th><td class="number">13</td>' in page
    assert "% of time waited" in page
    for head in ("best epoch", "last epoch", "EMA"):
        assert f">{head}</th>" in page
