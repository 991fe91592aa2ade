"""The sections of a study's report, each a function from its tables to HTML."""

from collections.abc import Callable, Sequence

import pandas as pd

from reports.comparing import By, compare
from reports.costs import costs_of, duration
from reports.figures import (
    importance_bars,
    learning_curves,
    optimisation_history,
    parallel_axes,
    strategy_costs,
    term_curves,
    ternary_weights,
)
from reports.html.parts import figure, folded, paragraph, preformatted, table
from reports.importance import MIN_FINISHED, MOST, setting_importances
from reports.rows import rows_of
from reports.sampling import sample_trials
from reports.sentences import best_of, loss_words
from reports.settings import loss_weights, settings_table
from reports.strategies import averages_rows, averages_table, strategies_table
from reports.study_tables import StudyTables
from reports.summary import describe_settings
from tuning.record import trial_label

CURVES, LINES, DOTS = 150, 200, 2000  # trials drawn of a study that has more
_AXES = 10  # settings that have room beside each other
_TERNARY = 3
_MIB = 1 << 20


def leaderboard(study: StudyTables, _ident: str) -> str:
    """Trials by Dice."""
    trials = study.trials
    if trials.empty:
        return paragraph("No trial has started yet.")
    rows = [
        [
            trial_label(row.number, row.baseline),
            float(row.best_dice),
            None if pd.isna(row.best_epoch) else int(row.best_epoch),
            row.state,
            int(row.epochs),
            round(row.seconds, 1),
            loss_words(row, study.settings),
            "" if row.baseline else describe_settings({k: v for k, v in row.params.items() if k != "loss.weights"}),
            row.cause,
        ]
        for row in rows_of(trials.sort_values("best_dice", ascending=False, kind="stable").head(CURVES))
    ]
    columns = ("trial", "best Dice", "at epoch", "state", "epochs", "seconds", "loss", "settings", "why it ended")
    note = "A stopped trial's Dice is that of a shorter training."
    return table(columns, rows, f"{len(trials)} trials by best validation Dice", rows_shown=12) + paragraph(
        note, "note"
    )


def curves(study: StudyTables, ident: str) -> str:
    """Learning curves and the history of the search."""
    trials, epochs = study.trials, study.epochs
    if epochs.empty or not epochs["val_dice"].notna().any():
        return paragraph("No epoch with a Dice was recorded.", "warning")
    chosen = sample_trials(trials, CURVES)
    rungs = _rungs(study)
    body = figure(
        f"{ident}-plot",
        learning_curves(epochs, chosen, rungs),
        f"Validation Dice by epoch, a line a trial{_sampled(chosen, trials)}. A cross marks where one was stopped early"
        + (f", at one of the rungs after epochs {', '.join(map(str, rungs))}." if rungs else "."),
    )
    dots = sample_trials(trials, DOTS)
    return body + figure(
        f"{ident}-history",
        optimisation_history(dots),
        f"Best Dice of each trial in the order of the search{_sampled(dots, trials)}, with the best so far.",
    )


def settings(study: StudyTables, ident: str) -> str:
    """Importance, parallel axes and the map of weights."""
    search = study.trials[study.trials["baseline"].isna()]
    scored = search[search["best_dice"].notna() & (search["state"] != "failed")]
    if scored.empty:
        return paragraph("No search trial has a score yet.")
    finished = scored[scored["state"] == "complete"]
    importances = setting_importances(settings_table(finished), finished["best_dice"]) if len(finished) else pd.Series()
    if len(importances):
        body = figure(
            f"{ident}-importance",
            importance_bars(importances),
            f"Importance by PED-ANOVA of reaching the best fifth, on {_counted(len(finished))} finished trials only.",
        )
    else:
        body = paragraph(
            f"Importance is not shown: it needs {MIN_FINISHED} finished trials whose settings and Dice differ, and "
            f"{len(finished)} finished. Stopped trials do not count, since their Dice is that of a shorter training.",
            "note",
        )
    return body + _axes(scored, ident) + _map(study, scored, ident)


def terms(study: StudyTables, ident: str) -> str:
    """What the loss terms of the best trial and of the best baseline did."""
    body = ""
    for kind, baseline in (("tuned", False), ("baseline", True)):
        best = best_of(study.trials, baseline=baseline)
        own = study.terms[study.terms["number"] == best.number] if best is not None else study.terms.iloc[:0]
        if own.empty or best is None:
            continue
        label = trial_label(best.number, best.baseline)
        parts = [("loss", "Value of each loss term"), ("gradient_share", "Share of each term in the gradient")]
        moving = own.groupby("term")["weight"].nunique().max() > 1
        parts += [("weight", "Weight of each term, as its schedule moved it")] if moving else []
        for part, words in parts:
            if part in own and own[part].notna().any():
                body += figure(f"{ident}-{kind}-{part}", term_curves(own, part), f"{words} in {label}, by epoch.")
        if not moving:
            body += paragraph(
                f"The weights of {label} stayed as they were: {loss_words(best, study.settings)}.", "note"
            )
    return body or paragraph("No trial recorded loss terms.")


def kinds(study: StudyTables, ident: str) -> str:
    """Loss families, strategies and schedules beside each other."""
    if study.trials.empty:
        return paragraph("No trial has started yet.")
    ways: tuple[tuple[By, str], ...] = (
        ("loss", "Loss families"),
        ("strategy", "Checkpoint strategies"),
        ("schedule", "Loss schedules"),
    )
    body = paragraph(
        "Best, median and mean are over finished trials of one training each: a hint where to look.", "note"
    )
    for way, words in ways:
        found = compare(study, by=way)
        rows = [
            [
                *(row.kind, row.trials, row.finished, row.pruned, row.failed, row.best, row.median, row.epochs),
                *(row.seconds, row.mib_written, row.mib_kept),
            ]
            for row in rows_of(found)
        ]
        columns = (
            "kind",
            "trials",
            "finished",
            "stopped",
            "failed",
            "best",
            "median",
            "epochs",
            "seconds",
            "MiB written",
        )
        body += table((*columns, "MiB kept"), rows, words)
        if way == "strategy" and len(found) > 1:
            each = found[["mib_written", "mib_kept"]].div(found["trials"], axis=0).assign(strategy=found["kind"])
            caption = "What each checkpoint strategy wrote and kept, in MiB a trial."
            body += figure(f"{ident}-strategies", strategy_costs(each), caption)
    return body + _saves(study) + _averages(study)


def _saves(study: StudyTables) -> str:
    """What saving cost, a row a strategy."""
    rows = []
    for (strategy, averaging), own in strategies_table(study).groupby(["strategy", "averaging"], sort=False):
        name = strategy if averaging == "none" else f"{strategy}, {averaging}"
        saves, kept = float(own["saves"].mean()), float(own["kept"].mean())
        rows.append([name, len(own), saves, float(own["waited_percent"].mean()), kept, float(own["mib_kept"].mean())])
    columns = ("strategy", "trials", "saves", "% of time waited", "checkpoints kept", "MiB kept")
    return table(columns, rows, "What saving cost each trial, in the mean")


def _averages(study: StudyTables) -> str:
    """The averages of weights beside the network itself, where the study compared them."""
    averages = averages_table(study)
    if averages.empty:
        return ""
    columns, rows = averages_rows(averages, study.trials)
    caption = "Averages of the same training: Dice at its end"
    return table(columns, [rows[-1], *rows[:-1]], caption, rows_shown=12)


def failures(study: StudyTables, _ident: str) -> str:
    """Failed trials, and failed trainings of finalists, with the end of their logs."""
    body = _failed(study, "trials") + (_failed(study.finalists, "trainings of finalists") if study.finalists else "")
    return body or paragraph("No trial failed.")


def _failed(study: StudyTables, noun: str) -> str:
    found = study.failures
    if found.empty:
        return ""
    body = paragraph(f"{len(found)} of {len(study.trials)} {noun} failed.", "warning")
    for row in rows_of(found.head(CURVES // 5)):
        log = preformatted(str(row.log)) if row.log else paragraph("Its log is empty or missing.")
        body += folded(f"{trial_label(row.number, row.baseline)}: {row.cause or 'no cause was recorded'}", log)
    left = len(found) - CURVES // 5
    return body + (paragraph(f"{left} more are in the table of failures.", "note") if left > 0 else "")


def cost(study: StudyTables, _ident: str) -> str:
    """What the search cost, and beside it the finalists."""
    columns, rows = ["what", "search"], _costs(study)
    if study.finalists:
        columns.append("finalists")
        rows = [[*row, other[1]] for row, other in zip(rows, _costs(study.finalists), strict=True)]
    return table(columns, rows, "Costs over all trials and attempts")


def _costs(study: StudyTables) -> list[list[object]]:
    found = costs_of(study)
    planned = found.epochs + found.spared_epochs
    return [
        ["training and validation", duration(found.seconds)],
        [f"{found.device} time", f"{found.device_seconds:,.0f} s"],
        ["epochs trained", f"{found.epochs:,}"],
        ["epochs spared by early stopping", f"{found.spared_epochs:,} of {planned:,}"],
        ["checkpoints written", f"{found.bytes_written / _MIB:,.1f} MiB"],
        ["checkpoints kept", f"{found.bytes_kept / _MIB:,.1f} MiB"],
        ["failed trials", int((study.trials["state"] == "failed").sum())],
        ["attempts", sum(event.get("event") == "start" for event in study.attempts)],
    ]


def _axes(scored: pd.DataFrame, ident: str) -> str:
    chosen = sample_trials(scored, LINES)
    drawn = settings_table(chosen)
    varied = drawn.loc[:, [len(drawn[name].unique()) > 1 for name in drawn.columns]]
    if varied.empty:
        return ""
    shown = varied.iloc[:, :_AXES]
    left = f"; the first {_AXES} of {varied.shape[1]} settings" if varied.shape[1] > _AXES else ""
    return figure(
        f"{ident}-axes",
        parallel_axes(shown, chosen["best_dice"]),
        f"Each line is a trial, from setting to setting to its Dice{_sampled(chosen, scored)}{left}. Trials are in "
        "five groups by Dice; the thicker the line, the better. Stopped trials are drawn with the Dice they reached.",
    )


def _map(study: StudyTables, scored: pd.DataFrame, ident: str) -> str:
    chosen = sample_trials(scored, LINES)
    weights = pd.DataFrame([loss_weights(params, study.settings) for params in chosen["params"]], index=chosen.index)
    weights = weights.fillna(0.0)
    if weights.shape[1] < _TERNARY - 1:
        return ""
    heaviest = list(weights.sum().sort_values(ascending=False, kind="stable").index)
    shown = weights[[name for name in weights.columns if name in heaviest[:_TERNARY]]]
    left = f"; of {weights.shape[1]} terms the three with the most weight" if weights.shape[1] > _TERNARY else ""
    return figure(
        f"{ident}-map",
        ternary_weights(shown, chosen["best_dice"]),
        f"Dice over the weights of {', '.join(shown.columns)}{left}{_sampled(chosen, scored)}. Brighter is better.",
    )


def _counted(finished: int) -> str:
    return f"the {finished}" if finished <= MOST else f"the last {MOST} of {finished}"


def _rungs(study: StudyTables) -> list[int]:
    scheduler, budget = study.settings.get("scheduler") or {}, study.settings["training"]["epochs"]
    budget *= study.settings["data"].get("folds") or 1
    if scheduler.get("type") != "asha" or not scheduler.get("grace"):
        return []
    rungs, rung = [], float(scheduler["grace"])
    while rung < budget:
        rungs.append(int(rung))
        rung *= max(float(scheduler.get("reduction", 3)), 1.1)
    return rungs


def _sampled(chosen: pd.DataFrame, trials: pd.DataFrame) -> str:
    if len(chosen) == len(trials):
        return ""
    return f" ({len(chosen)} of {len(trials)} are drawn: baselines, the best, and an even choice of the others)"


Section = Callable[[StudyTables, str], str]
SECTIONS: Sequence[tuple[str, str, Section]] = (
    ("leaderboard", "Leaderboard", leaderboard),
    ("curves", "Learning curves and history", curves),
    ("settings", "What the settings do", settings),
    ("terms", "Loss terms and weights", terms),
    ("kinds", "Losses, strategies and schedules compared", kinds),
)
LAST: Sequence[tuple[str, str, Section]] = (
    ("failures", "Failures", failures),
    ("costs", "Costs", cost),
)
