"""The page of the search service: when the service is away, who may ask it, and how every state of it looks."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from tests.search import browsing
from tests.search.browsing import PHONE, WIDE, answered, expect, look_for, serving, state_of

browser, grove, page, service, visit = (
    browsing.browser,
    browsing.grove,
    browsing.page,
    browsing.service,
    browsing.visit,
)


def test_a_service_that_is_restarted_is_asked_again_by_itself(visit, tmp_path):
    (tmp_path / "one.txt").write_text("a needle\n")
    with serving(tmp_path) as first:
        url, port = first.url, str(first.address[1])
        page = visit(url)
        look_for(page, "needle")
        first.kill()
        page.fill("#q", "hay")
        expect(page.locator("#banner")).to_contain_text("The connection is lost.")
        expect(page.locator("#results.stale mark")).to_have_text("needle")
    (tmp_path / "one.txt").write_text("only hay\n")
    with serving(tmp_path, options=("--port", port)):
        expect(page.locator("#results:not(.stale) mark")).to_have_text("hay")
        expect(page.locator("#banner")).to_be_hidden()


def test_a_service_that_is_ending_is_waited_for(page):
    page.route("**/search?*", lambda route: route.fulfill(
        status=503, content_type="application/problem+json", headers={"Retry-After": "1"},
        body='{"title": "Service Unavailable", "status": 503, "detail": "the service is ending"}',
    ))  # fmt: skip
    page.route("**/healthz", lambda route: route.fulfill(status=503, json={"status": "draining"}))
    page.fill("#q", "needle")
    expect(page.locator("#banner")).to_contain_text("the service is ending")
    expect(page.locator("#banner")).to_contain_text("The service is shutting down.")
    page.unroute_all()
    expect(page.locator("#results .name")).to_have_count(4)
    expect(page.locator("#banner")).to_be_hidden()


# ---- the token ----

TOKEN = "an-orange-0123456789"


@pytest.fixture(scope="module")
def guarded(grove):
    with serving(grove, env={"MANYHANDS_TOKEN": TOKEN}) as service:
        yield service


def test_a_token_in_the_address_is_taken_out_of_it_and_used(visit, guarded):
    page = visit(f"{guarded.url}#token={TOKEN}&q=hay")
    expect(page.locator("#results mark")).to_have_text("hay")
    assert state_of(page) == "#q=hay"
    page.reload()
    expect(page.locator("#results mark")).to_have_text("hay")


def test_a_token_is_asked_for_when_it_is_missing_or_wrong(visit, guarded):
    page = visit(f"{guarded.url}#q=hay")
    page.fill("#secret", "a-wrong-0123456789")
    page.keyboard.press("Enter")
    expect(page.locator("#token")).to_contain_text("The token is wrong.")
    page.fill("#secret", TOKEN)
    page.keyboard.press("Enter")
    expect(page.locator("#results mark")).to_have_text("hay")
    expect(page.locator("#token")).to_be_hidden()


# ---- how it looks ----


def brightness(page):
    return (
        sum(
            map(int, re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor"))[:3])
        )
        / 3
    )


def test_it_is_light_or_dark_as_the_system_until_somebody_chooses(visit, service):
    page = visit(service.url, color_scheme="dark")
    assert brightness(page) < 64
    page.click("#theme")
    assert brightness(page) > 192
    page.reload()
    assert brightness(page) > 192
    page.click("#theme")
    page.click("#theme")
    assert brightness(page) < 64
    page.emulate_media(color_scheme="light")
    assert brightness(page) > 192


def views(page, url, grove):
    """Each state of the page, by name."""
    page.goto(url)
    expect(page.locator("#start h1")).to_be_visible()
    yield "start"
    look_for(page, "needle")
    page.keyboard.press("Enter")
    yield "results"
    look_for(page, "straw")
    yield "limit"
    page.goto(f"{url}#q=e&word=false&case=exact&file=*.py&lang=py&context=2&under={grove}/deep")
    answered(page)
    if page.locator("#filter").is_visible():
        page.click("#filter")
    yield "filters"
    page.goto(f"{url}#q=no+Such&case=exact&file=*.py")
    expect(page.locator(".nothing")).to_be_visible()
    yield "nothing"
    page.goto(f"{url}#regex=true&q=straw|(needle")
    expect(page.locator("#problem")).to_be_visible()
    yield "invalid"
    page.goto(f"{url}#q=faraway&path={grove}/wide.txt&line=1")
    expect(page.locator("#reader mark")).to_be_visible()
    yield "wide"
    page.goto(f"{url}#q=7&path={grove}/long.txt&line=2490-2494")
    expect(page.locator("#reader .matches")).to_contain_text("matching lines")
    yield "file"
    page.goto(f"{url}#show=skipped")
    expect(page.locator("#skipped .where")).to_be_visible()
    yield "skipped"
    page.click("#help")
    yield "keys"
    page.keyboard.press("Escape")
    yield from troubles(page, url)


def troubles(page, url):
    """States that a service is seldom in."""
    end = {
        "missing": [{"shard": 1, "why": "shard 1 is being rebuilt"}],
        "lines": 1,
        "files": 1,
        "elapsed_ms": 0.42,
    }
    line = {"number": 1, "text": "a needle", "spans": [[2, 8]], "match": True}
    events = [
        {"type": "lines", "path": "/a/b", "href": "/file?path=/a/b", "lines": [line]},
        {"type": "end", **end},
    ]
    body = "".join(json.dumps(event) + "\n" for event in events)
    page.route("**/search?*", lambda route: route.fulfill(body=body, content_type="application/x-ndjson"))
    page.goto(f"{url}#q=needle")
    expect(page.locator(".tag.partial")).to_have_text("partial: shard 1 is being rebuilt")
    yield "partial"
    page.route("**/search?*", lambda route: route.abort())
    page.fill("#q", "needles")
    expect(page.locator("#banner")).to_be_visible()
    yield "lost"
    page.route("**/search?*", lambda route: route.fulfill(status=401, json={}))
    page.click("#banner button")
    expect(page.locator("#token")).to_be_visible()
    yield "token"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE, {"width": 360, "height": 640}], ids=["wide", "phone", "small"])
def test_every_state_fits_its_width(visit, service, grove, tmp_path, size, theme):
    folder = Path(os.environ.get("MANYHANDS_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    page = visit(service.url, size, color_scheme=theme, reduced_motion="reduce")
    seen = []
    for name in views(page, service.url, grove):
        picture = folder / f"{name}-{size['width']}x{size['height']}-{theme}.png"
        picture.write_bytes(page.screenshot())
        seen.append((name, page.evaluate("document.documentElement.scrollWidth")))
    assert seen == [(name, size["width"]) for name, _ in seen]
