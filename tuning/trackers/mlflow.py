"""MLflow: a run a trial, found again by a tag when the trial goes on."""

from typing import Any

from components.errors import MissingExtraError
from tuning.record import TrialEntry
from tuning.trackers.tracking import TrackedStudy

try:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param
except ImportError as error:
    raise MissingExtraError("trackers.mlflow: needs the extra. Hint: pip install 'segtune[mlflow]'.") from error

_TAG = "segtune.trial"
_STATUS = {"complete": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
_LONGEST = 6000  # of a parameter's value; a server refuses more


class MLflowTracker:
    """Logs to a tracking server or database; see `Tracker`.

    Args:
        study: whose numbers are logged; its project is the experiment.
        uri: of the server or database.
    """

    def __init__(self, study: TrackedStudy, uri: str) -> None:
        self._client, self._study = MlflowClient(tracking_uri=uri), study
        known = self._client.get_experiment_by_name(study.project)
        place = (study.directory.root / "mlflow").as_uri() if uri.startswith("sqlite:") else None
        self._experiment = (
            known.experiment_id if known else self._client.create_experiment(study.project, artifact_location=place)
        )
        self._runs: dict[int, str] = {}

    def start(self, number: int, name: str, settings: dict[str, Any]) -> None:
        """Make the trial's run, or take up the one that it had before."""
        identity = f"{self._study.identity}/{number}"
        found = self._client.search_runs([self._experiment], f"tags.`{_TAG}` = '{identity}'", max_results=1)
        if found:
            self._runs[number] = found[0].info.run_id
            self._client.update_run(self._runs[number], status="RUNNING")
            return
        tags = {_TAG: identity, "segtune.study": self._study.name}
        self._runs[number] = self._client.create_run(self._experiment, run_name=name, tags=tags).info.run_id
        parameters = [Param(path, str(value)[:_LONGEST]) for path, value in settings.items()]
        self._client.log_batch(self._runs[number], params=parameters)

    def log(self, number: int, epoch: int, values: dict[str, float]) -> None:
        """Log an epoch in one request."""
        # The epoch stands for the time, so that one that is trained again is the same entry and not a second.
        self._client.log_batch(
            self._runs[number], [Metric(name, value, epoch, epoch) for name, value in values.items()]
        )

    def end(self, entry: TrialEntry) -> None:
        """Close the run, with why it ended."""
        run = self._runs.pop(entry.number, None)
        if run is not None:
            self._client.set_tag(run, "segtune.cause", entry.cause[:_LONGEST])
            self._client.set_terminated(run, _STATUS[entry.state])

    def close(self) -> None:
        """Nothing is held back."""
