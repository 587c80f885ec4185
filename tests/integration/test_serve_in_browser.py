"""The demo page and the page of requests in a real browser: what a person types is what the server is asked.

Screenshots are left in build/serve-screenshots for people to look at.
"""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.support.browser import DESK, PHONE, browser, complaints, find_browser, shown
from tests.support.serve_process import ServerProcess
from tests.support.tiny_artefact import tiny_artefact

pytestmark = pytest.mark.slow
SCREENSHOTS = Path(__file__).parents[2] / "build" / "serve-screenshots"
SIZES = {"desk": DESK, "phone": PHONE}
HISTORY = {
    "items": ["i3", "i9", "nobody", "i3", "i7"],
    "time": [0, 1, 2, 3, 4],
    "kind": ["view", "buy", None, None, None],
    "age": 31,
}


@pytest.fixture(scope="module")
def running():
    if find_browser() is None:
        pytest.skip(
            "NOBODY LOOKED AT THE DEMO: no Chromium or Chrome here; on Debian: apt install chromium, or make test-slow as root"
        )
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    place = tmp_path_factory.mktemp("demo")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    with ServerProcess(tiny_artefact(place / "a"), place / "out", eager=True) as found:
        yield found


def said_by(said: list[str], server: ServerProcess) -> list[str]:
    """Without what the page asks of its own server."""
    return [line for line in said if not line.startswith(server.url)]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_a_person_types_items_and_sees_what_every_plugin_would_answer(running, server, size, theme):
    own = httpx.post(f"{server.url}/recommend", json={"history": HISTORY, "k": 4}, trust_env=False).json()
    beside = httpx.post(f"{server.url}/recommend/by-plugin", json={"history": HISTORY, "k": 4}, trust_env=False).json()
    with shown(running, f"{server.url}/", SIZES[size], theme) as (page, said):
        page.locator("#popular button").first.wait_for()
        assert "tiny-0: sasrec with bottleneck, 40 items" in page.locator("#about").inner_text()
        page.locator("#popular button").first.click()
        assert page.locator("#items").input_value() == page.locator("#popular button").first.inner_text()
        page.locator("#items").fill("\n".join(HISTORY["items"]))
        page.locator("#event-kind").fill("view, buy")
        page.locator("#user-age").fill("31")
        page.locator("#k").fill("4")
        page.get_by_role("button", name="Recommend", exact=True).click()
        page.locator("#plugins .card").first.wait_for()
        lists = [
            [row.partition("\n")[2] or row for row in card.locator("li").all_inner_texts()] for card in page.locator(".card").all()
        ]
        lists = [[row.split()[-1] for row in rows] for rows in lists]
        assert lists == [own["items"], *(answer["items"] for answer in beside["answers"])]
        assert "1 of the items unknown" in page.locator("#answer").inner_text()
        assert "(serves)" in page.locator("#plugins .own h3").inner_text()
        page.screenshot(path=SCREENSHOTS / f"demo-{size}-{theme}.png", full_page=True)
        assert {check: complaints(page, check) for check in ("overflow", "contrast")} == {"overflow": [], "contrast": []}
        assert said_by(said, server) == []


def test_a_mistake_is_shown_with_its_field(running, server):
    with shown(running, f"{server.url}/", DESK, "light") as (page, _):
        page.locator("#popular button").first.wait_for()
        page.locator("#items").fill("i1")
        page.locator("#user-age").fill("old")
        page.get_by_role("button", name="Recommend", exact=True).click()
        page.wait_for_function("document.getElementById('error').textContent")
        assert "history.age" in page.locator("#error").inner_text() and page.locator(".card").count() == 0


def test_what_is_typed_is_text_and_never_markup(running, server):
    with shown(running, f"{server.url}/", DESK, "light") as (page, said):
        page.locator("#popular button").first.wait_for()
        page.locator("#items").fill("<img src=x onerror=alert(1)>\n<script>alert(1)</script>")
        page.get_by_role("button", name="Recommend", exact=True).click()
        page.locator(".card").first.wait_for()
        assert page.locator("img").count() == 0 and said_by(said, server) == []


def test_the_page_of_requests_shows_every_one(running, server):
    with shown(running, f"{server.url}/docs", DESK, "light") as (page, said):
        page.locator("summary").nth(5).wait_for()
        page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
        text = page.locator("#operations").inner_text()
        assert "POST /recommend/by-plugin" in text and "GET /metrics" in text and '"maxItems": 1000' in text
        page.screenshot(path=SCREENSHOTS / "docs.png", full_page=True)
        assert complaints(page, "overflow") == [] and said_by(said, server) == []
