"""The page in a real browser."""

from __future__ import annotations

import dataclasses
import re
import threading
from pathlib import Path, PurePosixPath

import pytest
from playwright.sync_api import Page, expect

from limpet.web import _feed
from tests.cli.fakes import renamed
from tests.waiting import PATIENCE, until_sync
from tests.web.browser import Opened, in_browser, keep
from tests.web.fakes import HOSTILE, Changed, full_status, letter, story
from tests.web.serving import Served

expect.set_options(timeout=PATIENCE * 1000)

REFUSED = "Failed to load resource"
"""What the console says of an answer that is no 200."""


def add(opened: Opened, *args: object) -> None:
    opened.served.run(lambda: opened.served.program.happenings.add(*args))  # type: ignore[arg-type]


@in_browser()
def test_a_stranger_finds_the_answers(opened: Opened) -> None:
    """Is it running, what did it do last, what is stuck and why: on the first screen."""
    page = opened.open()
    expect(page.locator("#is-running .lead")).to_have_text("Running")
    expect(page.locator("#is-running .more")).to_contain_text("process 4711 on atlas")
    expect(page.locator("#did-last .more")).to_contain_text("thumbs.db")
    expect(page.locator(".chart", has_text="Waiting").locator(".value")).to_contain_text("46")
    expect(page.locator("#is-stuck .lead")).to_have_text("7 problems")
    problems = page.locator("#problem-list li")
    expect(problems.nth(0)).to_contain_text("the disk has no space left")
    assert [one.split()[0] for one in problems.all_inner_texts()] == ["failing"] * 4 + [
        "degraded"
    ] * 3
    for selector in ("#is-running", "#did-last", "#is-stuck", "#problem-list"):
        box = page.locator(selector).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] < 900
    assert len(page.locator(".chart").all()) == 6
    kinds = page.locator(".card .kind").all_inner_texts()
    assert set(kinds) == {"watch", "follow", "inbox", "behaviour", "output", "hub", "spool",
                          "agent", "journal"}  # fmt: skip
    keep(page, "wide")


@in_browser()
def test_a_healthy_program_says_so(opened: Opened) -> None:
    """Nothing is stuck, and what a program has not is not shown."""
    opened.served.run(
        lambda: opened.served.program.change(
            health="ok", problems=(), agents=(), hub=None, spool=None, dead_letters=None,
            watches=opened.served.program.base.watches[:1], follows=(), inboxes=(),
            behaviours=opened.served.program.base.behaviours[1:2], journal=None,
        )
    )  # fmt: skip
    page = opened.open()
    expect(page.locator("#is-stuck .lead")).to_have_text("Nothing")
    expect(page.locator("#problems")).to_be_hidden()
    expect(page.locator("#letters")).to_be_hidden()
    assert page.locator(".card .kind").all_inner_texts() == [
        "watch",
        "behaviour",
        "output",
        "output",
    ]


@in_browser()
def test_hostile_names_are_text(opened: Opened) -> None:
    """Wherever they appear: nothing runs, and what cannot be seen is made visible."""
    served = opened.served

    def fill() -> None:
        base = served.program.base
        letters = tuple(letter(f"id{place}", name, name) for place, name in enumerate(HOSTILE))
        served.program.letters = {one.id: story(one) for one in letters}
        dead = base.dead_letters
        assert dead is not None
        served.program.change(
            name=HOSTILE[0],
            watches=tuple(dataclasses.replace(base.watches[1], name=one, place=one,
                                              degraded={one: one}) for one in HOSTILE),
            behaviours=tuple(dataclasses.replace(base.behaviours[0], name=one, failure=one)
                             for one in HOSTILE),
            problems=tuple(dataclasses.replace(base.problems[0], where=one, reason=one)
                           for one in HOSTILE),
            dead_letters=dataclasses.replace(dead, newest=letters, waiting=len(letters)),
        )  # fmt: skip
        for name in HOSTILE:
            served.program.happenings.add("event", Changed(name), name, name)

    served.run(fill)
    page = opened.open()
    expect(page.locator("#name")).to_have_text(HOSTILE[0])
    shown = page.locator(".stream button.path").all_inner_texts()
    assert "<img src=x onerror=alert(2)>" in shown
    assert "\\u202egnp.exe" in shown
    assert "line\\nfeed\\ttab\\u001b[31mred\\0nul\\u007f" in shown
    assert "Übergrößenträger Müller & Söhne.csv" in shown
    text = page.locator("body").inner_text()
    assert not re.search("[\u202e\u2066\x1b\x00\u200b]", text)
    assert page.locator("main img, main script, main svg[onload], main iframe").count() == 0
    for place, name in enumerate(HOSTILE):
        page.locator("#letter-list li").nth(place).get_by_role("button", name="Read why").click()
        expect(page.locator("#story .tale li").first).to_be_visible()
        assert page.locator("#story img, #story script").count() == 0
        if len(name) > 4000:
            assert name[:1000] in page.locator("#story").inner_text()
        page.keyboard.press("Escape")
    page.set_viewport_size({"width": 360, "height": 780})
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    keep(page, "hostile")


@in_browser()
def test_events_are_filtered_and_paused(opened: Opened) -> None:
    """By text, kind and part; a pause holds what is seen, and counts what comes."""
    page = opened.open()
    rows = page.locator(".stream li")
    page.locator("#filter-text").fill("10443")
    expect(rows).to_have_count(4)
    page.locator("#filter-what").select_option("failed")
    expect(rows).to_have_count(1)
    page.locator("#filter-text").fill("nothing like it")
    expect(page.locator("#events-note")).to_contain_text("Nothing fits the filter")
    page.locator("#filter-text").fill("")
    page.locator("#filter-what").select_option("")
    page.locator("#filter-by").select_option("mirror")
    expect(rows).to_have_count(2)
    page.locator("#filter-by").select_option("")
    page.get_by_role("button", name="Pause").click()
    add(opened, "event", Path("/srv/in/while-paused"), "inbox")
    expect(page.locator("#events-note")).to_contain_text("Paused; 1 since then")
    assert "while-paused" not in page.locator(".stream").inner_text()
    page.locator("#filter-text").fill("10443")  # what was there can still be filtered
    expect(rows).to_have_count(4)
    page.locator("#filter-text").fill("")
    page.get_by_role("button", name="Go on").click()
    expect(rows.first).to_contain_text("while-paused")


@in_browser()
def test_messages_are_one_line_in_the_list(opened: Opened) -> None:
    """Their lines are joined; those of a name stay visible. A problem says which it is."""
    page = opened.open()
    event = renamed("a\nb", "c", Path("/srv"))
    add(opened, "problem", event, "a" * 300, "first\n\n second")
    row = page.locator(".stream li").first
    expect(row).to_contain_text("first · second")
    expect(row).to_contain_text("a\\nb → ")
    expect(row).to_contain_text("renamed")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@in_browser()
def test_the_story_of_a_path(opened: Opened) -> None:
    """A click on a path; it goes on while it is open."""
    page = opened.open()
    page.locator("#filter-text").fill("10439")
    page.locator(".stream button.path").first.click()
    expect(page.locator("#story-title")).to_contain_text("rechnung-10439.csv")
    rows = page.locator("#story .tale li")
    expect(rows).to_have_count(4)
    assert [one.split()[1] for one in rows.all_inner_texts()] == [
        "changed",
        "retry",
        "retry",
        "failed",
    ]
    add(opened, "done", Changed("/srv/in/2026-11/rechnung-10439.csv"), "import invoices")
    expect(rows).to_have_count(5)
    expect(rows.last).to_contain_text("done")


@in_browser()
def test_a_dead_letter_is_read_and_retried(opened: Opened) -> None:
    """Its step, error and traceback; the token is asked for once, also after a wrong one."""
    opened.expected = (REFUSED,)
    page = opened.open()
    first = page.locator("#letter-list li").first
    first.get_by_role("button", name="Read why").click()
    body = page.locator("#story-body")
    for text in ("ImportCsv", "parse_total", "is not a number", "18004", "try 2 of 3"):
        expect(body).to_contain_text(text)
    keep(page, "story")
    body.get_by_role("button", name="Retry").click()
    page.locator("#ask-token").fill("a wrong one")
    page.get_by_role("button", name="Continue").click()
    expect(page.locator("#ask-text")).to_contain_text("not the token")
    page.locator("#ask-token").fill(opened.served.server.token)
    page.keyboard.press("Enter")
    expect(page.locator("#notice")).to_have_text("Tried again: 1 done.")
    expect(page.locator("#letter-list li")).to_have_count(2)
    expect(page.locator("#story")).to_be_hidden()
    page.locator("#letter-list input").first.check()
    page.locator("#retry").click()
    expect(page.locator("#letter-list li")).to_have_count(1)
    assert len(opened.served.program.retried) == 2


@in_browser()
def test_the_address_brings_the_token(opened: Opened) -> None:
    """It is gone from the address at once; the session outlives a reload."""
    page = opened.open(f"#token={opened.served.server.token}")
    assert page.url == opened.served.url + "/"
    page.reload()
    page.locator("#pick-all").check()
    page.get_by_role("button", name="Retry 3").click()
    expect(page.locator("#notice")).to_have_text("Tried again: 3 done.")
    expect(page.locator("#letters")).to_be_hidden()
    assert page.evaluate("document.cookie") == ""
    stored = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert opened.served.server.token not in stored


@in_browser()
def test_a_token_for_an_open_page(opened: Opened) -> None:
    """Who opens the printed address again, in the same tab, is signed in, too."""
    page = opened.open()
    page.evaluate(f"location.hash = 'token={opened.served.server.token}'")
    page.wait_for_function("() => location.hash === '' && localStorage.length === 1")
    page.locator("#pick-all").check()
    page.get_by_role("button", name="Retry 3").click()
    expect(page.locator("#letters")).to_be_hidden()


@in_browser()
def test_a_tab_that_nobody_sees_rests(opened: Opened) -> None:
    """It gives its connection back, and goes on where it was."""
    page = opened.page
    page.clock.install()
    opened.open()
    show = """(hidden) => {
        Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(show, True)
    page.clock.fast_forward(25_000)
    add(opened, "event", PurePosixPath("/srv/in/while-hidden"), "inbox")
    page.clock.fast_forward(60_000)
    expect(page.locator("#link")).to_have_attribute("data-state", "live")
    assert "while-hidden" not in page.locator(".stream").inner_text()
    page.evaluate(show, False)
    expect(page.locator(".stream li").first).to_contain_text("while-hidden")


@in_browser()
def test_a_thousand_parts_are_shown_by_what_is_wrong(opened: Opened) -> None:
    """Two hundred cards; the failing one is among them."""
    base = opened.served.program.base
    many = tuple(
        dataclasses.replace(base.behaviours[1], name=f"b{number}", failure="no" * (number == 900))
        for number in range(1000)
    )
    opened.served.run(lambda: opened.served.program.change(behaviours=many))
    page = opened.open()
    expect(page.locator(".card")).to_have_count(200)
    expect(page.locator(".card h3", has_text="b900")).to_be_visible()
    expect(page.locator("#parts-note")).to_contain_text("are not shown")


@in_browser()
def test_more_dead_letters_than_are_listed(opened: Opened) -> None:
    """The page says that it shows the newest ones."""
    dead = opened.served.program.base.dead_letters
    assert dead is not None
    many = dataclasses.replace(dead, waiting=1234)
    opened.served.run(lambda: opened.served.program.change(dead_letters=many))
    page = opened.open()
    expect(page.locator("#letters-title")).to_have_text("Dead letters (1,234)")
    expect(page.locator("#letters-note")).to_contain_text("The newest 3 are shown.")


@in_browser()
def test_discarding_is_confirmed(opened: Opened) -> None:
    """Cancel has the focus, and does nothing."""
    page = opened.open(f"#token={opened.served.server.token}")
    page.locator("#pick-all").check()
    page.get_by_role("button", name="Discard 3…").click()
    expect(page.locator("#ask")).to_contain_text("cannot be undone")
    expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#ask")).to_be_hidden()
    assert opened.served.program.discarded == []
    page.get_by_role("button", name="Discard 3…").click()
    page.get_by_role("button", name="Discard", exact=True).click()
    expect(page.locator("#letters")).to_be_hidden()
    assert [len(one) for one in opened.served.program.discarded] == [3]


@in_browser()
def test_without_the_token_nothing_is_done(opened: Opened) -> None:
    """Who cancels is let go."""
    opened.expected = (REFUSED,)
    page = opened.open()
    page.locator("#pick-all").check()
    page.get_by_role("button", name="Retry 3").click()
    expect(page.locator("#ask-token")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#ask")).to_be_hidden()
    assert opened.served.program.retried == []


@in_browser()
def test_a_page_survives_a_restart(opened: Opened) -> None:
    """It reconnects by itself, and says what happened."""
    opened.expected = (REFUSED, "ERR_", "EventSource")
    page = opened.open()
    opened.served.end()
    expect(page.locator("#link")).to_have_attribute("data-state", "lost")
    expect(page.locator("#is-running .lead")).to_have_text("Not reachable")
    again = dataclasses.replace(full_status(), instance="b0b0")
    with Served(f"127.0.0.1:{opened.served.port}", status=again) as other:
        expect(page.locator("#link")).to_have_attribute("data-state", "live")
        expect(page.locator("#notice")).to_contain_text("started again")
        expect(page.locator(".stream")).to_contain_text("started again")
        other.run(lambda: other.program.happenings.add("event", Path("/new"), "inbox"))
        expect(page.locator(".stream li").first).to_contain_text("/new")
        expect(page.locator("#is-running .lead")).to_have_text("Running")
        page.goto("about:blank")


@in_browser()
def test_a_blocked_program_is_shown_as_such(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what was known last."""
    monkeypatch.setattr(_feed, "PATIENCE_S", 0.3)
    page = opened.open()
    held = threading.Event()
    opened.served.loop.call_soon_threadsafe(held.wait, PATIENCE)
    try:
        expect(page.locator("#is-running .lead")).to_have_text("It does not answer")
        expect(page.locator("#problem-list")).to_contain_text("the event loop has not answered")
    finally:
        held.set()
    expect(page.locator("#is-running .lead")).to_have_text("Running")


@in_browser()
def test_all_can_be_done_by_keyboard(opened: Opened) -> None:
    """Each stop of Tab shows its focus; dialogs take it, and give it back."""
    page = opened.open()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    seen = []
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate(
                """() => {
                    const it = document.activeElement;
                    if (it === document.body) return ["", true]; // round the end
                    const style = getComputedStyle(it);
                    const name = it.getAttribute("aria-label") || it.labels?.[0]?.innerText ||
                        it.innerText || it.value || "";
                    const wide = parseFloat(style.outlineWidth);
                    return [name.trim(), style.outlineStyle !== "none" && wide >= 1];
                }"""
            )
        )
    stops = [one for one in seen if one[0]]
    assert [one for one in stops if not one[1]] == []
    names = " | ".join(one[0] for one in stops)
    for wanted in ("Dead letters", "Read why", "Story of /srv/in", "Pause", "Text", "Kind"):
        assert wanted in names
    button = page.get_by_role("button", name="Read why").first
    button.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#story .tale li").first).to_be_visible()
    assert page.evaluate("document.getElementById('story').contains(document.activeElement)")
    page.keyboard.press("Escape")
    expect(page.locator("#story")).to_be_hidden()
    expect(button).to_be_focused()


@in_browser()
def test_a_screen_reader_finds_its_way(opened: Opened) -> None:
    """Landmarks, headings, and a name for each control and picture."""
    page = opened.open()
    for role in ("banner", "main", "navigation", "search", "contentinfo"):
        assert page.get_by_role(role).count() == 1, role
    assert page.get_by_role("heading", level=1).count() == 1
    assert page.get_by_role("img", name=re.compile("Events, last .* min: now")).count() == 1
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("main :is(button, input, select, a), header a")]
            .filter((it) => !(it.ariaLabel || it.innerText || it.labels?.[0]?.innerText))
            .map((it) => it.outerHTML)"""
    )
    assert nameless == []
    assert page.locator("#notice").get_attribute("aria-live") == "polite"
    assert page.locator("html").get_attribute("lang") == "en"


CONTRAST = """() => {
  const curve = (value) => value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const channel = (value) => curve(value / 255);
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
  const back = (it) => {
    for (; it; it = it.parentElement) {
      const found = numbers(getComputedStyle(it).backgroundColor);
      if (found.length < 4 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  const found = new Set();
  for (const it of document.querySelectorAll("body *")) {
    if (!it.checkVisibility() || it.closest(":disabled, option, .skip")) continue;
    if (![...it.childNodes].some((one) => one.nodeType === 3 && one.data.trim())) continue;
    const [one, other] = [light(numbers(getComputedStyle(it).color)), light(back(it))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < 4.5) found.add(`${it.tagName}.${it.className} ${ratio.toFixed(2)}`);
  }
  return [...found];
}"""


def looks_right(page: Page, name: str) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(CONTRAST) == []
    keep(page, name)


@in_browser(color_scheme="light")
def test_light(opened: Opened) -> None:
    """Text has the contrast that WCAG 2.2 asks for (AA, 4.5 to 1)."""
    page = opened.open()
    looks_right(page, "light")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(245, 247, 246)"


@in_browser(color_scheme="dark", reduced_motion="reduce")
def test_dark(opened: Opened) -> None:
    """As the system asks; nothing moves for who wants no motion."""
    page = opened.open()
    looks_right(page, "dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(14, 20, 19)"
    assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"


@in_browser(viewport={"width": 360, "height": 780}, has_touch=True)
def test_a_phone(opened: Opened) -> None:
    """Nothing is cut off at 360 pixels."""
    page = opened.open()
    looks_right(page, "phone")
    page.locator("#letter-list").get_by_role("button", name="Read why").first.click()
    expect(page.locator("#story .tale li").first).to_be_visible()
    box = page.locator("#story").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 360


@in_browser()
def test_a_flood_does_not_freeze_the_page(opened: Opened) -> None:
    """10,000 happenings a second: frames go on, rows are bounded, what is missing is counted."""
    page = opened.open()
    page.evaluate(
        """() => {
            window.frames_seen = 0;
            window.blocked = 0;
            const count = () => { window.frames_seen += 1; requestAnimationFrame(count); };
            requestAnimationFrame(count);
            new PerformanceObserver((all) => {
                for (const one of all.getEntries()) window.blocked += one.duration;
            }).observe({ type: "longtask" });
        }"""
    )
    served, batches = opened.served, 0

    def flood() -> None:
        for number in range(2500):
            served.program.happenings.add(
                "event", Changed(f"/srv/in/flood/{batches}/{number}.csv"), "inbox"
            )

    for _ in range(12):  # a quarter of a second each
        batches += 1
        served.run(flood)
        frames = page.evaluate("frames_seen")
        expect(page.locator(".stream li").first).to_contain_text(f"/flood/{batches}/2499")
        page.wait_for_function("(seen) => frames_seen > seen", arg=frames + 2)  # it is not frozen
        assert page.locator(".stream li").count() <= 150
    expect(page.locator("#events-note")).to_contain_text("came too fast to be shown")
    page.locator("#filter-text").fill("/flood/12/2499")
    expect(page.locator(".stream li")).to_have_count(1)
    assert page.evaluate("document.getElementsByTagName('*').length") < 4000
    page.get_by_role("button", name="Pause").click()
    until_sync(lambda: page.get_by_role("button", name="Go on").count() == 1)
