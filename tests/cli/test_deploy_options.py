"""What `segtune export` refuses before it opens a study."""

from pathlib import Path

import pytest

from tests.commands import segtune_here


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--finalist", "--ensemble"), "found --finalist and --ensemble; say one of them."),
        (("--trial", "3", "--all-finalists"), "found --trial 3 and --all-finalists; say one of them."),
        (("--ensemble", "--average", "ema"), "--ensemble hands over best checkpoints; found --average ema."),
        (("--trial", "three"), "--trial: found 'three'; expected a number, or best."),
    ],
)
def test_options_that_exclude_each_other_are_named(tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    said = segtune_here("export", str(tmp_path / "study"), "--to", str(tmp_path / "out"), *options)
    assert said.returncode == 2
    assert message in " ".join(said.stderr.replace("│", " ").split())
    assert list(tmp_path.iterdir()) == []
