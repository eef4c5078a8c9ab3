"""The whole story of a failing inbox: a bot as a program, and a person with a browser."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Page, expect

from tests.bot.test_listening import BOT, write
from tests.bot.test_service import Program
from tests.waiting import PATIENCE
from tests.web.browser import BrowserThread, keep

expect.set_options(timeout=PATIENCE * 1000)

MOVING = """\
  - kind: Action
    implementation: limpet.bot.MoveProcessedFileAction
    uuid: 862ece57-0d4c-48d5-8e98-e3bb96a926e5
    properties: {done: ../done, failed: ../failed, note: true}
"""


def test_a_bad_file_is_found_mended_and_done(browser: BrowserThread, tmp_path: Path) -> None:
    """It fails three times; the page says why; mended and retried it is done. A restart of the bot
    meanwhile is survived by the page that is open, with its session."""
    (tmp_path / "bot.yaml").write_text(BOT + MOVING)
    (tmp_path / "inbox").mkdir()
    argv = ("run", "bot.yaml", "--listen", "127.0.0.1:0")
    with Program(tmp_path, *argv) as program:
        program.until(lambda: "running: " in program.output)
        address = program.output.partition("status at ")[2].split()[0]

        def follow(page: Page) -> None:
            page.goto(address)
            page.wait_for_selector("#link[data-state=live]")
            assert urlsplit(page.url).fragment == ""
            name = "größe <b>\u202e.csv"
            write(tmp_path / "inbox" / name, "12,5o")
            letters = page.locator("#letter-list li")
            expect(letters).to_have_count(1)
            expect(page.locator(".stream")).to_contain_text("try 2")
            letters.get_by_role("button", name="Read why").click()
            body = page.locator("#story-body")
            expect(body).to_contain_text("ValueError")
            expect(body).to_contain_text("RunCommandAction")
            expect(body).to_contain_text("größe <b>")
            keep(page, "failing-inbox")
            assert (tmp_path / "failed" / name).exists()
            # The bot is started again while the page is open.
            program.signal("SIGTERM")
            assert program.end() == 0, program.output
            page.wait_for_selector("#link:not([data-state=live])")
            with Program(tmp_path, *argv) as again:
                again.until(lambda: "running: " in again.output)
                page.wait_for_selector("#link[data-state=live]")
                write(tmp_path / "failed" / name, "125")
                body.get_by_role("button", name="Retry").click()
                expect(page.locator("#notice")).to_have_text("Tried again: 1 done.")
                expect(letters).to_have_count(0)
                assert (tmp_path / "done" / name).read_text() == "125"
                expect(page.locator(".stream")).to_contain_text("done")
                keep(page, "mended-inbox")
                again.signal("SIGTERM")
                assert again.end() == 0, again.output

        def run() -> None:
            made = browser.browser.new_context(viewport={"width": 1280, "height": 900})
            made.set_default_timeout(PATIENCE * 1000)
            try:
                follow(made.new_page())
            finally:
                made.close()

        browser.run(run)
    log = (tmp_path / "out" / "log").read_text()
    assert log == "done\n"
    dead = list((tmp_path / "xdg" / "limpet").glob("bot-*/dead-letters.jsonl"))
    assert not dead or json.loads(dead[0].read_text() or "null") is None
