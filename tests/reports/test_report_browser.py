"""A real browser draws the report: on a desk and on a phone, light, dark and printed, offline and without an error."""

import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from reports import write_report
from tests.reports.chromium import BROWSER, Chromium, View
from tests.reports.rich_study import rich_data, write_rich_study

pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs Chromium: apt-get install chromium")
_MARKED = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
_PHONE, _DESKTOP, _PAPER = 390, 1200, 794  # pixels; A4 is 794 wide
_WIDE = "document.documentElement.scrollWidth"
_FIGURES = (
    "finalists-means",
    *("curves-plot", "curves-history"),
    *("settings-importance", "settings-axes", "settings-map"),
    *(f"terms-{kind}-{part}" for kind in ("tuned", "baseline") for part in ("loss", "gradient_share", "weight")),
    "kinds-strategies",
    *("cases-dots", "cases-classes"),
)
_DRAWN = """Array.from(document.querySelectorAll(".plot"), (plot) => {
  const frame = plot.getBoundingClientRect();
  const within = (one) => {
    const box = one.getBoundingClientRect();
    return box.width + box.height > 0 && box.left >= frame.left - 1 && box.right <= frame.right + 1;
  };
  const svg = plot.querySelector("svg.main-svg").getBoundingClientRect();
  const marks = Array.from(plot.querySelectorAll(".trace path"));
  return { id: plot.id, width: svg.width, height: svg.height, marks: marks.filter(within).length };
})"""
_CUT = """Array.from(document.querySelectorAll(".plot text"), (text) => {
  const box = text.getBoundingClientRect(), frame = text.closest(".plot").getBoundingClientRect();
  const tiny = Math.min(box.width, box.height) < 8 && text.textContent.length > 1;
  const out = box.width > 0 && (box.left < frame.left - 1 || box.right > frame.right + 1 || tiny);
  return out ? `${text.closest(".plot").id}: ${text.textContent}` : "";
}).filter((text) => text)"""
_SPILLED = """Array.from(document.querySelectorAll("td, th"))
  .filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => one.textContent)"""
_PALE = """(() => {
  const light = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255)
    .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
  const paper = light(getComputedStyle(document.body).backgroundColor);
  const contrast = (ink) => (Math.max(paper, light(ink)) + 0.05) / (Math.min(paper, light(ink)) + 0.05);
  const inks = [...document.querySelectorAll(".plot text")].map((one) => getComputedStyle(one).fill)
    .concat([...document.querySelectorAll("p.note, figcaption, caption, td, h2, a")]
      .map((one) => getComputedStyle(one).color));
  return [...new Set(inks)].filter((ink) => contrast(ink) < 4.5);
})()"""  # 4.5 is what WCAG 2.2 asks of text


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_rich_study(tmp_path_factory.mktemp("browser") / "study", _MARKED)
    return write_report(root, images=lambda _: [rich_data()])


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with Chromium(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def look(page: Path, browser: Chromium) -> Callable[[int, str], View]:
    """Opens the report in a width, light or dark, once."""
    return cache(lambda width, scheme: browser.open(page, width=width, dark=scheme == "dark"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [_DESKTOP, _PHONE], ids=["desktop", "phone"])
def test_every_figure_is_drawn_in_every_light(look: Callable[[int, str], View], width: int, scheme: str) -> None:
    view = look(width, scheme)
    drawn = view.value(_DRAWN)
    assert tuple(figure["id"] for figure in drawn) == _FIGURES
    for figure in drawn:
        assert width / 2 < figure["width"] <= width, figure
        assert figure["height"] > 100, figure
        assert figure["marks"] > 0, figure
    assert view.value(_CUT) == []
    assert view.value(_PALE) == []
    paper = view.value("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") is (scheme == "light")
    assert view.value(_WIDE) <= width
    assert (view.said, view.asked) == ([], [])


def test_every_picture_is_shown(look: Callable[[int, str], View]) -> None:
    view = look(_PHONE, "light")
    sizes = view.value('Array.from(document.querySelectorAll(".strip img"), (one) => [one.naturalWidth, one.width])')
    assert len(sizes) == 2 * 3 * 4  # winner and baseline; best, median and worst case; four panels
    assert all(own == 48 and shown > 100 for own, shown in sizes)
    assert view.value('new Set([...document.querySelectorAll(".strip img")].map((one) => one.src)).size') > 12


def test_cells_and_captions_are_not_cut(look: Callable[[int, str], View]) -> None:
    for width in (_PHONE, _DESKTOP):
        view = look(width, "light")
        assert view.value(_SPILLED) == []
        captions = view.value('Array.from(document.querySelectorAll("caption"), (one) => one.offsetWidth)')
        assert max(captions) < width
        words = view.value('Array.from(document.querySelectorAll("td.words"), (one) => one.offsetWidth)')
        assert min(words) > 150  # a line has room for more than a word


def test_a_print_is_black_on_white_and_fits_the_paper(page: Path, browser: Chromium) -> None:
    view = browser.open(page, width=_PAPER, dark=True)
    view.value(f"window.addEventListener('beforeprint', () => {{ window.printed = {_DRAWN}; }})")
    assert len(re.findall(rb"/Type /Page\b", view.pdf())) > 5
    printed = view.value("window.printed")
    assert [figure["id"] for figure in printed if 0 < figure["width"] <= 640 and figure["marks"]] == list(_FIGURES)
    view.media("print", dark=True)
    assert view.value("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert view.value(_PALE) == []
    assert view.value(_WIDE) <= _PAPER
    assert (view.said, view.asked) == ([], [])


def test_marked_text_is_not_run(look: Callable[[int, str], View]) -> None:
    view = look(_DESKTOP, "light")
    assert view.value("document.title") == "study"
    assert view.value("document.querySelectorAll('img[src=x]').length") == 0
    assert view.value("document.getElementById('failures').textContent").count(_MARKED) == 4  # its cause and its log
    assert _MARKED in view.value("document.getElementById('summary').textContent")
    assert "<script>document.titl…" in view.value("document.getElementById('cases-dots').textContent")


def test_errors_and_requests_are_heard(tmp_path: Path, browser: Chromium) -> None:
    broken = tmp_path / "broken.html"
    broken.write_text("<script>console.log('a word'); nothing.here()</script><img src='https://example.org/x.png'>")
    view = browser.open(broken, width=_DESKTOP)
    assert "a word" in view.said
    assert any("nothing is not defined" in line for line in view.said)
    assert view.asked == ["https://example.org/x.png"]
