"""What a loss may ask of the one pass over the logits."""

from dataclasses import dataclass

# An ignored pixel gets this logit and target 0: its p, log(1 + e^x) and focal cost are exactly 0, in fp32 and fp64.
NOWHERE = -10_007.3125  # and no mask that is added to logits, such as -1e4


@dataclass(frozen=True)
class Needs:
    """Which sums over sigmoid logits are asked for; see `components.losses.sigmoid_sums`.

    Attributes:
        regions: overlap, predicted and truth.
        squares: of the probabilities.
        entropy: for BCE.
        positive: for `pos_weight`.
        even: for label smoothing.
        gamma: of the focal sums; None for none.
    """

    regions: bool = False
    squares: bool = False
    entropy: bool = False
    positive: bool = False
    even: bool = False
    gamma: float | None = None

    @property
    def logarithms(self) -> bool:
        """Whether a sum needs log(1 + e^-|x|)."""
        return self.entropy or self.positive or self.even or self.gamma is not None


@dataclass(frozen=True)
class ClassNeeds:
    """Which sums over softmax logits are asked for; `truth` always comes. See `components.losses.softmax_sums`.

    Attributes:
        regions: overlap and predicted.
        squares: of the probabilities.
        entropy: for cross-entropy.
        plain: for label smoothing.
        gamma: of the focal sum; None for none.
    """

    regions: bool = False
    squares: bool = False
    entropy: bool = False
    plain: bool = False
    gamma: float | None = None
