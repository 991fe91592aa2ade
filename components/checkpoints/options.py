"""What a save and a load may be given besides model, optimiser and scheduler."""

from collections.abc import Mapping
from typing import Any, TypedDict

from components.checkpoints.format import Stateful
from components.errors import InvalidInputError

CASES = "cases"  # in a manifest's metadata: the score of each case, with which later ones are compared


class Parts(TypedDict, total=False):
    """Further parts of a training: saved if given, filled if given.

    Attributes:
        scaler: of mixed precision.
        ema: a moving average of the weights.
        loss_schedule: of the loss weights.
        sampler: of the batches, with its position.
        early_stopping: with what it has seen.
    """

    scaler: Stateful | None
    ema: Stateful | None
    loss_schedule: Stateful | None
    sampler: Stateful | None
    early_stopping: Stateful | None


class SaveOptions(Parts, total=False):
    """What a save may be given besides.

    Attributes:
        extra: further state (JSON values and tensors), given back by `load_checkpoint` in `extra`.
        metadata: further JSON values for the manifest.
        step: optimiser steps that these weights have taken.
        cases: score of each case with these weights, by name; tells `adaptive` which gains are clear.
        forced: save whatever the strategy says, for this reason, such as `rung` or `end`; the kind of the checkpoint.
    """

    extra: Mapping[str, Any] | None
    metadata: Mapping[str, Any] | None
    step: int | None
    cases: Mapping[str, float] | None
    forced: str


def parts_of(options: SaveOptions) -> Parts:
    """The further parts among the options of a save.

    Raises:
        InvalidInputError: there is no such option.
    """
    unknown = options.keys() - SaveOptions.__annotations__.keys()
    if unknown:
        known = ", ".join(sorted(SaveOptions.__annotations__))
        raise InvalidInputError(f"save_checkpoint: there is no {', '.join(sorted(unknown))}. Hint: there are {known}.")
    return Parts(
        scaler=options.get("scaler"),
        ema=options.get("ema"),
        loss_schedule=options.get("loss_schedule"),
        sampler=options.get("sampler"),
        early_stopping=options.get("early_stopping"),
    )


def metadata_of(options: SaveOptions) -> dict[str, Any]:
    """What a save adds to the metadata of its checkpoint."""
    cases = options.get("cases")
    return ({CASES: dict(cases)} if cases else {}) | dict(options.get("metadata") or {})
