"""Which weights are handed over: of which trial, of which of its checkpoints, or which average of them."""

import math
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from components.averaging import StochasticAverage
from components.checkpoints import CheckpointRecord, TrainingState, restore_checkpoint, verify_checkpoint
from components.deployment.bundle import WEIGHTS
from components.errors import CheckpointError
from components.json_lines import read_lines
from components.training import accelerate
from tuning.averages import DICE_OF, TrialAverages, make_soup
from tuning.building import build_model, device_of, trial_seed
from tuning.config import StudyConfig, set_by_path
from tuning.errors import ExportError
from tuning.export.source import Source, fold_of
from tuning.fold import AVERAGES
from tuning.objective import dice_of_weights
from tuning.record import StudyDirectory, TrialEntry, trial_label
from tuning.recorded import recorded_settings
from tuning.surface import BEST, BEST_EPOCH
from tuning.validation import validate

AVERAGE = ("best", "last", "ema", "swa", "soup")


@dataclass(frozen=True)
class Handover:
    """One network to hand over.

    Attributes:
        label: what it is called.
        seed: that it was trained with; of an ensemble, all of them.
        settings: of its trial.
        parameters: what was sampled for it.
        epoch: of the weights.
        weights: state dict as safetensors.
        recorded: metrics that the study recorded of exactly these weights; None of weights that it never validated.
        checkpoint: holds the masks that the study recorded of them; None as above.
        surface: surface metrics of those masks, if they were measured.
        tested: a row for each test case and class; empty where it was not scored on the test split.
        network: in place of the trial's own: its `build` and `arguments`.
        members: of an ensemble: label, seed, epoch and scores of each.
    """

    label: str
    seed: int | str
    settings: dict[str, Any]
    parameters: dict[str, Any]
    epoch: int
    weights: bytes
    recorded: dict[str, Any] | None
    checkpoint: Path | None
    surface: dict[str, Any] | None = None
    tested: list[dict[str, Any]] = field(default_factory=list)
    network: dict[str, Any] | None = None
    members: list[dict[str, Any]] = field(default_factory=list)


def choose_trial(entries: list[TrialEntry], number: int | None, study: StudyDirectory) -> TrialEntry:
    """The trial of a number, by default the feasible one with the best Dice.

    Raises:
        ExportError: there is none.
    """
    scored = {entry.number: entry for entry in entries if entry.best is not None and entry.state != "failed"}
    if not scored:
        raise ExportError(f"{study.root}: no trial has a Dice yet. Hint: look at segtune status.")
    if number is None:
        feasible = [entry for entry in scored.values() if not entry.infeasible]
        return max(feasible or scored.values(), key=lambda entry: entry.best[1] if entry.best else 0.0)
    if number not in scored:
        known = ", ".join(map(str, sorted(scored)))
        raise ExportError(f"--trial {number}: no such trial with a Dice. Hint: there are {known}.")
    return scored[number]


def handover_of(study: StudyDirectory, entry: TrialEntry, average: str, copies: Path) -> Handover:
    """Weights of a trial.

    Args:
        study: that it belongs to.
        entry: the trial.
        average: one of `AVERAGE`; see `docs/how_to/deploy.md`.
        copies: folder for copies of checkpoints, which a running study may remove meanwhile.

    Raises:
        ExportError: there are no such weights.
    """
    settings = _settings(study, entry)
    config = StudyConfig.load(settings)
    label = trial_label(entry.number, entry.baseline)
    own = settings["checkpoint"]["averaging"] == average
    if average in ("best", "last") or own:
        checkpoint = _copy_checkpoint(study, entry, copies, by_epoch=average == "last")
        label = label if average == "best" or own else f"{label}, {average}"
        trial = study.trial(entry.number)
        best = trial.best_checkpoint()
        is_tested = best is not None and best["epoch"] == checkpoint.epoch
        return Handover(
            label,
            trial_seed(config, entry.number),
            settings,
            entry.settings,
            checkpoint.epoch,
            (checkpoint.path / WEIGHTS).read_bytes(),
            checkpoint.metrics,
            checkpoint.path,
            _surface_of(study, entry, checkpoint.epoch),
            list(read_lines(trial.held_out)) if is_tested and trial.held_out.exists() else [],
        )
    if settings["script"] is not None:
        raise ExportError(f"--average {average}: only the script knows its network. Hint: --average best or last.")
    make = _soup if average == "soup" else _kept_average
    epoch, weights = make(_all_checkpoints(study, entry, copies), config, entry, average)
    seed = trial_seed(config, entry.number)
    return Handover(f"{label}, {average}", seed, settings, entry.settings, epoch, weights, None, None)


def _copy_checkpoint(study: StudyDirectory, entry: TrialEntry, copies: Path, *, by_epoch: bool) -> CheckpointRecord:
    """A copy of the best or the last checkpoint that verifies: a running study may remove it for a better one."""
    seen: list[Any] = []
    damaged: dict[str, str] = {}
    while (lines := study.trial(entry.number).checkpoints()) != seen:
        seen = lines
        for line in sorted(lines, key=lambda line: (not by_epoch and line["dice"], line["epoch"]), reverse=True):
            copy = copies / Path(line["path"]).name
            try:
                shutil.copytree(study.root / line["path"], copy, dirs_exist_ok=True)
                return verify_checkpoint(copy)
            except (CheckpointError, OSError) as error:
                damaged[line["path"]] = str(error).replace(str(copy), str(study.root / line["path"]))
    why = "; ".join(damaged.values()) or "none was saved"
    raise ExportError(f"{study.trial(entry.number).path}: no usable checkpoint ({why}).")


def _all_checkpoints(study: StudyDirectory, entry: TrialEntry, copies: Path) -> list[CheckpointRecord]:
    """Copies of those that verify, by epoch."""
    found = []
    for line in study.trial(entry.number).checkpoints():
        copy = copies / Path(line["path"]).name
        try:
            shutil.copytree(study.root / line["path"], copy, dirs_exist_ok=True)
            found.append(verify_checkpoint(copy))
        except (CheckpointError, OSError):
            continue
    if not found:
        raise ExportError(f"{study.trial(entry.number).path}: no usable checkpoint.")
    return found


def _kept_average(
    records: list[CheckpointRecord], settings: StudyConfig, entry: TrialEntry, average: str
) -> tuple[int, bytes]:
    """The average that the trial kept beside its network; where it was validated, at the epoch of its best Dice."""
    records.sort(key=lambda record: (record.metrics.get(f"{DICE_OF}{average}", -math.inf), record.epoch), reverse=True)
    for record in records:
        state = TrainingState(model=None, rng=False)
        restore_checkpoint(record.path, state)
        kept = state.extra.get(AVERAGES, {}).get("averages", {}).get(average)
        if kept is None:
            continue
        network = StochasticAverage(build_model(settings, Source.load(settings, record.epoch).data))
        network.load_state_dict(kept)
        if network.count:
            return record.epoch, _as_safetensors(network.network)
    raise ExportError(
        f"--average {average}: {trial_label(entry.number, entry.baseline)} kept no such average. "
        f"Hint: a study keeps it with checkpoint.averaging: {average}, or with checkpoint.compare_averages."
    )


def _soup(records: list[CheckpointRecord], settings: StudyConfig, entry: TrialEntry, average: str) -> tuple[int, bytes]:
    """Greedy soup of the checkpoints that the trial's last fold kept (Wortsman et al. 2022), if it gains."""
    fold = fold_of(settings, records[-1].epoch)
    records = [record for record in records if fold_of(settings, record.epoch) == fold]
    best = max(records, key=lambda record: (dice_of_weights(record.metrics), record.epoch))
    data = Source.load(settings, best.epoch).data
    torch.set_num_threads(settings.resources.cpus_per_trial)
    model = build_model(settings, data)
    restore_checkpoint(best.path, TrainingState(model, rng=False))
    model = accelerate(model.to(device_of(settings)))
    soup, network = make_soup(
        model,
        float(dice_of_weights(best.metrics)),
        [record for record in records if record is not best],
        dice_of=lambda record: float(dice_of_weights(record.metrics)),
        score=lambda candidate: validate(candidate, data, settings)[0].mean,
        prepare=TrialAverages(settings, data, model, trial_seed(settings, entry.number)).set_statistics,
    )
    if len(soup.accepted) < 2:  # noqa: PLR2004 - one is no soup
        raise ExportError(
            f"--average {average}: the mean of the best checkpoint with any other of the {len(records)} that "
            f"{trial_label(entry.number, entry.baseline)} kept gains nothing on validation. "
            "Hint: --average best; a study keeps more with checkpoint.max_checkpoints."
        )
    return best.epoch, _as_safetensors(network)


def _as_safetensors(network: nn.Module) -> bytes:
    tensors = {name: value for name, value in network.state_dict().items() if isinstance(value, Tensor)}
    return save({name: value.detach().cpu().contiguous() for name, value in tensors.items()})


def _settings(study: StudyDirectory, entry: TrialEntry) -> dict[str, Any]:
    """The trial's settings: the study's, what later attempts changed (the data may have moved), what was sampled."""
    settings = recorded_settings(study)
    for path, value in entry.settings.items():
        set_by_path(settings, path, value)
    return StudyConfig.load(settings).model_dump(mode="json")


def _surface_of(study: StudyDirectory, entry: TrialEntry, epoch: int) -> dict[str, Any] | None:
    """Surface metrics of an epoch's masks, which stand in the row of the trial's or fold's last epoch."""
    rows = study.trial(entry.number).epochs().values()
    row = next((row for row in rows if row.get(BEST_EPOCH) == epoch), {})
    return {name: value for name, value in row.items() if name.startswith(BEST)} or None
