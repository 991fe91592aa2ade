"""Finalists: the best settings of a search and its best baseline, trained again with new seeds, and tested.

They are a study of their own in the folder `finalists`, with journal, attempts and trials as any, so that neither
sampler nor scheduler nor tables of the search see them, and what is killed goes on as any study does.
"""

import json

from components.json_lines import replace_text
from components.training.named import may_mirror
from search_spaces import Baseline
from tuning.config import FinalistsConfig, RetrainConfig, StudyConfig
from tuning.errors import StudyBusyError, StudyConfigError
from tuning.lock import is_running
from tuning.record import Journal, StudyDirectory, TrialEntry, open_journal, trial_label
from tuning.record.retraining import retrainings
from tuning.recorded import recorded_settings
from tuning.task import Task

_FIRST_SEED = 1001
_OWN = "the study's own settings"  # what is compared with where no baseline was run


def given_trials(config: RetrainConfig) -> tuple[Baseline, ...]:
    """Every setting with every seed, as trials at full budget that are never pruned."""
    return tuple(Baseline(item.name, item.overrides) for item in retrainings(config.settings, config.seeds))


def finalists_config(study: StudyDirectory, top: int, seeds: int, *, tta: bool = False) -> StudyConfig:
    """Settings of the study of the finalists; those of the study itself but for what is searched.

    They are chosen when it is made; what it has then stays.

    Args:
        study: that was searched.
        top: best settings.
        seeds: of each.
        tta: whether the test split is scored over mirrored images.

    Raises:
        StudyConfigError: there is no test split, nothing to choose from, other finalists were chosen before, or a
            setting was not trained on mirrored images and `tta` was asked for.
        StudyBusyError: the search is running.
    """
    if is_running(study):
        raise StudyBusyError(f"{study.root}: the search is running. Hint: let it end, or segtune stop {study.root}")
    record, settings = study.read(), recorded_settings(study)
    if settings.get("script") is not None:
        raise StudyConfigError("finalists: only the script knows its test data. Hint: train it again by hand.")
    if not record["data"]["cases"].get("test"):
        raise StudyConfigError(
            "finalists: the data have no test split, and validation chose these settings already. "
            "Hint: keep cases apart with data.ratio or data.split, in a new study."
        )
    if study.finalists.exists():
        config = StudyConfig.load(recorded_settings(study.finalists))
        _check_chosen(study, config.finalists, FinalistsConfig(top=top, seeds=seeds, tta=tta))
        return config
    precision = record["settings"]["training"]["precision"]  # what auto became
    searched = settings | {"training": settings["training"] | {"precision": precision}}
    own = {
        "name": f"{settings['name']}-finalists",
        "search": {"trials": 0, "baselines": False, "space": {}, "seed": settings["search"]["seed"]},
        "scheduler": {"type": "none"},
        "stop": {},
        "trackers": {},
        "finalists": {"top": top, "seeds": seeds, "tta": tta},
        "retrain": _choose(study, top, seeds, settings["training"]["seed"]).model_dump(),
    }
    config = StudyConfig.load(searched | own)
    if tta and config.retrain:
        _check_mirrored(config, config.retrain)
    return config


def score_held_out(study: StudyDirectory, config: StudyConfig, journal: Journal, task: Task) -> None:
    """Score each ended training of the finalists on the test split, once; the caller holds the study's lock."""
    for entry in journal.trials():
        trial = study.trial(entry.number)
        best = trial.best_checkpoint()
        if entry.state == "complete" and best is not None and not trial.held_out.exists():
            rows = task.test_scores(config.with_overrides(entry.overrides), study.root / best["path"], best["epoch"])
            replace_text(trial.held_out, "".join(f"{json.dumps(row)}\n" for row in rows))


def _choose(study: StudyDirectory, top: int, seeds: int, used: int | str) -> RetrainConfig:
    entries = [entry for entry in open_journal(study).trials() if entry.best and entry.state != "failed"]
    entries = [entry for entry in entries if not entry.infeasible] or entries
    entries.sort(key=lambda entry: (-entry.best[1] if entry.best else 0.0, abs(entry.number)))
    different: dict[str, TrialEntry] = {}
    for entry in entries:
        if entry.number >= 0:
            different.setdefault(json.dumps(entry.settings, sort_keys=True), entry)
    chosen = list(different.values())[:top]
    if not chosen:
        raise StudyConfigError(f"finalists: no trial of {study.root} has a Dice. Hint: look at segtune status.")
    usual = next((entry for entry in entries if entry.number < 0), None)
    settings = {trial_label(entry.number): entry.settings for entry in chosen}
    searched = {trial_label(entry.number): entry.best[1] for entry in chosen if entry.best}
    if usual is None:
        baseline = _OWN
        settings[baseline] = {}
    else:
        baseline = trial_label(usual.number, usual.baseline)
        settings[baseline] = usual.settings
        searched[baseline] = usual.best[1] if usual.best else 0.0
    new = [seed for seed in range(_FIRST_SEED, _FIRST_SEED + seeds + 1) if seed != used][:seeds]
    return RetrainConfig(settings=settings, seeds=new, baseline=baseline, searched=searched)


def _check_mirrored(config: StudyConfig, retrain: RetrainConfig) -> None:
    for name, overrides in retrain.settings.items():
        training = config.with_overrides(overrides).training
        if not may_mirror(training):
            raise StudyConfigError(
                f"finalists.tta: {name} was not trained on mirrored images (training.augment: {training.augment}, "
                f"training.mirror: {training.mirror}). Hint: leave it out."
            )


def _check_chosen(study: StudyDirectory, chosen: FinalistsConfig | None, asked: FinalistsConfig) -> None:
    if chosen != asked:
        raise StudyConfigError(
            f"finalists: found {_described(asked)}, but {study.finalists.root} was made for "
            f"{_described(chosen) if chosen else 'others'}. "
            "Hint: go on with these, or move that folder away to choose anew."
        )


def _described(config: FinalistsConfig) -> str:
    return f"top {config.top} with {config.seeds} seeds{', tested with tta' if config.tta else ''}"
