"""Keeps what belongs to the driver out of the pickle that Ray Tune writes for its own restore, which is not used."""

from typing import Any


class NotPickled:
    """Is pickled without its contents: open journals and generators stay where they are."""

    def __getstate__(self) -> dict[str, Any]:
        """Nothing."""
        return {}
