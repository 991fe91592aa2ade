"""What empty masks, absent classes, ignored pixels and soft labels mean, for losses and metric alike."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

from components.errors import InvalidInputError

Empty = Literal["smooth", "skip"]
Absent = Literal["count", "skip"]
SoftLabels = Literal["keep", "threshold"]

FOREGROUND = 0.5  # a hard label is foreground above it

_CHOICES: dict[str, tuple[str, ...]] = {
    "empty": get_args(Empty),
    "absent": get_args(Absent),
    "soft_labels": get_args(SoftLabels),
}


@dataclass(frozen=True)
class MaskPolicy:
    """The choices that a segmentation loss has to make, by name.

    A region is a sample and class, or a class of the whole batch in losses that pool (`batch=True`).

    Region losses follow all of it; pixel losses `ignore_index` and `soft_labels`, as a pixel is never empty. `val_dice`
    has rules of its own that no policy moves: a case and class that is empty in truth and prediction is left out and
    counted, an empty truth with something predicted scores 0, and masks are cut at ½. Of a policy, `DiceCounts` takes
    `ignore_index`.

    Attributes:
        empty: a region whose truth is empty. `smooth`: the smoothing constants decide, and false positives cost.
            `skip`: it is left out of the mean, as fits labels that are missing rather than empty (Tilborghs et al.
            2022; for masks that are truly empty they pool).
        absent: a class that no valid pixel of the whole batch has. `count`: it is treated as any other. `skip`: it is
            left out of the mean.
        ignore_index: value of target pixels that must not count, outside the classes, such as 255; None for none.
        soft_labels: targets between 0 and 1. `keep`: as they are. `threshold`: above ½ is foreground.

    Raises:
        InvalidInputError: a choice is unknown, or the index is no integer.

    Example:
        >>> MaskPolicy(empty="skip", ignore_index=255).empty
        'skip'
    """

    empty: Empty = "smooth"
    absent: Absent = "count"
    ignore_index: int | None = None
    soft_labels: SoftLabels = "keep"

    @property
    def skips(self) -> bool:
        """Whether a region may be left out because of its truth."""
        return self.empty == "skip" or self.absent == "skip"

    def __post_init__(self) -> None:
        """Refuse what is no choice."""
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise InvalidInputError(
                    f"policy: {name}: found {getattr(self, name)!r}; expected one of "
                    f"{', '.join(repr(choice) for choice in choices)}."
                )
        index = self.ignore_index
        if index is not None and (isinstance(index, bool) or not isinstance(index, int)):
            raise InvalidInputError(f"ignore_index: found {index!r}; expected an integer or None. Hint: 255 is usual.")


DEFAULT_POLICY = MaskPolicy()


def as_policy(value: Any) -> MaskPolicy | None:
    """Return a policy from a mapping such as `{"empty": "skip"}`; a policy or None as it is.

    Raises:
        InvalidInputError: neither of these, or an unknown name or choice.
    """
    if value is None or isinstance(value, MaskPolicy):
        return value
    if not isinstance(value, Mapping):
        raise InvalidInputError(f"policy: found {value!r}; expected a MaskPolicy or a mapping of its choices.")
    names = [field.name for field in fields(MaskPolicy)]
    for name in value:
        if name not in names:
            raise InvalidInputError(f"policy: found {name!r}; expected one of {', '.join(map(repr, names))}.")
    return MaskPolicy(**value)


def checked_policy(policy: MaskPolicy | None, ignore_index: int | None, mode: str) -> MaskPolicy:
    """Return the policy with the index that was given beside it.

    Args:
        policy: None for the defaults.
        ignore_index: short form of the policy's own; None leaves it to the policy.
        mode: what the channels mean. The index must not be 0 or 1 unless it is `multiclass`, whose classes only a batch
            tells.

    Raises:
        InvalidInputError: two different indices, or one that is background or foreground.
    """
    if policy is None:
        policy = MaskPolicy(ignore_index=ignore_index)
    elif not isinstance(policy, MaskPolicy):
        raise InvalidInputError(f"policy: found {type(policy).__name__}; expected a MaskPolicy.")
    elif ignore_index is not None and policy.ignore_index not in (None, ignore_index):
        raise InvalidInputError(
            f"ignore_index: found {ignore_index!r} beside a policy with {policy.ignore_index}. Hint: give one of them."
        )
    elif ignore_index is not None:
        policy = replace(policy, ignore_index=ignore_index)
    index = policy.ignore_index
    if mode != "multiclass" and index in (0, 1):
        raise InvalidInputError(
            f"ignore_index: found {index}, which is {'foreground' if index else 'background'} in mode {mode!r}. "
            "Hint: mark ignored pixels by a value of their own, such as 255."
        )
    return policy
