"""What a study cost, and what stopping early spared."""

from dataclasses import dataclass

from reports.study_tables import StudyTables


@dataclass(frozen=True)
class Costs:
    """Sums over all trials.

    Attributes:
        epochs: trained.
        spared_epochs: that stopped trials would have trained to their budget.
        seconds: of training and validation.
        device_seconds: the same times the processors (or share of a GPU) a trial was given.
        device: `CPU` or `GPU`.
        bytes_written: by checkpoints, also those pruned since.
        bytes_kept: by checkpoints that are still there.
    """

    epochs: int
    spared_epochs: int
    seconds: float
    device_seconds: float
    device: str
    bytes_written: int
    bytes_kept: int


def costs_of(study: StudyTables) -> Costs:
    """Add up what the trials cost."""
    trials, checkpoints, settings = study.trials, study.checkpoints, study.settings
    folds = settings["data"].get("folds") or 1
    budget = settings["training"]["epochs"] * folds
    pruned = trials[trials["state"] == "pruned"]
    resources = settings.get("resources") or {}
    gpus = resources.get("gpus_per_trial") or 0
    share = gpus or resources.get("cpus_per_trial") or 1
    seconds = float(trials["seconds"].sum())
    return Costs(
        epochs=int(trials["epochs"].sum()),
        spared_epochs=int((budget - pruned["epochs"]).clip(lower=0).sum()),
        seconds=seconds,
        device_seconds=seconds * share,
        device="GPU" if gpus else "CPU",
        bytes_written=int(checkpoints["bytes"].sum()),
        bytes_kept=int(checkpoints[checkpoints["kept"]]["bytes"].sum()),
    )


def duration(seconds: float) -> str:
    """Seconds as people say them.

    Example:
        >>> duration(3725)
        '1 h 2 min'
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"
