"""The model card of a bundle: what a person reads before using the model."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

CARD = "MODEL_CARD.md"


def card_text(description: Mapping[str, Any], metrics: Mapping[str, Any], parity: Mapping[str, Any] | None) -> str:
    """The card in Markdown.

    Args:
        description: as in `bundle.json`.
        metrics: as in `metrics.json`.
        parity: as in `parity.json`, or None where there is no ONNX model.
    """
    check = metrics["check"]
    sections = [
        _model(description),
        _scores(check, metrics["test"], is_choice=metrics["recorded"] is not None),
        _members(description["members"]),
        _reliability(check["calibration"]),
        _thresholds(description["output"], check["threshold"]),
        _parity(parity),
        _limits(description, check),
        ["## Parameters", "", *_items(description["parameters"], ": ", code=True)],
        ["## Versions", "", *_items(description["versions"], " ")],
    ]
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def _model(description: Mapping[str, Any]) -> list[str]:
    given, gives = description["input"], description["output"]
    turned = f"; volumes turned to {given['orientation']}" if given["orientation"] else ""
    return [
        f"# {description['study']}, {description['trial']}, epoch {description['epoch']}",
        "",
        f"- Takes {given['channels']} channel(s) in {given['axes']}D, normalisation `{given['normalize']}`{turned}.",
        f"- Sizes are continued to multiples of {given['divisor']}.",
        f"- Gives {gives['mode']} masks of {', '.join(gives['classes'])} ({gives['activation']}).",
        f"- Network: `{description['network']['build']}`.",
        *_mirroring(description["tta"]),
        f"- Seed {description['seed']}; data fingerprint `{description['data_fingerprint']}`.",
    ]


def _mirroring(tta: Mapping[str, Any]) -> list[str]:
    if not tta["used"]:
        return []
    axes = ", ".join(map(str, tta["axes"]))
    return [
        (
            f"- Test-time augmentation: the mean of the probabilities over images mirrored along the axes {axes}, "
            f"{2 ** len(tta['axes'])} passes. `model.onnx` is one pass."
        )
    ]


def _scores(check: Mapping[str, Any], tested: Mapping[str, Any] | None, *, is_choice: bool) -> list[str]:
    dice, intervals = check["dice"], check["intervals"]
    again = f"{dice['again']:.4f} in {check['precision']}, {dice['fp32']:.4f} in fp32"
    averaged = dice["tta"] is not None
    how = " over mirrored images" if averaged else ""
    if averaged:
        again += f", {dice['tta']:.4f}{how}"
    known = f"{dice['recorded']:.4f} recorded, again " if dice["recorded"] is not None else "never recorded, now "
    optimistic = "Validation also chose the trial and the epoch: on new images expect less."
    return [
        "## What it scored",
        "",
        (
            f"On validation, {check['cases']} cases of {intervals['groups']} group(s), in fp32{how}. "
            f"{optimistic if is_choice else 'Validation also chose the trainings that it is made of: expect less.'}"
        ),
        "",
        *_intervals(intervals),
        "",
        (
            "The intervals are Student's, over the groups, without the luck of training and of the choice. "
            f"Dice over cases, as the study counts it: {known}{again}."
        ),
        "",
        *_tested(tested),
    ]


def _tested(found: Mapping[str, Any] | None) -> list[str]:
    if not found:
        return ["It was not scored on a test split."]
    return [
        (
            f"On the test split, {found['cases']} cases of {found['groups']} group(s) that chose nothing, scored once "
            f"in the precision of the training{', over mirrored images' if found['tta'] else ''}:"
        ),
        "",
        *_intervals(found),
    ]


def _intervals(found: Mapping[str, Any]) -> list[str]:
    return _table(
        ["metric", "mean over groups", "95 % interval"],
        ([name, f"{value['mean']:.4f}", _range(value)] for name, value in found["metrics"].items()),
    )


def _members(members: Sequence[Mapping[str, Any]]) -> list[str]:
    if not members:
        return []
    return [
        "## Members",
        "",
        "Their probabilities are averaged. Each alone scored",
        "",
        *_table(
            ["training", "epoch", "Dice on validation", "Dice on test"],
            (
                [
                    member["trial"],
                    str(member["epoch"]),
                    f"{member['val_dice']:.4f}",
                    "" if member["test_dice"] is None else f"{member['test_dice']:.4f}",
                ]
                for member in members
            ),
        ),
    ]


def _range(found: Mapping[str, Any]) -> str:
    return "none: one group" if found["low"] is None else f"{found['low']:.4f} to {found['high']:.4f}"


def _reliability(found: Mapping[str, Any]) -> list[str]:
    before, after = found["before"], found["after"]
    bins = {round(entry["low"], 6): entry for entry in (*before["bins"], *after["bins"])}
    sides = [{round(entry["low"], 6): entry for entry in side["bins"]} for side in (before, after)]
    return [
        "## Are its probabilities reliable?",
        "",
        (
            f"The predictor divides logits by a temperature of {found['temperature']:g}, fitted on "
            f"{found['fitted_on']} ({found['pixels']} pixels, of which the numbers below are, too). Masks stay as "
            "they are. `model.onnx` gives logits before it."
        ),
        "",
        *_table(
            ["", "before", "after"],
            [
                ["expected calibration error", *(f"{side['ece']:.4f}" for side in (before, after))],
                ["negative log-likelihood", *(f"{side['nll']:.4f}" for side in (before, after))],
            ],
        ),
        "",
        *_table(
            ["probability", "pixels before", "said", "found", "pixels after", "said", "found"],
            (
                [
                    f"{entry['low']:.2f} to {entry['high']:.2f}",
                    *(part for side in sides for part in _bin(side.get(low))),
                ]
                for low, entry in sorted(bins.items())
            ),
        ),
    ]


def _bin(entry: Mapping[str, Any] | None) -> list[str]:
    return [str(entry["pixels"]), f"{entry['probability']:.3f}", f"{entry['found']:.3f}"] if entry else ["0", "", ""]


def _thresholds(gives: Mapping[str, Any], tuned: Mapping[str, Any] | None) -> list[str]:
    if not tuned:
        return []
    used = zip(tuned["tuned"].items(), gives["threshold"], strict=True)
    return [
        "## Threshold",
        "",
        (
            "Masks are cut where the calibrated probability passes the threshold in use. The best Dice of each class "
            f"on {tuned['tuned_on']} ({tuned['cases']} cases) is at the other,"
        ),
        "",
        *_table(
            ["class", "in use", f"best on {tuned['tuned_on']}"],
            ([name, f"{value:.4g}", f"{best:.4g}"] for (name, best), value in used),
        ),
        "",
        f"with a mean of {tuned['dice_at_tuned']:.4f} in place of {tuned['dice_at_half']:.4f}, on the same cases.",
    ]


def _parity(parity: Mapping[str, Any] | None) -> list[str]:
    if not parity:
        return []
    sizes = ", ".join("×".join(map(str, entry["size"])) for entry in parity["sizes"])
    return [
        "## ONNX against PyTorch",
        "",
        (
            f"Validation images at {sizes}, one by one and {parity['sizes'][0]['batches'][1]} at once: largest "
            f"difference of a logit {parity['largest']:.1e}, 99.9th percentile {parity['p999']:.1e}, share of "
            f"flipped pixels {parity['flipped']:.1e}."
        ),
        "",
        files_line(parity["files"]),
    ]


def files_line(files: Mapping[str, Any]) -> str:
    """What came of the bundle's predictor on validation files, as `files` of `parity.json` says it."""
    if not files["cases"]:
        return f"Only arrays were compared, no files: {files['only_arrays']}."
    names = ", ".join(case["file"] for case in files["cases"])
    how = f"at most {files['largest']:.1e} of the pixels differ from the study's masks"
    return f"`predict.py` on the files {names}: {how}."


def _limits(description: Mapping[str, Any], check: Mapping[str, Any]) -> list[str]:
    cases = ", ".join(f"{count} {split}" for split, count in description["data_cases"].items())
    return [
        "## Limits",
        "",
        f"- It has seen images of one data set ({cases} cases). Nothing here says how it does on others.",
        f"- Scores, thresholds and temperature are of the {check['cases']} validation cases that also chose the model.",
        "- Larger images are predicted in windows, where a network that looks at the whole image gives other logits.",
    ]


def _items(named: Mapping[str, Any], between: str, *, code: bool = False) -> list[str]:
    sign = "`" if code else ""
    return [f"- {sign}{name}{sign}{between}{value}" for name, value in sorted(named.items())] or ["None."]


def _table(head: list[str], rows: Iterable[list[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]
