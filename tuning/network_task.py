"""The task of most studies: a network is trained on data, fold after fold."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from components.data import SegmentationData
from components.deployment.bundle import WEIGHTS
from components.training import accelerate
from components.training.mirrored import Mirrored
from components.training.named import trained_mirrored
from search_spaces import Baseline, Space, baselines, nnunet_baseline, select_baselines
from tuning.building import build_model, device_of
from tuning.checks import check_study, network_notes
from tuning.config import StudyConfig
from tuning.data import Folds, data_warnings, describe_data
from tuning.fold import FoldTraining
from tuning.pictures import keep_pictures
from tuning.record import StudyDirectory
from tuning.serving import serving_notes
from tuning.store import TuneStore
from tuning.task import Epoch, Wanted
from tuning.validation import case_rows, validate


@dataclass(frozen=True)
class NetworkTask:
    """Trains the study's network; see `Task`.

    Attributes:
        folds: the data, one a fold.
    """

    folds: Folds

    def check(self, config: StudyConfig) -> Space:
        """Build everything that a trial builds; see `check_study`."""
        return check_study(config, self.folds[0])

    def baselines(self, wanted: Wanted = True) -> tuple[Baseline, ...]:  # noqa: FBT002
        """The field's usual losses; nnU-Net's optimiser where it is named."""
        mode = self.folds[0].mode
        return select_baselines(baselines(mode), wanted, [nnunet_baseline(mode)])

    def describe(self) -> dict[str, Any]:
        """The data; see `describe_data`."""
        return describe_data(self.folds)

    def plan(self) -> list[str]:
        """Number, sizes and classes of the cases, and what is worth a warning."""
        data = self.folds[0]
        return [
            f"data      {data.name}: {self._cases()}; {_sizes(data)}, {data.mode} ({', '.join(data.foreground)})",
            *(f"masks     {line}" for line in data.facts.get("mask_meaning", ())),
            *(f"warning   {line}" for line in data_warnings(self.folds)),
        ]

    def notes(self, config: StudyConfig, space: Space) -> list[str]:
        """What may keep the network from learning, a last batch of one case, and what predict cannot do."""
        return [*network_notes(config, space, self.folds[0]), *serving_notes(config.data)]

    def steps(self, config: StudyConfig) -> int | None:
        """Of the first fold, whose cases are as many as those of any other."""
        training = config.training
        return None if training.steps else math.ceil(len(self.folds[0].train) / (training.batch * training.accumulate))

    def keep(self, study: StudyDirectory) -> None:
        """The validation cases of data that a function makes; those of a folder can be read again."""
        if study.read()["settings"]["data"].get("build") is not None:
            keep_pictures(study, self.folds)

    def test_scores(self, settings: StudyConfig, checkpoint: Path, epoch: int) -> list[dict[str, Any]]:
        """As validation scores a network, in the trial's precision; over mirrored images where finalists want it."""
        torch.set_num_threads(settings.resources.cpus_per_trial)
        fold = self.folds[(epoch - 1) // settings.training.epochs if len(self.folds) > 1 else 0]
        model = build_model(settings, fold)
        model.load_state_dict(load_file(checkpoint / WEIGHTS))
        held_out = replace(fold, val=fold.test)
        network = accelerate(model.to(device_of(settings)))
        if settings.finalists is not None and settings.finalists.tta:
            network = Mirrored(network, fold.mode, trained_mirrored(settings.training, fold.spatial_dims))
        scores, _ = validate(network, held_out, settings)
        return case_rows(scores, held_out, epoch)

    def epochs(self, settings: StudyConfig, number: int, store: TuneStore) -> Iterator[Epoch]:
        """Train fold after fold."""
        torch.set_num_threads(settings.resources.cpus_per_trial)
        last = max((record.epoch for record in store.records()), default=0)
        bests: list[float] = []
        for index in range(max(last - 1, 0) // settings.training.epochs, len(self.folds)):
            fold = FoldTraining(settings, self.folds[index], store, number=index, trial=number)
            is_last = index + 1 == len(self.folds)
            for row in fold.epochs(bests):
                yield Epoch(row, fold.ended if is_last else "", fold.cases)

    def _cases(self) -> str:
        folds = self.folds
        if len(folds) > 1:
            dealt = " + ".join(str(len(fold.val)) for fold in folds)
            return f"{dealt} in {len(folds)} folds, {len(folds[0].test)} test"
        return ", ".join(f"{len(split)} {name}" for name, split in folds[0].splits.items())


def _sizes(data: SegmentationData) -> str:
    sizes = sorted(set().union(*(split.sizes for split in data.splits.values())))
    ends = dict.fromkeys("×".join(map(str, size)) for size in (sizes[0], sizes[-1]))
    channels = f"{data.in_channels} channel{'' if data.in_channels == 1 else 's'}"
    return f"{' to '.join(ends)}, {channels}"
