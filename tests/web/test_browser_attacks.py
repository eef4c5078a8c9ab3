"""What pages from elsewhere try, in a browser whose user has signed in."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, Route

from tests.web.browser import ELSEWHERE, Opened, in_browser

ATTACK = """async ([url, ids]) => {
    const body = JSON.stringify({ ids });
    const found = {};
    const tried = async (name, work) => {
        try { found[name] = await work(); } catch (error) { found[name] = "refused"; }
    };
    const retry = `${url}/api/v1/dead-letters/retry`;
    const include = { credentials: "include" };
    await tried("read", async () => (await fetch(`${url}/api/v1/status`, include)).text());
    for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]) {
        await tried(type, async () => {
            const options = { method: "POST", mode: "no-cors", credentials: "include", body };
            const answer = await fetch(retry, { ...options, headers: { "Content-Type": type } });
            return answer.type; // opaque: sent, and not to be read
        });
    }
    await tried("json", async () => (await fetch(retry, {
        method: "POST", credentials: "include", body,
        headers: { "Content-Type": "application/json", "X-Limpet-CSRF": "1" },
    })).text());
    const blob = new Blob([body], { type: "text/plain" });
    await tried("beacon", async () => String(navigator.sendBeacon(retry, blob)));
    await tried("stream", () => new Promise((resolve, reject) => {
        const source = new EventSource(`${url}/api/v1/stream`, { withCredentials: true });
        source.addEventListener("status", (event) => resolve(event.data));
        source.onerror = () => { source.close(); reject(); };
    }));
    await tried("script", () => new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = `${url}/static/page.js`;
        script.type = "module";
        script.onload = () => resolve("ran");
        script.onerror = reject;
        document.head.append(script);
    }));
    await tried("picture", () => new Promise((resolve, reject) => {
        const picture = new Image();
        picture.onload = () => resolve("shown");
        picture.onerror = reject;
        picture.src = `${url}/static/icon.svg`;
    }));
    const form = document.createElement("form");
    form.action = retry;
    form.method = "post";
    form.enctype = "text/plain";
    form.target = "inner";
    const field = document.createElement("input");
    field.name = `{"ids":${JSON.stringify(ids)},"a":"`;
    field.value = `"}`;
    form.append(field);
    const inner = document.createElement("iframe");
    inner.name = "inner";
    document.body.append(inner, form);
    await new Promise((resolve) => { inner.onload = resolve; form.submit(); });
    const frame = document.createElement("iframe");
    frame.src = `${url}/`;
    document.body.append(frame);
    await new Promise((resolve) => { frame.onload = resolve; });
    try { found.frame = frame.contentDocument?.getElementById("name")?.innerText ?? "refused"; }
    catch { found.frame = "refused"; }
    return found;
}"""


def fulfil(route: Route) -> None:
    route.fulfill(
        body="<!doctype html><title>elsewhere</title><body></body>", content_type="text/html"
    )


@pytest.mark.parametrize("site", [f"http://{ELSEWHERE}:1234", "http://127.0.0.1:1234"])
@in_browser()
def test_a_page_from_elsewhere_gets_nothing_and_does_nothing(opened: Opened, site: str) -> None:
    """Also one on another port of this machine, with which a browser sends the cookie."""
    opened.open(f"#token={opened.served.server.token}")
    other: Page = opened.page.context.new_page()
    other.route(f"{site}/**", fulfil)
    other.goto(f"{site}/")
    ids = list(opened.served.program.letters)
    found = other.evaluate(ATTACK, [opened.served.url, ids])
    sent = {"text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "beacon"}
    assert {key: one for key, one in found.items() if key not in sent} == dict.fromkeys(
        ("read", "json", "stream", "script", "picture", "frame"), "refused"
    )
    assert {found[key] for key in sent} <= {"opaque", "refused", "true", "false"}
    opened.page.reload()  # requests that were sent before have been answered
    opened.page.wait_for_selector(".card")
    assert opened.served.program.retried == []
    assert list(opened.served.program.letters) == ids


@in_browser()
def test_a_rebound_name_shows_nothing(opened: Opened) -> None:
    """The name leads to the server, which looks at the Host header."""
    opened.expected = ("Failed to load resource", "Opener-Policy", f"request: http://{ELSEWHERE}")
    answer = opened.page.goto(f"http://{ELSEWHERE}:{opened.served.port}/api/v1/status")
    assert answer is not None
    assert answer.status == 421
    assert "invoices" not in opened.page.content()
