"""Several networks as one, whose probabilities are averaged."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from components.dotted import import_object
from components.errors import InvalidInputError
from components.losses.deep_supervision import outputs_of
from components.training.mirrored import logits_of_mean


class Ensemble(nn.Module):
    """Gives the logits of the mean probability of its members.

    Trainings with other seeds end in other networks; their mean errs less than most of them (Lakshminarayanan et al.
    2017, "Simple and scalable predictive uncertainty estimation using deep ensembles"). It costs as many passes.

    Args:
        mode: `binary`, `multilabel` or `multiclass`.
        members: of each network `build`, its dotted path, and the keyword `arguments` that it is called with.
        weights: how much each counts; by default all alike.

    Raises:
        InvalidInputError: there is no member, one cannot be imported, or the weights do not fit.

    Example:
        >>> unet = {"build": "monai.networks.nets:BasicUNet", "arguments": {"spatial_dims": 2, "out_channels": 1}}
        >>> logits = Ensemble("binary", [unet, unet])(torch.zeros(1, 1, 64, 64))
        >>> logits.shape
        torch.Size([1, 1, 64, 64])
    """

    def __init__(self, mode: str, members: Sequence[Mapping[str, Any]], weights: Sequence[float] | None = None) -> None:
        super().__init__()
        if not members:
            raise InvalidInputError("members: found none; expected one network at least.")
        if weights is not None and (len(weights) != len(members) or min(weights) <= 0):
            raise InvalidInputError(f"weights: found {list(weights)}; expected one above 0 for each member.")
        self.mode, self.weights = mode, weights
        self.members = nn.ModuleList(
            import_object(member["build"], "members.build")(**member["arguments"]) for member in members
        )

    def forward(self, image: Tensor) -> Tensor:
        """From images `(B, C, *spatial)` to logits `(B, classes, *spatial)`, fp32."""
        found = [outputs_of(member(image), axes=image.ndim)[0] for member in self.members]
        return logits_of_mean(found, self.mode, self.weights)
