"""Validation cases kept for a report of data that only the study's own code can make."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from components.errors import InvalidInputError
from tests.commands import segtune_here
from tests.toys import tiny_data
from tuning import Study, StudyConfig
from tuning.pictures import keep_pictures, read_pictures
from tuning.record import StudyDirectory

Make = Callable[..., StudyConfig]


@pytest.mark.usefixtures("ray_session")
def test_a_report_shows_pictures_without_the_code_that_made_the_data(study_config: Make, folder: Path) -> None:
    Study(study_config(search={"trials": 1, "baselines": ["dice"]}), folder).run()
    record = folder / "study.yaml"
    record.write_text(record.read_text().replace("tests.toys:tiny_data", "nobody.has:this"))
    done = segtune_here("report", str(folder))
    assert done.returncode == 0, done.stderr
    assert (folder / "report" / "index.html").read_text().count('<img src="data:image/png') == 2 * 3 * 4  # panels
    (folder / "pictures.npz").write_bytes(b"nothing")
    damaged = segtune_here("report", str(folder))
    assert damaged.returncode == 0, damaged.stderr
    assert "holds no pictures of a study" in (folder / "report" / "index.html").read_text()


def test_what_is_read_is_what_was_kept(tmp_path: Path) -> None:
    study, data = StudyDirectory(tmp_path), tiny_data()
    assert read_pictures(study) == []
    keep_pictures(study, [data, data])
    found = read_pictures(study)
    assert len(found) == 2
    for fold in found:
        assert (fold.val.cases, fold.mode, fold.classes) == (data.val.cases, data.mode, data.classes)
        for (image, mask), (before, truth) in zip(
            zip(fold.val.images, fold.val.masks, strict=True),
            zip(data.val.images, data.val.masks, strict=True),
            strict=True,
        ):
            np.testing.assert_allclose(image, before, rtol=1e-3, atol=1e-4)
            assert np.array_equal(mask, truth)
    study.pictures.write_bytes(study.pictures.read_bytes()[:-200])
    with pytest.raises(InvalidInputError, match=r"pictures\.npz: holds no pictures of a study"):
        read_pictures(study)
