"""What can be found wrong with a study before its first trial starts: all of it at once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import optuna
import torch
from torch import nn

from components.data import SegmentationData, augmented, evaluation_batches, training_batches
from components.data.batches import check_crop
from components.errors import ComponentError, InvalidInputError
from components.losses import LossManager
from components.losses.deep_supervision import outputs_of
from components.training import SlidingWindow, compile_network
from components.training.module_hint import module_hint
from components.training.named import named_augmentation, named_step
from components.training.steps import call_step
from search_spaces import Choice, Space, SpaceError, make_sampler
from tuning.building import build_loss, build_model
from tuning.config import StudyConfig
from tuning.drawing import check_drawing
from tuning.errors import StudyConfigError, StudyError
from tuning.exploring import check_mutables
from tuning.learning import check_logits_can_learn, check_single_cases, learning_notes
from tuning.plan import check_space
from tuning.validation import sliding_window


def check_study(config: StudyConfig, data: SegmentationData) -> Space:
    """Read the search space, draw one setting of it, and build everything that a trial builds.

    Args:
        config: the study.
        data: its data, or its first fold.

    Returns:
        The search space.

    Raises:
        StudyConfigError: lists every problem, one a line, each beginning with the setting's dotted path.
    """
    problems: list[str] = []
    space = drawn = None
    with _gathered(problems, "search.space"):
        space = Space.from_config(config.search.space, mode=data.mode)
        check_space(space, config)
        check_mutables(config, space)
        check_drawing(config.search, space)
        drawn = draw_settings(config, space)
    tried = drawn or config
    with _gathered(problems, "loss"):
        check_loss(tried, data.mode, data.ignore_index)
    if drawn is not None and space is not None:
        problems += _find_unfit_losses(config, space, data)
    with _gathered(problems, "training.crop"):
        check_crop(data.train, tried.training.crop, tried.training.batch)
    with _gathered(problems, "training.augment"):
        _check_augmentation(tried, data)
    window = None
    with _gathered(problems, "training.window"):
        window = sliding_window(data, tried)
    with _gathered(problems, "training.step"):
        _check_step(tried, data)
    with _gathered(problems, "training.compile"):
        compile_network(nn.Identity(), tried.training.compile)  # nothing is compiled before the first batch
    with _gathered(problems, "model"):
        _check_network(tried, data, window)
    if problems or space is None:
        raise StudyConfigError("\n".join(dict.fromkeys(problems)))
    return space


def draw_settings(config: StudyConfig, space: Space, fixed: dict[str, Any] | None = None) -> StudyConfig:
    """The settings of a trial as the space may draw them, some of them fixed."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=make_sampler("random", config.search.seed, 0))
    study.enqueue_trial(fixed or {})
    return config.with_overrides(space.suggest(study.ask()))


def network_notes(config: StudyConfig, space: Space, data: SegmentationData) -> list[str]:
    """What is to be said of a network that was found in order; see `learning_notes`."""
    return learning_notes(draw_settings(config, space), data)


def _find_unfit_losses(config: StudyConfig, space: Space, data: SegmentationData) -> list[str]:
    """Draw each option of each choice that the loss hangs on, so that no trial is the first to find one unfit."""
    problems: list[str] = []
    of_loss = [parameter for parameter in space.parameters if parameter.name.startswith("loss.")]
    deciding = {parameter.name for parameter in of_loss}
    deciding |= {parameter.when.parameter for parameter in of_loss if parameter.when is not None}
    for parameter in space.parameters:
        choice = parameter.distribution
        if parameter.name not in deciding or not isinstance(choice, Choice):
            continue
        for option in choice.options:
            fixed = {parameter.name: option, **space.holding(parameter.name)}
            with _gathered(problems, f"search.space.parameters.{parameter.name}: {option}"):
                check_loss(draw_settings(config, space, fixed), data.mode, data.ignore_index)
    return problems


def check_loss(settings: StudyConfig, mode: str, ignore_index: int | None = None) -> None:
    """Build the loss and its schedule.

    Raises:
        InvalidInputError: they cannot be built.
    """
    loss = build_loss(settings, mode, ignore_index)
    LossManager.create_loss_scheduler(loss, settings.loss.schedule, epochs=settings.training.epochs)


@contextmanager
def _gathered(problems: list[str], where: str) -> Iterator[None]:
    """Note an error's lines and go on; a line that names no setting gets the one that was looked at."""
    try:
        yield
    except (StudyError, SpaceError, ComponentError) as error:
        section = where.partition(".")[0]
        own = (f"{section}.", f"{section}:")
        problems += [line if line.startswith(own) else f"{where}: {line}" for line in str(error).splitlines()]


def _check_augmentation(settings: StudyConfig, data: SegmentationData) -> None:
    """Build it and send a case through it."""
    training, divisor = settings.training, settings.model.divisor
    augmentation = named_augmentation(training, data.train)
    if augmentation is not None:
        batches = training_batches(
            data.train, size=1, seed=0, epoch=1, augment="none", crop=training.crop, divisor=divisor
        )
        where = f"training.augment: {training.augment}"
        _attempt(lambda: next(augmented(batches, augmentation, seed=0, epoch=1)), where, "its arguments and results")


def _check_step(settings: StudyConfig, data: SegmentationData) -> None:
    """Build it and give it a case."""
    step = named_step(settings.training.step)
    if step is None:
        return
    with torch.random.fork_rng():
        loss, model = build_loss(settings, data.mode, data.ignore_index), build_model(settings, data)
        training, divisor = settings.training, settings.model.divisor
        batches = training_batches(
            data.train, size=training.batch, seed=0, epoch=1, augment="none", crop=training.crop, divisor=divisor
        )
        call_step(step, model, *next(batches), loss, where="a first batch")


def _check_network(settings: StudyConfig, data: SegmentationData, window: SlidingWindow | None) -> None:
    """Build the network and send a case, or a window of it, through it."""
    path = settings.model.build
    with torch.random.fork_rng():
        model = _attempt(partial(build_model, settings, data), f"model.build: {path}", "model.arguments")
        model.eval()
        training, divisor = settings.training, settings.model.divisor
        whole = next(evaluation_batches(data.val, size=1, divisor=divisor))[0]
        inside: tuple[Any, ...] = (..., *(slice(part) for part in window.size)) if window else (...,)
        shown = [whole[inside]]
        if training.crop is not None:
            batches = training_batches(data.train, size=1, seed=0, epoch=1, crop=training.crop, divisor=divisor)
            shown.append(next(batches)[0])
        for images in shown:
            where, hint = f"model.build: {path} on {_text(images)}", "model.divisor, in_channels and out_channels"
            with torch.inference_mode():
                logits = _attempt(partial(model, images), where, hint)
            _check_logits(logits, images, data, path)
        check_logits_can_learn(model, shown[-1], data, path)
        check_single_cases(model, settings, data)


def _attempt(function: Callable[[], Any], where: str, hint: str) -> Any:
    try:
        return function()
    except (StudyError, ComponentError):
        raise
    except Exception as error:
        # A user's own code may raise anything; it is the same news: this network cannot be used.
        came = f" {module_hint(error)}".rstrip()
        raise StudyConfigError(
            f"{where} raised {type(error).__name__}: {error}.{came} Hint: look at {hint}."
        ) from error


def _check_logits(outputs: Any, images: torch.Tensor, data: SegmentationData, path: str) -> None:
    expected = (len(images), len(data.classes), *images.shape[2:])
    try:
        levels = outputs_of(outputs, axes=images.ndim)
    except InvalidInputError as error:
        raise StudyConfigError(
            f"model.build: {path} returned {type(outputs).__name__}, expected a tensor of logits {expected}, or "
            "several, from fine to coarse."
        ) from error
    for index, logits in enumerate(levels):
        axes = None if index == 0 else 2  # a coarse output may be smaller
        if tuple(logits.shape)[:axes] != expected[:axes]:
            raise StudyConfigError(
                f"model.build: {path} gives {_text(logits)} for an image of {_text(images)}; expected "
                f"{'×'.join(map(str, expected))}, as there are {len(data.classes)} output channels "
                f"({', '.join(data.classes)}). Hint: build it from out_channels; padded convolutions keep the size."
            )


def _text(tensor: torch.Tensor) -> str:
    return "×".join(map(str, tensor.shape))
