"""Several trainings of a study as one network: the seeds of a finalist, or what a search has trained anyway."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from components.averaging.selection import select_members
from components.data import SegmentationData, evaluation_batches
from components.dotted import import_object
from components.metrics import DiceCounts
from components.training import accelerate
from components.training.inference import predict
from tuning.config import StudyConfig
from tuning.errors import ExportError
from tuning.export.description import describe_network
from tuning.export.handover import Handover, handover_of
from tuning.export.scores import describe_tested
from tuning.export.source import Source
from tuning.record import StudyDirectory, TrialEntry, open_journal
from tuning.validation import sliding_window

ENSEMBLE = "components.deployment.ensemble:Ensemble"
LEAST_MEMBERS = 2
_MOST_CANDIDATES = 6  # the best trials; each costs a pass over the validation split
_LEAST_GROUPS = 4  # of validation, to choose on one half and to score on the other


@dataclass(frozen=True)
class Gain:
    """What an ensemble gains over the best single network, in halves of validation that did not choose it."""

    dice: float
    groups: int


def joined(
    study: StudyDirectory,
    label: str,
    parts: Sequence[tuple[Handover, TrialEntry]],
    weights: Sequence[int] | None = None,
) -> Handover:
    """Several networks as one that averages their probabilities.

    Args:
        study: that they belong to.
        label: of the ensemble.
        parts: network and trial of each member.
        weights: how much each counts; by default all alike.
    """
    data, first = study.read()["data"], parts[0][0]
    tensors: dict[str, Tensor] = {}
    for index, (part, _) in enumerate(parts):
        tensors |= {f"members.{index}.{key}": value for key, value in load(part.weights).items()}
    arguments: dict[str, Any] = {
        "mode": data["mode"],
        "members": [describe_network(data, part.settings) for part, _ in parts],
    }
    if weights is not None:
        arguments["weights"] = list(weights)
    return Handover(
        label=label,
        seed=", ".join(dict.fromkeys(str(part.seed) for part, _ in parts)),
        settings=first.settings,
        parameters={key: value for key, value in first.parameters.items() if key != "training.seed"},
        epoch=first.epoch,
        weights=save(tensors),
        recorded=None,
        checkpoint=None,
        network={"build": ENSEMBLE, "arguments": arguments},
        members=[_describe_member(part, entry) for part, entry in parts],
    )


def refuse_folds(settings: dict[str, Any]) -> None:
    """Networks of different folds have trained on each other's validation cases.

    Raises:
        ExportError: the data are in folds.
    """
    if StudyConfig.load(settings).data.folds:
        raise ExportError(
            "--ensemble: in folds each network was trained on cases that validate another, so that nothing is left to "
            "check the ensemble on. Hint: --finalist"
        )


def ensemble_of_search(study: StudyDirectory, copies: Path) -> Handover:
    """The trials of a search that are best together on validation, as one network.

    Args:
        study: that was searched.
        copies: as `handover_of`.

    Raises:
        ExportError: no two trials together are better than the best alone, or the data are in folds.
        StudyNotFoundError: there is no study.
    """
    entries = [entry for entry in open_journal(study).trials() if entry.best and entry.state != "failed"]
    entries = [entry for entry in entries if not entry.infeasible] or entries
    entries.sort(key=lambda entry: -_dice(entry))
    if len(entries) < LEAST_MEMBERS:
        raise ExportError(f"--ensemble: {study.root} has {len(entries)} trained trial; an ensemble needs two at least.")
    chosen = entries[:_MOST_CANDIDATES]
    parts = [(handover_of(study, entry, "best", copies / str(entry.number)), entry) for entry in chosen]
    refuse_folds(parts[0][0].settings)
    source = Source.load(StudyConfig.load(parts[0][0].settings), parts[0][0].epoch)
    found = [_predicted(study, part, source.data) for part, _ in parts]
    members = select_members(len(found), partial(_score, found, source.data, range(len(source.data.val))))
    if len(members) < LEAST_MEMBERS:
        raise ExportError(
            f"--ensemble: together with no other trial is {parts[0][0].label} better on validation than alone. "
            "Hint: export it without --ensemble."
        )
    gain = _honest_gain(found, source.data)
    said = "" if gain is None else f"; {gain.dice:+.4f} Dice in halves of validation that did not choose it"
    places = list(members)
    label = f"ensemble of {' and '.join(parts[place][0].label for place in places)}{said}"
    return joined(study, label, [parts[place] for place in places], [members[place] for place in places])


@torch.inference_mode()
def _predicted(study: StudyDirectory, part: Handover, data: SegmentationData) -> list[Tensor]:
    """Probabilities of each validation case `(classes, *spatial)`, fp16, as large as its mask."""
    settings = StudyConfig.load(part.settings)
    described = describe_network(study.read()["data"], part.settings)
    network: nn.Module = import_object(described["build"], "model.build")(**described["arguments"])
    network.load_state_dict(load(part.weights))
    network = accelerate(network.eval())
    window, found = sliding_window(data, settings), []
    for images, target in evaluation_batches(data.val, size=1, divisor=settings.model.divisor):
        logits = predict(network, images, window).float()
        inside: tuple[Any, ...] = (0, ..., *(slice(size) for size in target.shape[target.ndim - logits.ndim + 2 :]))
        chances = logits[inside].softmax(0) if data.mode == "multiclass" else logits[inside].sigmoid()
        found.append(chances.half())
    return found


def _score(
    found: Sequence[Sequence[Tensor]], data: SegmentationData, cases: Sequence[int], places: Sequence[int]
) -> float:
    """Dice of the mean probabilities of some candidates on some cases."""
    counts = DiceCounts(data.mode, ignore_index=data.ignore_index)
    for case in cases:
        chances = torch.stack([found[place][case].float() for place in places]).mean(0)
        logits = chances if data.mode == "multiclass" else chances - 0.5  # what decides is the largest, or the sign
        counts.add(logits[None], torch.as_tensor(data.val.masks[case])[None])
    return counts.scores().mean


def _honest_gain(found: Sequence[Sequence[Tensor]], data: SegmentationData) -> Gain | None:
    """Members and best single network are chosen on one half of the groups and scored on the other, both ways."""
    groups = sorted(set(data.val.groups))
    if len(groups) < _LEAST_GROUPS:
        return None
    halves = [
        [case for case, group in enumerate(data.val.groups) if groups.index(group) % 2 == half] for half in range(2)
    ]
    gains = []
    for chosen_on, scored_on in (halves, halves[::-1]):
        score, test = partial(_score, found, data, chosen_on), partial(_score, found, data, scored_on)
        members = select_members(len(found), score)
        single = max(range(len(found)), key=lambda place: score([place]))
        gains.append(test(list(Counter(members).elements())) - test([single]))
    return Gain(float(np.mean(gains)), len(groups))


def _describe_member(part: Handover, entry: TrialEntry) -> dict[str, Any]:
    tested = describe_tested(part.tested)
    return {
        "trial": part.label,
        "epoch": part.epoch,
        "val_dice": _dice(entry),
        "test_dice": tested["metrics"]["dice"]["mean"] if tested else None,
    }


def _dice(entry: TrialEntry) -> float:
    return entry.best[1] if entry.best else 0.0
