"""A real browser draws the report, offline and without an error."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from reports import write_report
from tests.report_studies import StudyWriter

_BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(_BROWSER is None, reason="needs Chromium: apt-get install chromium")
_MARKED = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
_MEASURE = """<script>
const root = document.documentElement;
root.dataset.wide = root.scrollWidth;
root.dataset.caption = Math.max(...Array.from(document.querySelectorAll("caption"), (one) => one.offsetWidth));
const cells = Array.from(document.querySelectorAll("td"));
root.dataset.spills = cells.filter((one) => one.scrollWidth > one.clientWidth).length;
</script>"""
_PHONE, _DESKTOP = 500, 1200  # pixels; Chromium makes no narrower window


def browse(page: Path, profile: Path, *, width: int = _DESKTOP, dark: bool = False) -> tuple[str, list[str]]:
    """The page as the browser has it once its scripts have run, and what they said on the console."""
    command = [
        str(_BROWSER),
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={profile}",
        "--host-resolver-rules=MAP * ~NOTFOUND",  # offline
        "--enable-logging=stderr",
        f"--window-size={width},900",
        "--virtual-time-budget=20000",
        *(["--blink-settings=preferredColorScheme=0"] if dark else []),
        "--dump-dom",
        page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    study = StudyWriter(tmp_path_factory.mktemp("browser") / "study", epochs=3, name=_MARKED)
    study.add([0.3, 0.5, 0.6], baseline=_MARKED, weights={_MARKED: 1.0}, cases={_MARKED: 0.5, "b": 0.7})
    for number in range(9):
        weights = {"dice": 0.1 + number / 20, "bce": 0.5 - number / 40, "focal": 0.4 - number / 40}
        study.add([0.3, 0.5, 0.6 + number / 50], weights=weights, params={"a": _MARKED}, cases={_MARKED: 0.6, "b": 0.8})
    study.add([0.1], state="pruned", cause=_MARKED)
    study.add([], state="failed", cause=_MARKED, log=_MARKED)
    return write_report(study.write())


@pytest.mark.parametrize(("width", "dark"), [(_DESKTOP, False), (_PHONE, True)])
def test_every_figure_is_drawn_without_a_word_on_the_console(
    page: Path, tmp_path: Path, width: int, *, dark: bool
) -> None:
    wanted = page.read_text(encoding="utf-8").count('class="plot"')
    assert wanted >= 9
    found, console = browse(page, tmp_path, width=width, dark=dark)
    assert console == []
    assert f'data-drawn="{wanted}"' in found
    assert len(re.findall(r'class="plot js-plotly-plot"', found)) == wanted
    assert found.count("<svg") >= wanted


def test_marked_text_is_not_run(page: Path, tmp_path: Path) -> None:
    found, _ = browse(page, tmp_path)
    assert "<title>study</title>" in found
    assert "&lt;script&gt;document.title" in found
    assert 'src="x"' not in found


def test_a_phone_does_not_scroll_sideways_nor_cut_captions_and_cells(page: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.html"
    copy.write_text(page.read_text(encoding="utf-8").replace("</body>", f"{_MEASURE}</body>"), encoding="utf-8")
    found, _ = browse(copy, tmp_path / "profile", width=_PHONE)
    assert int(re.findall(r'data-wide="(\d+)"', found)[0]) <= _PHONE
    assert int(re.findall(r'data-caption="(\d+)"', found)[0]) < _PHONE
    assert 'data-spills="0"' in found


def test_the_console_is_heard(tmp_path: Path) -> None:
    broken = tmp_path / "broken.html"
    broken.write_text("<script>nothing.here()</script><img src='https://example.org/x.png'>")
    _, console = browse(broken, tmp_path / "profile")
    assert any("nothing is not defined" in line for line in console)
