"""Which weights of a trial are validated and saved: the network's own, or an average along its training."""

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from safetensors.torch import load
from torch import Tensor, nn

from components.averaging import Average, ExponentialAverage, Soup, StochasticAverage, greedy_soup, recompute_batch_norm
from components.checkpoints import CheckpointRecord, verify_checkpoint
from components.checkpoints.record import MODEL
from components.data import SegmentationData, training_batches
from components.errors import CheckpointError
from tuning.config import StudyConfig

DICE_OF = "dice_of_"  # begins the columns of `checkpoint.compare_averages`
_WEIGHTS = "weights"  # of the network itself, in a checkpoint whose model is an average


class TrialAverages:
    """The averages that one fold of a trial keeps beside its network.

    Args:
        settings: of the trial.
        data: of the fold; its training images set BatchNorm statistics.
        model: the network that is trained.
        seed: of the batches.
        join_single: as in `training_batches`.
    """

    def __init__(
        self, settings: StudyConfig, data: SegmentationData, model: nn.Module, seed: int, *, join_single: bool = False
    ) -> None:
        checkpoint, epochs = settings.checkpoint, settings.training.epochs
        self._settings, self._data, self._model, self._seed = settings, data, model, seed
        self._join_single = join_single
        self._chosen = checkpoint.averaging
        self._swa_from = min(math.floor(checkpoint.swa_start * epochs) + 1, epochs)
        kinds: dict[str, Callable[[], Average]] = {
            "ema": lambda: ExponentialAverage(model, checkpoint.ema_decay),
            "swa": lambda: StochasticAverage(model),
        }
        wanted = kinds if checkpoint.compare_averages else kinds.keys() & {self._chosen}
        self._averages = {name: make() for name, make in kinds.items() if name in wanted}

    def after_step(self) -> None:
        """An optimiser step was taken."""
        if "ema" in self._averages:
            self._averages["ema"].update(self._model)

    def after_epoch(self, epoch: int) -> None:
        """An epoch has been trained."""
        if "swa" in self._averages and epoch >= self._swa_from:
            swa = self._averages["swa"]
            swa.update(self._model)
            self.set_statistics(swa.network)

    @property
    def network(self) -> nn.Module:
        """The network to validate and to save."""
        return self._of(self._chosen)

    def dice_of_each(self, chosen: float, validate: Callable[[nn.Module], float]) -> dict[str, float]:
        """Columns that compare the averages of this training; empty unless they are asked for.

        Args:
            chosen: Dice of `network`.
            validate: gives the Dice of another.
        """
        if not self._settings.checkpoint.compare_averages:
            return {}
        return {
            f"{DICE_OF}{name}": chosen if self._of(name) is self.network else validate(self._of(name))
            for name in ("raw", "ema", "swa")
        }

    def set_statistics(self, network: nn.Module) -> None:
        """BatchNorm statistics of a network over the training images; nothing without such layers."""
        recompute_batch_norm(network, self._images())

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold besides its model for the trial to go on."""
        averages = {name: dict(average.state_dict()) for name, average in self._averages.items()}
        if self._is_average():
            return {"averages": averages, _WEIGHTS: dict(self._model.state_dict())}
        return {"averages": averages}

    def model_to_fill(self) -> nn.Module | None:
        """The network whose weights a checkpoint's model are; None where those are an average."""
        return None if self._is_average() else self._model

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken."""
        for name, average in self._averages.items():
            average.load_state_dict(state["averages"][name])
        if self._is_average():
            self._model.load_state_dict(state[_WEIGHTS])

    def _is_average(self) -> bool:
        return self._chosen in self._averages

    def _of(self, name: str) -> nn.Module:
        average = self._averages.get(name)
        return self._model if average is None or not average.count else average.network

    def _images(self) -> Iterator[Tensor]:
        training = self._settings.training
        batches = training_batches(
            self._data.train,
            size=training.batch,
            seed=self._seed,
            epoch=0,
            augment="none",
            crop=training.crop,
            divisor=self._settings.model.divisor,
            foreground=training.foreground,
            join_single=self._join_single,
        )
        return (images for images, _ in batches)


def make_soup(
    model: nn.Module,
    dice: float,
    records: Sequence[CheckpointRecord],
    *,
    dice_of: Callable[[CheckpointRecord], float],
    score: Callable[[nn.Module], float],
    prepare: Callable[[nn.Module], None],
) -> tuple[Soup, nn.Module]:
    """A greedy soup of a network and of earlier checkpoints of the same training.

    Args:
        model: the network as it is now; left alone.
        dice: its Dice on validation.
        records: checkpoints, where their files are now; one that is not valid is left out and printed.
        dice_of: of a checkpoint.
        score: Dice of a network on validation.
        prepare: sets what belongs to new weights, such as BatchNorm statistics.

    Returns:
        The soup, and a network with its weights.
    """
    network = copy.deepcopy(model)
    candidates = [(dice, math.inf, _tensors(model))]
    for record in records:
        try:
            verify_checkpoint(record.path)
            candidates.append((dice_of(record), record.epoch, load((record.path / MODEL).read_bytes())))
        except CheckpointError as error:
            print(f"left out of the soup: {error}")  # noqa: T201 - into the trial's log
    candidates.sort(key=lambda candidate: candidate[:2], reverse=True)

    def fill(weights: Mapping[str, Tensor]) -> nn.Module:
        network.load_state_dict(dict(weights), strict=False)  # what is no tensor stays
        prepare(network)
        return network

    soup = greedy_soup([weights for _, _, weights in candidates], lambda mean: score(fill(mean)), candidates[0][0])
    return soup, fill(soup.weights)


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu() for name, value in model.state_dict().items() if isinstance(value, Tensor)}
