"""A study in three sentences: what was done, what came first, and what may be claimed."""

from typing import Any

import pandas as pd

from reports.costs import costs_of, duration
from reports.rows import contenders, rows_of
from reports.settings import loss_weights
from reports.statistics import Conclusion
from reports.study_tables import StudyTables
from tuning.record import trial_label

_STATES = (("complete", "finished"), ("pruned", "stopped early"), ("failed", "failed"), ("running", "running"))


def summary_sentences(study: StudyTables, conclusion: Conclusion | None = None) -> list[str]:
    """Three sentences.

    Args:
        study: its tables.
        conclusion: of the settings that were trained again, if any were.

    Example:
        >>> print(" ".join(summary_sentences(StudyTables("studies/brain"))))  # doctest: +SKIP
    """
    return [_done(study), _first(study), conclusion.sentence if conclusion else _claim(study)]


def best_of(trials: pd.DataFrame, *, baseline: bool) -> Any:
    """The row with the best Dice among search trials, or among baselines, as `contenders` has them; or None."""
    own = trials[trials["baseline"].notna() == baseline]
    scored = contenders(own)
    return None if scored.empty else rows_of(scored.loc[[scored["best_dice"].idxmax()]])[0]


def loss_words(row: Any, settings: dict[str, Any]) -> str:
    """A trial's loss in words: `0.62 bce + 0.20 dice`."""
    weights = loss_weights(row.params, settings)
    return " + ".join(f"{value:.2f} {name}" for name, value in sorted(weights.items(), key=lambda item: -item[1]))


def _done(study: StudyTables) -> str:
    trials, costs = study.trials, costs_of(study)
    if trials.empty:
        return f"Nothing was trained yet in {study.settings['name']}."
    searched = int(trials["baseline"].isna().sum())
    counts = [
        f"{(trials['state'] == state).sum()} {word}" for state, word in _STATES if (trials["state"] == state).any()
    ]
    planned = costs.epochs + costs.spared_epochs
    spared = f", and early stopping spared {100 * costs.spared_epochs / planned:.0f} % of the epochs" if planned else ""
    data = (study.record.get("data") or {}).get("name", "unnamed data")
    return (
        f"{study.settings['name']}: {_count(searched, 'setting')} and {_count(len(trials) - searched, 'baseline')} "
        f"were trained on {data} ({', '.join(counts)}), which took "
        f"{duration(costs.seconds)} of training{spared}."
    )


def _first(study: StudyTables) -> str:
    best, baseline = best_of(study.trials, baseline=False), best_of(study.trials, baseline=True)
    settings = study.settings
    if best is None and baseline is None:
        return "No trial has a score yet."
    if best is None:
        return (
            f"No search trial has a score yet; the best baseline is {baseline.baseline} with {baseline.best_dice:.4f}."
        )
    loss = loss_words(best, settings)
    found = (
        f"Best on validation is {trial_label(best.number)}{f' ({loss})' if loss else ''} with Dice "
        f"{best.best_dice:.4f} at epoch {best.best_epoch}"
    )
    if baseline is None:
        return f"{found}; there is no baseline to compare it with."
    return (
        f"{found}; the best baseline, {baseline.baseline}, reached {baseline.best_dice:.4f} "
        f"({best.best_dice - baseline.best_dice:+.4f})."
    )


def _claim(study: StudyTables) -> str:
    if best_of(study.trials, baseline=False) is None:
        return "There is nothing to claim."
    return (
        "No winner is named: these are single trainings, and the best of many noisy scores is too high; only settings "
        "trained again with other seeds and tested on cases held out (segtune finalists) can show that a difference is "
        "real."
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
