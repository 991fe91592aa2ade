"""What was found of one loss."""

import math
from dataclasses import dataclass

from components.losses.behaviour import EmptyMaskBehaviour, StageBehaviour


@dataclass(frozen=True)
class Stage:
    """Logits that the losses were measured at.

    Attributes:
        name: `untrained`, `half` or `good`; `model` where a network gave them.
        dice: hard Dice of the logits, over all cases and foreground classes.
    """

    name: str
    dice: float


@dataclass(frozen=True)
class LossFindings:
    """What was found of one loss.

    Attributes:
        name: of the candidate.
        milliseconds: median of forward and backward pass to the logits.
        mebibytes: most memory held at once during them, beyond logits and masks.
        stages: how it pulls at each stage.
        empty: how it pulls where a mask is empty; None where no mask has foreground to compare with.
    """

    name: str
    milliseconds: float
    mebibytes: float
    stages: dict[str, StageBehaviour]
    empty: EmptyMaskBehaviour | None

    @property
    def weight_cosine(self) -> float | None:
        """The smallest over the stages; None for a single term."""
        found = [stage.weight_cosine for stage in self.stages.values() if stage.weight_cosine is not None]
        return min(found, default=None)

    @property
    def turn(self) -> float | None:
        """The angle of that cosine, in degrees: how far a weight that moves by 0.1 turns the gradient."""
        return None if self.weight_cosine is None else math.degrees(math.acos(max(-1.0, self.weight_cosine)))

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the terms that train."""
        return tuple(next(iter(self.stages.values())).shares)
