"""What a bundle's `predict` cannot do with the files that a study trains on; known before any training."""

from pathlib import Path

from components.data.folder.pairs import Pair, find_pairs
from components.image_reader import VOLUMES, suffix_of
from tuning.config import DataConfig


def read_pairs(config: DataConfig) -> list[Pair]:
    """The cases of a folder; none of data that are not in one."""
    return [] if config.root is None else find_pairs(Path(config.root), config.images, config.masks)


def why_not_served(config: DataConfig) -> str | None:
    """Why `predict` cannot take the files that were trained on; None where it can."""
    if config.root is None:
        return "the data come from a function (data.build) and have no files"
    return None


def serving_notes(config: DataConfig) -> list[str]:
    """One line for what a bundle's `predict` cannot do with such data, or needs for them.

    Args:
        config: the section `data`, of a folder or a function.
    """
    why = why_not_served(config)
    if why is not None:
        return [f"predict   {why}: a bundle takes .npy files, scaled as they are."]
    if any(suffix_of(pair.image) in VOLUMES for pair in read_pairs(config)):
        return ["predict   a bundle of this study needs nibabel for such files, which segtune[medical] installs."]
    return []
