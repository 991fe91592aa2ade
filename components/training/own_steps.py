"""Steps of an optimiser in a loop of one's own, which gives its batches one by one."""

from collections.abc import Mapping

from torch import Tensor

from components.losses import LossBreakdown
from components.training.stepper import Stepper


class OwnSteps:
    """Makes a step of every so many batches, each weighed by its cases.

    A batch whose loss is not finite takes those of its step along that came before it, and the next batch begins a new
    step.

    Args:
        stepper: that steps.
        accumulate: batches of a step.
    """

    def __init__(self, stepper: Stepper, accumulate: int) -> None:
        self._stepper, self._accumulate = stepper, accumulate
        self._batches, self._cases, self._expected = 0, 0, 0

    def add(self, parts: LossBreakdown, cases: int, batch: Mapping[str, Tensor]) -> None:
        """Add a batch's gradient, and step when it is the step's last.

        Args:
            parts: of its loss.
            cases: in it.
            batch: images, logits and target by name, which an error describes.

        Raises:
            NonFiniteLossError: one bad step too many.
        """
        if not self._batches:
            self._stepper.begin()
            self._expected = cases * self._accumulate  # whether the later ones are as large is not known yet
        if not self._stepper.backward(parts, cases / self._expected, batch):
            self.drop()
            return
        self._batches, self._cases = self._batches + 1, self._cases + cases
        if self._batches == self._accumulate:
            self.finish()

    def finish(self) -> None:
        """Step with the batches so far, if there are any.

        Raises:
            NonFiniteLossError: one bad step too many.
        """
        if not self._batches:
            return
        if self._cases != self._expected:
            self._stepper.scale_gradient(self._expected / self._cases)
        self.drop()
        self._stepper.step()

    def drop(self) -> None:
        """Forget the batches of the step that has begun."""
        self._batches, self._cases, self._expected = 0, 0, 0
