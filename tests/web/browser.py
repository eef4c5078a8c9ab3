"""One headless Chromium for all tests of a run, driven in a thread of its own.

Playwright's own loop runs in the thread that uses it, where asyncio could not run another one.
"""

from __future__ import annotations

import functools
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Playwright, Request, sync_playwright

from tests.waiting import PATIENCE
from tests.web.serving import Served

ELSEWHERE = "evil.example"
"""A name that an attacker has, and that leads to this machine."""
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def chromium() -> str:
    """Return the browser of the system; on Linux a test without it fails."""
    for name in NAMES:
        found = shutil.which(name)
        if found:
            return found
    if sys.platform == "linux":
        pytest.fail("there is no Chromium: apt-get install chromium")
    pytest.skip("there is no Chromium")


class BrowserThread:
    """A browser, and the thread that alone may use it."""

    def __init__(self) -> None:
        self._path = chromium()
        self._thread = ThreadPoolExecutor(1, "browser")
        self._playwright: Playwright
        self.browser: Browser
        self.run(self._start)

    def run(self, function: Callable[[], Any]) -> Any:
        return self._thread.submit(function).result(4 * PATIENCE)

    def close(self) -> None:
        self.run(self._stop)
        self._thread.shutdown()

    def _start(self) -> None:
        self._playwright = sync_playwright().start()
        self.browser = self._playwright.chromium.launch(
            executable_path=self._path,
            args=[
                "--no-sandbox",  # it may run as root, in a container
                "--disable-dev-shm-usage",
                f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1",  # as a rebound name
            ],
        )

    def _stop(self) -> None:
        self.browser.close()
        self._playwright.stop()


class Opened:
    """A page, and what it did that it should not."""

    def __init__(self, page: Page, served: Served) -> None:
        self.page, self.served = page, served
        self.wrong: list[str] = []
        self.expected: tuple[str, ...] = ()
        """Parts of messages that a test brings about."""
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        page.on("request", self._on_request)
        page.on("dialog", lambda dialog: self.wrong.append(f"dialog: {dialog.message}"))

    def open(self, fragment: str = "") -> Page:
        """Go to the page, and wait for the first snapshot and the first events."""
        self.page.goto(self.served.url + "/" + fragment)
        self.page.wait_for_selector("#link[data-state=live]")
        self.page.wait_for_selector(".stream li")
        self.page.wait_for_selector(".card")
        return self.page

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.wrong.append(f"console: {message.text}")

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith(self.served.url + "/"):
            self.wrong.append(f"request: {request.url}")

    def check(self) -> None:
        """Assert that nothing else went wrong."""
        wrong = [one for one in self.wrong if not any(part in one for part in self.expected)]
        assert not wrong, wrong


def in_browser(**context: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run a test with an ``Opened``, in the thread of the browser, in a fresh context."""

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(test)
        def run(browser: BrowserThread, **fixtures: Any) -> None:
            browser.run(lambda: _run(test, browser, context, fixtures))

        del run.__wrapped__  # pytest reads the arguments of this one
        names = [*test.__code__.co_varnames[1 : test.__code__.co_argcount]]
        run.__signature__ = _signature(names)  # type: ignore[attr-defined]
        return run

    return decorate


def _signature(names: list[str]) -> Any:
    import inspect

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Signature([inspect.Parameter(name, kind) for name in ["browser", *names]])


def _run(
    test: Callable[..., None], browser: BrowserThread, context: dict[str, Any], fixtures: Any
) -> None:
    with Served() as served, page_of(browser, served, **context) as opened:
        test(opened, **fixtures)


@contextmanager
def page_of(browser: BrowserThread, served: Served, **context: Any) -> Iterator[Opened]:
    options = {"viewport": {"width": 1280, "height": 900}, "locale": "de-DE", **context}
    made = browser.browser.new_context(**options)
    made.set_default_timeout(PATIENCE * 1000)
    try:
        opened = Opened(made.new_page(), served)
        yield opened
        opened.check()
    finally:
        made.close()


def keep(page: Page, name: str) -> Path:
    """Take a screenshot of the whole page, which stays as an artefact of the run."""
    folder = os.environ.get("SCREENSHOTS_DIR")
    path = Path(folder or tempfile.gettempdir(), "" if folder else "limpet-screenshots", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=path.with_suffix(".png"), full_page=True)
    return path.with_suffix(".png")
