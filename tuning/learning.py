"""What keeps a network from learning, found before the first trial: outputs that are no logits, batches of one case."""

from functools import partial

import torch
from torch import Tensor, nn

from components.data import SegmentationData, training_batches
from components.losses.deep_supervision import outputs_of
from components.training.single_case import joins_single, refuses_single
from tuning.building import build_model
from tuning.config import StudyConfig
from tuning.errors import StudyConfigError

_LOGITS = "Hint: return logits, without the activation; losses and metrics apply their own."
_BOUNDED = {  # node of autograd: activation
    "SigmoidBackward": "sigmoid",
    "SoftmaxBackward": "softmax",
    "HardsigmoidBackward": "hard sigmoid",
    "ReluBackward": "ReLU",
}
# Nodes that change where values stand and not what they are, or only average them.
_PASSED = ("View", "UnsafeView", "Reshape", "Permute", "Transpose", "Slice", "Alias", "Clone", "ToCopy", "Upsample")
_LARGE = -10.0  # such an input drives an output that is not bounded out of [0, 1]


def final_activation(output: Tensor) -> str:
    """The activation that a network's output, computed with gradients, went through last; empty for none.

    Example:
        >>> final_activation(torch.sigmoid(torch.ones(2, requires_grad=True)))
        'sigmoid'
    """
    node = output.grad_fn
    while node is not None and node.name().startswith(_PASSED):
        node = node.next_functions[0][0]
    name = "" if node is None else node.name().rstrip("0123456789")
    return _BOUNDED.get(name, "")


def check_logits_can_learn(model: nn.Module, images: Tensor, data: SegmentationData, path: str) -> None:
    """Refuse a network that ends in an activation with which no pixel can be predicted as background.

    Args:
        model: the network, in evaluation mode.
        images: a batch for it.
        data: says the mode.
        path: of the function that builds the network.

    Raises:
        StudyConfigError: names the activation.
    """
    found = "" if data.mode == "multiclass" else _activation_of(model, images)
    if found and found != "softmax":
        raise StudyConfigError(
            f"model.build: {path} ends in a {found}, so that no output is below 0 and every pixel is predicted as "
            f"foreground: val_dice would stay the same in all epochs. {_LOGITS}"
        )


def check_single_cases(model: nn.Module, settings: StudyConfig, data: SegmentationData) -> None:
    """Refuse batches of one case where the network cannot train on one.

    Raises:
        StudyConfigError: says what to set.
    """
    training, cases = settings.training, len(data.train)
    if training.batch > 1 and cases > 1:
        return
    if refuses_single(model, data.train, crop=training.crop, divisor=settings.model.divisor):
        found = (
            f"training.batch: found {training.batch}" if training.batch == 1 else f"data: found {cases} case to train"
        )
        raise StudyConfigError(
            f"{found}, and {settings.model.build} cannot train on a batch of one case: a normalisation of it would "
            "have one value per channel. Hint: set training.batch to 2 or more, with as many cases; or build the "
            "network without that normalisation."
        )


def learning_notes(settings: StudyConfig, data: SegmentationData) -> list[str]:
    """What a run should say of its network before it starts; `check_study` has found it in order.

    Args:
        settings: of a trial.
        data: the study's data, or its first fold.
    """
    training, divisor = settings.training, settings.model.divisor
    with torch.random.fork_rng():
        model = build_model(settings, data)
        joined = joins_single(model, data.train, batch=training.batch, crop=training.crop, divisor=divisor)
        batches = training_batches(
            data.train, size=1, seed=0, epoch=1, augment="none", crop=training.crop, divisor=divisor
        )
        images, _ = next(batches)
        model.eval()
        found = _activation_of(model, images)
        within = not found and all(map(partial(_lies_within, model), (images, _LARGE * images)))
    notes = []
    if found == "softmax":
        notes.append(
            f"warning   {settings.model.build} ends in a softmax, and the losses apply another: it learns slowly, and "
            f"its probabilities are never near 0 or 1. {_LOGITS}"
        )
    if within:
        notes.append(
            f"warning   {settings.model.build} gives outputs that are all in [0, 1], where logits have both signs; "
            f"does it end in an activation? {_LOGITS}"
        )
    if joined:
        rest = f"{len(data.train)} cases in batches of {training.batch}"
        notes.append(
            f"batches   {rest} leave one case over, on which the network cannot train: it joins the batch before it"
        )
    return notes


def _activation_of(model: nn.Module, images: Tensor) -> str:
    with torch.enable_grad():
        return final_activation(outputs_of(model(images.clone()), axes=images.ndim)[0])


def _lies_within(model: nn.Module, images: Tensor) -> bool:
    with torch.inference_mode():
        output = outputs_of(model(images), axes=images.ndim)[0]
    return bool(output.min() >= 0) and bool(output.max() <= 1) and bool(output.min() < output.max())
