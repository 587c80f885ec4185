"""A real browser for the report's tests: the Chromium or Chrome of this machine, without a window, driven by Playwright.

Playwright's own browsers are not downloaded. `look.js` holds what is checked inside the page.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.support.timeouts import scaled

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PHONE, DESK = (390, 844), (1440, 900)
LOOK = (Path(__file__).parent / "look.js").read_text(encoding="utf-8")
OPTIONS = ["--no-sandbox", "--disable-dev-shm-usage", "--force-color-profile=srgb", "--hide-scrollbars"]
"""The page is our own, and root in a container has no sandbox."""


def find_browser() -> str | None:
    """Path of the first browser that runs."""
    for name in NAMES:
        path = shutil.which(name)
        if path and subprocess.run([path, "--version"], capture_output=True, timeout=scaled(60)).returncode == 0:
            return path
    return None


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser, closed at the end."""
    path = find_browser()
    assert path is not None
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=OPTIONS)
        try:
            yield running
        finally:
            running.close()


@contextmanager
def shown(running: Browser, address: str, size: tuple[int, int], theme: str, **options: bool) -> Iterator[tuple[Page, list[str]]]:
    """A page at a size in a theme, and what it says on the console or asks of the network: nothing, if all is well."""
    width, height = size
    context = running.new_context(viewport={"width": width, "height": height}, color_scheme=theme, **options)
    try:
        page, said = context.new_page(), list[str]()
        page.on("console", lambda message: said.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: said.append(f"error: {error}"))
        page.on("request", lambda request: said.append(request.url) if not request.url.startswith(("file:", "data:")) else None)
        page.goto(address, wait_until="load")
        yield page, said
    finally:
        context.close()


def complaints(page: Page, check: str) -> list[str]:
    """What a check of `look.js` finds wrong."""
    found: list[str] = page.evaluate(f"() => {{ globalThis.look = {LOOK.strip().rstrip(';')}; return look.{check}(); }}")
    return found
