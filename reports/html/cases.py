"""Sections on cases: baseline against tuned, and pictures."""

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

import pandas as pd

from components.errors import ComponentError
from reports.figures import case_dots, class_bars
from reports.html.parts import figure, paragraph, table, text
from reports.images import CONFUSED, MISSED, PANELS, SPURIOUS, class_colour, draw_case, predicted_masks
from reports.pairs import Pairing, pair_best
from reports.rows import rows_of
from reports.study_tables import StudyTables

if TYPE_CHECKING:
    from components.data import SegmentationData

_DRAWN = 200  # cases of the figure; of more, those that changed most


def cases(study: StudyTables, ident: str) -> str:
    """Dots a case and bars a class."""
    pairing = pair_best(study)
    if pairing is None:
        return paragraph("This needs a scored search trial and a scored baseline.")
    found = pairing.cases.dropna(subset=["baseline", "tuned"])
    if found.empty:
        return paragraph("The scores of the cases are missing (cases.jsonl).", "warning")
    better = int((found["gain"] > 0).sum())
    drawn = found if len(found) <= _DRAWN else pd.concat([found.head(_DRAWN // 2), found.tail(_DRAWN // 2)])
    sampled = "" if len(drawn) == len(found) else f" Drawn are the {_DRAWN} of {len(found)} that changed most."
    undefined = len(pairing.cases) - len(found)
    left = f" {undefined} without a score in both are left out." if undefined else ""
    baseline, tuned = pairing.names
    body = figure(
        f"{ident}-dots",
        case_dots(drawn, pairing.names),
        f"Dice of each validation case, {baseline} against {tuned}, each at its best epoch: better in {better} of "
        f"{len(found)} cases.{sampled}{left}",
    )
    if len(pairing.classes) > 1:
        body += figure(
            f"{ident}-classes",
            class_bars(pairing.classes, pairing.names),
            f"Mean Dice of each class over validation cases, {baseline} and {tuned}.",
        )
    rows = [[row.case, row.baseline, row.tuned, row.gain] for row in rows_of(found)]
    note = "One training each, on the cases that chose the best epoch and the best setting: no test is made on them."
    return (
        body
        + table(("case", baseline, tuned, "gain"), rows, "The same in numbers", rows_shown=20)
        + paragraph(note, "note")
    )


def images(study: StudyTables, folds: Sequence["SegmentationData"]) -> str:
    """Pictures of the best, the median and the worst case of winner and baseline."""
    pairing = pair_best(study)
    if pairing is None:
        return paragraph("This needs a scored search trial and a scored baseline.")
    errors = _key([("missed", MISSED), ("found in vain", SPURIOUS), ("another class", CONFUSED)])
    classes = _key([(name, class_colour(index)) for index, name in enumerate(folds[0].foreground)]) if folds else ""
    body = f'<p class="key">Classes:{classes}<br>Error:{errors}</p>'
    for number, name in ((pairing.tuned, pairing.names[1]), (pairing.baseline, pairing.names[0])):
        body += f"<h3>{text(name)}</h3>" + _of_trial(study, folds, pairing, number)
    return body


def _key(colours: Sequence[tuple[str, tuple[int, int, int]]]) -> str:
    return "".join(f'<span><i style="background:rgb{colour}"></i>{escape(name)}</span> ' for name, colour in colours)


def _of_trial(study: StudyTables, folds: Sequence["SegmentationData"], pairing: Pairing, number: int) -> str:
    kept = study.checkpoints[(study.checkpoints["number"] == number) & study.checkpoints["kept"]]
    if kept.empty:
        return paragraph("No checkpoint of it is kept, and so no prediction.", "warning")
    line = kept.sort_values(["dice", "epoch"], kind="stable").iloc[-1]
    fold = min((int(line["epoch"]) - 1) // int(study.settings["training"]["epochs"]), len(folds) - 1)
    data = folds[fold]
    try:
        predicted = predicted_masks(study.directory.root / str(line["path"]), data)
    except (ComponentError, OSError, ValueError) as error:
        return paragraph(f"Its predictions cannot be read: {error}", "warning")
    column = "tuned" if number == pairing.tuned else "baseline"
    scored = pairing.cases[pairing.cases["case"].isin(predicted)].dropna(subset=[column]).sort_values(column)
    if scored.empty:
        return paragraph("No case of it has a score.", "warning")
    chosen = {"best": scored.iloc[-1], "median": scored.iloc[len(scored) // 2], "worst": scored.iloc[0]}
    body = ""
    for rank, row in chosen.items():
        case, dice = str(row["case"]), float(row[column])
        strip = draw_case(data, case, predicted[case])
        words = f"{rank} case, {case}: Dice {dice:.4f}"
        panels = "".join(
            f'<figure><img src="{strip.panels[name]}" alt="{text(f"{name} of {words}")}">'
            f"<figcaption>{name}</figcaption></figure>"
            for name in PANELS
        )
        body += paragraph(f"{words}{f' ({strip.note})' if strip.note else ''}") + f'<div class="strip">{panels}</div>'
    return body
