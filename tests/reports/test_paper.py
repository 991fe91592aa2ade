"""The figures of a report as files."""

import shutil
import sys
from pathlib import Path

import pytest
from PIL import Image

from components.errors import MissingExtraError
from reports import StudyTables
from reports.paper import write_figures
from tests.report_studies import StudyWriter

needs_browser = pytest.mark.skipif(
    not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
    reason="needs Chromium: apt-get install chromium",
)


@pytest.fixture
def study(tmp_path: Path) -> StudyTables:
    writer = StudyWriter(tmp_path / "study", epochs=2)
    writer.add([0.3, 0.5], baseline="dice", weights={"dice": 1.0}, cases={"a": 0.5, "b": 0.7})
    writer.add([0.4, 0.6], weights={"dice": 0.5, "bce": 0.5}, cases={"a": 0.6, "b": 0.8})
    return StudyTables(writer.write())


@needs_browser
def test_every_figure_of_the_report_is_drawn_on_white(study: StudyTables) -> None:
    paths = write_figures([study])
    assert {"curves-plot.png", "curves-history.png", "cases-dots.png"} <= {path.name for path in paths}
    with Image.open(study.directory.reports / "figures" / "curves-plot.png") as image:
        assert image.size == (3 * 720, 3 * 420)
        assert image.convert("RGBA").getpixel((1, 1)) == (255, 255, 255, 255)
        assert len(image.convert("RGB").getcolors(1 << 24) or ()) > 20


@needs_browser
def test_a_pdf_is_written_where_one_wants_it(study: StudyTables, tmp_path: Path) -> None:
    paths = write_figures([study], tmp_path / "paper", "pdf")
    assert {path.parent for path in paths} == {tmp_path / "paper"}
    assert all(path.read_bytes().startswith(b"%PDF") for path in paths)


def test_what_is_to_be_installed_is_named(study: StudyTables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kaleido", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'segtune\[figures\]'"):
        write_figures([study])
