"""Means over an epoch that never wait for the device while it runs."""

from torch import Tensor


class RunningMeans:
    """Means over cases of named scalars; kept as detached tensors until they are asked for.

    Example:
        >>> means = RunningMeans()
        >>> means.add({"dice": torch.tensor(0.5)}, cases=2)
        >>> means.values()
        {'dice': 0.5}
    """

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._cases: dict[str, int] = {}

    def add(self, values: dict[str, Tensor], cases: int) -> None:
        """Add the values of one batch of so many cases."""
        for name, value in values.items():
            share = value.detach() * cases
            self._sums[name] = self._sums[name] + share if name in self._sums else share
            self._cases[name] = self._cases.get(name, 0) + cases

    def values(self) -> dict[str, float]:
        """Return the means so far; this waits for the device."""
        return {name: float(total) / self._cases[name] for name, total in self._sums.items()}

    def reset(self) -> None:
        """Forget everything."""
        self._sums.clear()
        self._cases.clear()
