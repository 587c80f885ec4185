"""The report in a real browser: at the width of a desk and of a phone, in the light and the dark theme, without scripts, on paper.

Screenshots and the printed page are left in build/report-screenshots for people to look at.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from ltrec.evaluation.config import EvaluationConfig
from ltrec.reporting.html import write_report
from tests.support.browser import DESK, PHONE, browser, complaints, find_browser, shown
from tests.support.fake_run import fake_run, stratify
from tests.support.timeouts import scaled

pytestmark = pytest.mark.slow
ARTEFACTS = Path(__file__).parents[2] / "build" / "report-screenshots"
CONFIG = EvaluationConfig(bootstrap_samples=400)
SIZES = {"desk": DESK, "phone": PHONE}
JUDGED = ("fail", "pass", "unsure", "long")
PAGES = (*JUDGED, "alone", "trained")


@pytest.fixture(scope="module")
def running():
    if find_browser() is None:
        pytest.skip(
            "NOBODY LOOKED AT THE REPORT: no Chromium or Chrome here; on Debian: apt install chromium, or make test-slow as root"
        )
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, str]:
    """Addresses of a page of every kind."""
    root = tmp_path_factory.mktemp("runs")
    shutil.rmtree(ARTEFACTS, ignore_errors=True)
    ARTEFACTS.mkdir(parents=True)

    def method(name: str, seeds: int = 3, **options: float) -> list[Path]:
        runs = [fake_run(root / f"{name}-{seed}", seed=seed, users=1200, **options) for seed in range(1, seeds + 1)]
        for run in runs:
            text = (run / "config.yaml").read_text(encoding="utf-8")
            (run / "config.yaml").write_text(text.replace("name: sasrec", f"name: {name}"), encoding="utf-8")
        return runs

    joint, long = method("joint"), "a-method-whose-name-says-everything-that-was-changed-in-its-config"
    bad, good, new = method("pin", lift=-0.4, tax=0.3), method("good", lift=0.9, tax=-0.4), method("new", 1, lift=0.1)
    trained = Path(shutil.copytree(joint[0], root / "trained"))
    shutil.rmtree(trained / "eval")
    runs = {
        "fail": [*(stratify(run) for run in bad), *joint],
        "pass": [*good, *joint],
        "unsure": [*new, joint[0]],
        "long": [*method(long, 1, lift=0.2), joint[0], bad[0], good[0]],
        "alone": joint,
        "trained": [trained],
    }
    return {name: write_report(found, CONFIG, root / "pages" / name).as_uri() for name, found in runs.items()}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole_readable_and_silent(running, pages, name, size, theme):
    with shown(running, pages[name], SIZES[size], theme) as (page, said):
        page.screenshot(path=ARTEFACTS / f"{name}-{size}-{theme}-first.png")
        page.screenshot(path=ARTEFACTS / f"{name}-{size}-{theme}.png", full_page=True)
        for opened in (False, True):
            page.evaluate("open => document.querySelectorAll('details').forEach(d => { d.open = open })", opened)
            found = {check: complaints(page, check) for check in ("overflow", "images", "contrast", "hints")}
            assert not any(found.values()), found
        assert said == []


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", JUDGED)
def test_the_first_screen_holds_the_verdict_and_the_forest(running, pages, name, size):
    with shown(running, pages[name], SIZES[size], "light") as (page, _):
        answer, word, forest = (page.locator(part).first.bounding_box() for part in ("h1", "h1 .badge", ".first img"))
        assert "Paired differences" in page.locator(".first img").get_attribute("alt")
        width, height = SIZES[size]
        for box in (answer, word, forest):
            assert box and box["x"] >= 0 and box["x"] + box["width"] <= width and box["y"] + box["height"] <= height
        assert answer["y"] < forest["y"] and forest["width"] > 0.3 * width
        assert re.search(r"(PASS|FAIL|INCONCLUSIVE)$", page.locator("h1").inner_text())
        assert page.locator("h1 .badge svg").first.bounding_box()["width"] > 10


def test_the_icons_of_the_verdicts_differ(running, pages):
    icons = set()
    for name in ("fail", "pass", "unsure"):
        with shown(running, pages[name], DESK, "light") as (page, _):
            icons.add(page.locator("h1 .badge svg").first.inner_html())
    assert len(icons) == 3


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_wide_table_is_shaded_until_its_end_and_keeps_its_first_column(running, pages, theme):
    with shown(running, pages["fail"], PHONE, theme) as (page, _):
        box = page.locator(".scroll.wide").first
        start = edge(box)
        before, names = box.bounding_box(), box.locator("tbody th").first.bounding_box()
        assert box.evaluate("b => b.scrollWidth - b.clientWidth") > 50
        box.evaluate("b => { b.scrollLeft = b.scrollWidth }")
        assert box.locator("tbody th").first.bounding_box()["x"] == pytest.approx(names["x"], abs=1)
        assert box.bounding_box() == before, "the page does not move"
        end = edge(box)
    paper = end[0, 0, :3]
    assert np.ptp(end.reshape(-1, end.shape[-1]), axis=0).max() < 0.02, "nothing is left to see, so there is no shade"
    assert np.abs(start[..., :3] - paper).max() > 0.1, "there is more to see, so the edge is in shade"


def edge(box) -> np.ndarray:
    """The empty right end of the line above a table, where only shade can be."""
    pixels = imread(io.BytesIO(box.screenshot()))
    return pixels[2:14, -16:-3]


@pytest.mark.parametrize("touch", [False, True], ids=["click", "tap"])
def test_a_name_tells_its_meaning_without_scripts(running, pages, touch):
    size = PHONE if touch else DESK
    with shown(running, pages["fail"], size, "light", java_script_enabled=False, has_touch=touch) as (page, _):
        name, meaning = page.locator("button.term", has_text="AUC").first, page.locator("#about-auc")
        assert not meaning.is_visible()
        name.tap() if touch else name.click()
        assert meaning.is_visible() and "outranks" in meaning.inner_text()
        box = meaning.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= size[0] and 0 <= box["y"] < size[1]
        page.keyboard.press("Escape")
        assert not meaning.is_visible()


def test_the_contents_lead_to_every_part(running, pages):
    with shown(running, pages["fail"], PHONE, "light") as (page, _):
        links = page.locator("nav a")
        assert links.count() > 10
        for i in range(links.count()):
            links.nth(i).click()
            target = page.locator(links.nth(i).get_attribute("href"))
            assert target.evaluate("e => { const y = e.getBoundingClientRect().y; return y > -1 && y < innerHeight }")


@pytest.mark.parametrize("name", ["fail", "long", "alone"])
def test_on_paper_no_heading_is_an_orphan_and_no_table_is_split(running, pages, name):
    if not shutil.which("pdftotext"):
        pytest.skip("nobody looked at the printed report: no pdftotext here; on Debian: apt install poppler-utils")
    printed = ARTEFACTS / f"{name}.pdf"
    with shown(running, pages[name], DESK, "dark") as (page, _):
        page.pdf(path=printed, format="A4", print_background=True)
        headings = page.locator("h2:visible").all_inner_texts()[1:]  # the list of contents is left out
        tables = page.evaluate(
            "() => [...document.querySelectorAll('table')].filter(t => !t.closest('details'))"
            ".map(t => [t.caption.innerText, ...[...t.querySelectorAll('tbody th')].map(h => h.innerText)])"
        )
    sheets = [squeezed(text) for text in texts(printed)]
    assert len(sheets) > 3 and tables
    for heading in headings:
        [sheet] = [sheet for sheet in sheets if re.search(rf"(^| ){re.escape(squeezed(heading))} ", sheet + " ")] or [""]
        assert len(sheet.rpartition(squeezed(heading))[2]) > 40, f"{heading!r} stands alone at the end of its sheet"
    for caption, *rows in tables:
        assert any(in_order([caption, *rows], sheet) for sheet in sheets), f"the table {caption!r} is split"


def texts(printed: Path) -> list[str]:
    """The text of each sheet in reading order."""
    told = subprocess.run(
        ["pdftotext", "-raw", printed, "-"], capture_output=True, text=True, check=True, timeout=scaled(60)
    ).stdout
    return told.rstrip("\f").split("\f")


def squeezed(text: str) -> str:
    return " ".join(text.split())


def in_order(words: list[str], sheet: str) -> bool:
    place = 0
    for word in map(squeezed, words):
        place = sheet.find(word, place)
        if place < 0:
            return False
        place += len(word)
    return True


@dataclass(frozen=True)
class Broken:
    """A page with one thing wrong, and the check that must find it."""

    check: str
    body: str


@pytest.mark.parametrize(
    "broken",
    [
        Broken("overflow", "<div style='width: 2000px'>wide</div>"),
        Broken("overflow", "<div style='overflow: hidden'><p style='width: 2000px'>cut off</p></div>"),
        Broken("images", "<img src='data:image/png;base64,AAAA' alt='broken'>"),
        Broken("contrast", "<p style='color: #999; background: #fff'>pale</p>"),
        Broken("contrast", "<div style='background: #222'><p style='color: rgb(255 255 255 / .3)'>pale on dark</p></div>"),
        Broken(
            "hints", "<div class='scroll' style='width: 50px; overflow: auto'><table><td style='min-width: 99px'>1</table></div>"
        ),
        Broken("hints", "<div class='scroll'><p class='hint'>scroll</p></div>"),
    ],
    ids=lambda broken: broken.check,
)
def test_the_checks_find_what_is_wrong(running, tmp_path, broken):
    (tmp_path / "page.html").write_text(f"<!doctype html><body>{broken.body}</body>", encoding="utf-8")
    with shown(running, (tmp_path / "page.html").as_uri(), DESK, "light") as (page, _):
        assert complaints(page, broken.check)


def test_what_a_page_says_or_asks_for_is_heard(running, tmp_path):
    (tmp_path / "page.html").write_text("<script>console.warn('hm'); fetch('http://127.0.0.1:9/x')</script>", encoding="utf-8")
    with shown(running, (tmp_path / "page.html").as_uri(), DESK, "light") as (page, said):
        page.wait_for_timeout(200)
        assert "console: hm" in said and "http://127.0.0.1:9/x" in said
