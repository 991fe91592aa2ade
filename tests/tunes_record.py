"""What Ray Tune's own record of an attempt says, to hold our index against."""

import warnings
from pathlib import Path

from ray.tune import ExperimentAnalysis


def tunes_best(attempt: Path) -> dict[str, str]:
    """Path of the checkpoint that Ray Tune's own record calls best, by trial folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trials = ExperimentAnalysis(str(attempt)).trials
    best = {}
    for trial in trials:
        result = trial.run_metadata.checkpoint_manager.best_checkpoint_result
        if result:
            best[Path(result.checkpoint.path).parent.name] = result.checkpoint.path
    return best
