"""Hands trials to Ray Tune: unfinished ones first, then the baselines, then what the sampler asks for."""

from collections.abc import Iterator
from typing import Any

from ray.tune.search import Searcher

from tuning.not_pickled import NotPickled
from tuning.objective import OBJECTIVE


class JournalSearcher(NotPickled, Searcher):  # type: ignore[misc]  # Ray is not typed
    """A searcher without a memory of its own: everything it knows stands in the journal.

    Args:
        assignments: yields the configuration of one trial after the other; asked only when a trial can start, so that
            the sampler knows every result up to then.
    """

    def __init__(self, assignments: Iterator[dict[str, Any]]) -> None:
        super().__init__(metric=OBJECTIVE, mode="max")
        self._assignments = assignments

    def suggest(self, trial_id: str) -> Any:
        """The next configuration, or `FINISHED`."""
        del trial_id
        return next(self._assignments, Searcher.FINISHED)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:  # noqa: FBT001, FBT002 - Ray's signature
        """Nothing to do: the recorder tells the journal."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save: the journal is the memory."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""
