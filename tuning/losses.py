"""The losses that a study might train with, compared on its masks."""

from collections.abc import Sequence

import torch
from torch import nn

from components.data import SegmentationData
from components.errors import InvalidInputError
from components.losses import LossEvaluation, LossManager
from search_spaces import baselines
from tuning.building import build_loss, device_of
from tuning.config import StudyConfig
from tuning.data import load_data

OWN = "study"


def evaluate_losses(config: StudyConfig, presets: Sequence[str] | None = None) -> LossEvaluation:
    """Compare the study's own loss with the baselines and presets, on a batch as a training step gets it.

    Args:
        config: the study; its batch, crop, foreground, seed and device are used.
        presets: names; None for all that fit the mode.

    Raises:
        StudyConfigError: the study's loss cannot be built.
        InvalidInputError: a preset does not exist or fit, or the data have problems.
    """
    data = load_data(config.data)[0]
    if presets is None:
        presets = [name for name, preset in LossManager.presets().items() if data.mode in preset.modes]
    candidates: dict[str, nn.Module] = {OWN: build_loss(config, data.mode, data.ignore_index)}
    for baseline in baselines(data.mode):
        candidates[baseline.name] = build_loss(config.with_overrides(baseline.overrides), data.mode, data.ignore_index)
    for name in presets:
        candidates[name] = _preset(name, data)
    training, threads = config.training, torch.get_num_threads()
    torch.set_num_threads(config.resources.cpus_per_trial)  # as in a trial
    try:
        return LossManager.evaluate(
            candidates,
            data,
            cases=training.batch,
            crop=training.crop,
            foreground=training.foreground,
            seed=training.seed if isinstance(training.seed, int) else 0,
            device=device_of(config),
        )
    finally:
        torch.set_num_threads(threads)


def _preset(name: str, data: SegmentationData) -> nn.Module:
    try:
        return LossManager.create_loss_function({"preset": name, "mode": data.mode, "ignore_index": data.ignore_index})
    except InvalidInputError as error:
        # Begins with no setting: the name is not from the study file, and gets no line of it.
        raise InvalidInputError(f"preset {name!r}: {error}") from error
