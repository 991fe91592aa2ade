"""An order of cases that can be left in the middle of an epoch and taken up again."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from torch.utils.data import Sampler

from components.errors import InvalidInputError


class ResumableSampler(Sampler[int]):
    """Each epoch's cases in an order that depends on seed and epoch alone, with a position to go on from.

    A `DataLoader` with workers draws indices ahead of the training; there, say `at(n)` with the cases that were really
    trained on before the state is taken.

    Args:
        cases: how many there are.
        seed: of the order.
        shuffle: False keeps them in order.

    Raises:
        InvalidInputError: there are no cases.

    Example:
        >>> sampler = ResumableSampler(4, seed=0)
        >>> first = next(iter(sampler))
        >>> again = ResumableSampler(4, seed=0)
        >>> again.load_state_dict(sampler.state_dict())
        >>> [first, *again] == list(ResumableSampler(4, seed=0))
        True
    """

    def __init__(self, cases: int, *, seed: int, shuffle: bool = True) -> None:
        if cases < 1:
            raise InvalidInputError(f"sampler: found {cases} cases, must be at least 1.")
        self._cases, self._seed, self._shuffle = cases, seed, shuffle
        self._epoch = self._position = 0

    def __iter__(self) -> Iterator[int]:
        """The rest of the epoch; after its last case the next epoch begins."""
        order = self._order()
        while self._position < self._cases:
            self._position += 1
            yield order[self._position - 1]
        self._epoch, self._position = self._epoch + 1, 0

    def __len__(self) -> int:
        """Cases left in the epoch."""
        return self._cases - self._position

    def at(self, position: int) -> None:
        """Say how many cases of this epoch have been trained on."""
        if not 0 <= position <= self._cases:
            raise InvalidInputError(f"sampler: found position {position}, must be 0 to {self._cases}.")
        self._position = position

    def state_dict(self) -> dict[str, Any]:
        """Epoch and position, and what the order hangs on."""
        return {
            "epoch": self._epoch,
            "position": self._position,
            "cases": self._cases,
            "seed": self._seed,
            "shuffle": self._shuffle,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken, in its order.

        Raises:
            InvalidInputError: it was taken over another number of cases.
        """
        if state_dict["cases"] != self._cases:
            raise InvalidInputError(
                f"sampler: its state is of {state_dict['cases']} cases, there are {self._cases}. Hint: are the data "
                "the same?"
            )
        self._seed, self._shuffle = int(state_dict["seed"]), bool(state_dict["shuffle"])
        self._epoch, self._position = int(state_dict["epoch"]), int(state_dict["position"])

    def _order(self) -> list[int]:
        if not self._shuffle:
            return list(range(self._cases))
        order: list[int] = np.random.default_rng((self._seed, self._epoch)).permutation(self._cases).tolist()
        return order
