"""Checks that the rooms that are imported are segtune's own and not a user's folder of the same name."""

from importlib.util import find_spec
from pathlib import Path

from tuning.errors import StudyError

ROOMS = ("components", "search_spaces", "reports")


class ShadowedPackageError(StudyError, ImportError):
    """Another package of the same name stands first on the import path."""


def check_own_packages() -> None:
    """Compare where the rooms are found with where this file is.

    Raises:
        ShadowedPackageError: names both files.
    """
    home = Path(__file__).resolve().parent.parent
    for room in ROOMS:
        spec = find_spec(room)
        found = Path(spec.origin).resolve() if spec and spec.origin else None
        expected = home / room / "__init__.py"
        if found != expected:
            raise ShadowedPackageError(
                f"the package {room!r} is found at {found}, segtune's own is {expected}. "
                "Hint: start segtune from another folder, rename yours, or mend PYTHONPATH."
            )
