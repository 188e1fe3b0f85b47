"""A page in Debian's Chromium, driven by Playwright; without either the tests of this folder are skipped.

A page may ask 127.0.0.1 (and what is in a file itself) and nobody else: every other request fails its test, and so do
errors in its console. Playwright's own browsers are not downloaded.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser_watch import Watched

SCREENSHOTS = os.environ.get("SPECVID_SCREENSHOTS", "")  # a folder that gets the screenshots which tests take
_ARGUMENTS = [
    "--no-sandbox",  # it cannot start for root, and in most containers
    "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # nobody else can be asked
]


def chromium_path() -> str | None:
    """The browser of this machine: what SPECVID_CHROMIUM names, or Debian's."""
    if given := os.environ.get("SPECVID_CHROMIUM"):
        return given
    return shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")  # not of the session: while Playwright runs, nothing else can start an event loop
def chromium() -> Iterator[Any]:
    """Playwright's browser."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install playwright"
    )
    path = chromium_path()
    if path is None:
        pytest.skip("there is no chromium on this machine: apt-get install chromium, or set SPECVID_CHROMIUM")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=path, args=_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Opens pages: ``page = open_page(address, width=1280)``; at the end none of them may have had an error."""
    opened = []

    def open_(address: str, *, width: int = 1280, height: int = 900, **options: Any) -> Any:
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        page = context.new_page()
        page.set_default_timeout(30_000)
        opened.append((context, page, Watched(page)))
        page.goto(address)
        return page

    yield open_
    for context, _, watched in opened:
        context.close()
        assert watched.outside == []
        assert watched.errors == []


@pytest.fixture
def screenshot(request: pytest.FixtureRequest) -> Callable[..., None]:
    """``screenshot(page, "report-400")``: of the whole page, into SPECVID_SCREENSHOTS where that is set."""

    def take(page: Any, name: str) -> None:
        if SCREENSHOTS:
            page.screenshot(path=str(Path(SCREENSHOTS) / f"{name}.png"), full_page=True)

    return take
