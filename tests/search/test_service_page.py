"""The page of the search service: what a person types and sees, and what the address says of it."""

from __future__ import annotations

import os
import re
import signal

import pytest
from tests.search import browsing
from tests.search.browsing import EVIL, answered, expect, look_for, rows, state_of, wait_until
from tests.search.hostile import stop, stopped

from manyhands.search.web import assets

browser, grove, page, service, visit = (
    browsing.browser,
    browsing.grove,
    browsing.page,
    browsing.service,
    browsing.visit,
)


# ---- the files ----


def test_the_assets_are_the_page_and_what_it_names():
    named = set(re.findall(r'(?:href|src)="(/static/[^"]+)"', assets()["/"][1].decode()))
    imported = {
        f"/static/{name}"
        for _, data in assets().values()
        for name in re.findall(r'from "\./([^"]+)"', data.decode())
    }
    assert named | imported | {"/"} == set(assets())
    assert imported <= named, "a module that is not preloaded takes a round trip more"


def test_nothing_comes_from_another_place():
    for path, (_, data) in assets().items():
        text = data.decode().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(
            r"https?://|//\w+\.\w+/|innerHTML|insertAdjacentHTML|document\.write|eval\(", text
        ), path


# ---- searching ----


def test_typing_gives_results(page):
    page.locator("#q").press_sequentially("needle", delay=10)
    answered(page)
    expect(page.locator("#results .file .name")).to_have_text(
        ["<b onmouseover=alert(3)>evil.txt", "alpha.py", "beta.py", "gamma.c"]
    )
    expect(page.locator("#answer")).to_contain_text("5 lines in 4 files")
    expect(page.locator("#answer .tag")).to_have_text("complete")


def test_the_matches_are_marked(page):
    look_for(page, "needle")
    beta = page.locator('.file[data-path$="beta.py"]')
    expect(beta.locator("mark")).to_have_text(["needle", "needle", "Needle"])
    expect(beta.locator(".count")).to_have_text("2")


def test_marks_are_right_behind_characters_of_two_units(page):
    look_for(page, "grin")
    expect(page.locator("#results mark")).to_have_text(["grin", "grin"])


def test_a_long_line_is_shown_around_its_match(page):
    look_for(page, "faraway")
    code = page.locator("#results code")
    expect(code.locator(".cut")).to_have_count(2)
    expect(code.locator("mark")).to_be_visible()
    assert len(code.inner_text()) < 1000


def test_the_status_line_tells_what_is_held(page, service):
    status = service.json("/status")
    expect(page.locator("#held")).to_contain_text(f"{status['files']} files")
    expect(page.locator("#held a")).to_have_text("1 skipped")
    page.click("#held a")
    expect(page.locator("#skipped .where")).to_have_text(re.compile("binary.bin$"))


def test_more_than_the_limit_is_shown_when_asked_for(page):
    look_for(page, "straw")
    expect(page.locator("#answer .tag")).to_have_text("first 200 lines")
    page.click("text=Count all")
    expect(page.locator("#answer")).to_contain_text("of 1,501 lines in 2 files")
    page.click("text=Show the first 1,000 lines")
    expect(page.locator("#answer .tag")).to_have_text("first 1,000 lines")
    expect(rows(page)).to_have_count(1000)
    assert "limit=1000" in state_of(page)


def test_an_outdated_query_is_stopped_in_the_service(page, service, until):
    def running():
        page.evaluate("0")  # the browser's requests have their turn
        return service.json("/status")["queries"]["running"]

    page.route("**/search?*", lambda route: route.continue_(url=f"{route.request.url}&deadline_s=60"))
    shards = [shard["pid"] for shard in service.json("/status")["shards"]]
    with stopped(*shards):  # so that a query lasts
        for text in ("needle", "straw", "grin"):
            page.fill("#q", text)
            wait_until(page, f"location.hash === '#q={text}'")
            until(lambda: running() == 1)
    answered(page)
    expect(page.locator("#results mark")).to_have_text(["grin", "grin"])


def test_the_old_rows_stand_dimmed_until_new_ones_come(page):
    look_for(page, "hay")
    held = []
    page.route("**/search?*", lambda route: held.append(route))  # noqa: PLW0108 - a builtin is refused
    page.fill("#q", "grin")
    expect(page.locator("#results.stale mark")).to_have_text("hay")
    expect(page.locator("#progress")).to_be_visible()
    held[0].continue_()
    answered(page)
    expect(page.locator("#results mark")).to_have_text(["grin", "grin"])
    expect(page.locator("#progress")).to_be_hidden()


# ---- filters, and the address ----


def test_each_filter_is_in_the_address_and_narrows_the_search(page):
    look_for(page, "needle")
    page.select_option("#lang", "py")
    expect(page.locator("#results .name")).to_have_text(["alpha.py", "beta.py"])
    page.fill("#file", "*.py !alpha*")
    expect(page.locator("#results .name")).to_have_text(["beta.py"])
    page.click("#word")
    expect(page.locator("#results mark")).to_have_text(["needle", "Needle"])
    page.select_option("#case", "exact")
    expect(page.locator("#results mark")).to_have_text(["needle"])
    page.select_option("#context", "1")
    expect(page.locator("#results .around")).to_have_count(1)
    assert state_of(page) == "#q=needle&word=true&case=exact&file=*.py+!alpha*&lang=py&context=1"
    page.click("#unfilter")
    expect(page.locator("#results .name")).to_have_count(4)


def test_a_folder_is_chosen_by_a_click_on_its_name(page, grove):
    look_for(page, "needle")
    page.locator(".file", has_text="gamma.c").locator(".folder", has_text="deep").click()
    expect(page.locator("#results .name")).to_have_text(["beta.py", "gamma.c"])
    expect(page.locator("#folder")).to_have_text(f"{grove.name}/deep")
    page.click("#anywhere")
    expect(page.locator("#results .name")).to_have_count(4)
    page.go_back()


def test_regexes_are_regexes_when_that_is_said(page):
    look_for(page, "ne+dle.$")
    expect(page.locator(".nothing")).to_be_visible()
    page.click("#regex")
    expect(page.locator("#results mark")).to_have_text(["needle;"])
    page.locator("#q").press("Alt+r")
    expect(page.locator(".nothing")).to_be_visible()


def test_a_shared_link_opens_the_same_view(page, visit):
    look_for(page, "needle lang:c")
    page.click("#results a.number")
    expect(page.locator("#reader .target mark")).to_have_text("needle")
    other = visit(page.url)
    expect(other.locator("#reader .target mark")).to_have_text("needle")
    expect(other.locator("#q")).to_have_value("needle lang:c")
    other.keyboard.press("Escape")
    expect(other.locator("#results .name")).to_have_text(["gamma.c"])


def test_an_example_is_searched_for_by_a_click_and_back_undoes_it(page):
    page.locator(".examples a").first.click()
    answered(page)
    expect(page.locator("#q")).to_have_value("open file")
    page.go_back()
    expect(page.locator("#start")).to_be_visible()
    expect(page.locator("#q")).to_have_value("")


# ---- what goes wrong ----


@pytest.mark.parametrize(
    ("address", "fault"),
    [
        ("regex=true&q=needle(", "("),
        ("q=needle+/(/", "("),
        ("q=needle+%22a", '"'),
        ("regex=true&q=\U0001f600[", "["),
    ],
)
def test_a_wrong_query_is_shown_where_it_breaks(page, service, address, fault):
    look_for(page, "hay")
    page.goto(f"{service.url}#{address}")
    expect(page.locator("#problem .fault")).to_have_text(fault)
    expect(page.locator("#q")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#results.stale mark")).to_have_text("hay")
    look_for(page, "grin")
    expect(page.locator("#problem")).to_be_hidden()
    expect(page.locator("[aria-invalid]")).to_have_count(0)


def test_no_results_come_with_what_could_be_loosened(page, service):
    page.goto(f"{service.url}#q=NEEDLES+straws&case=exact&lang=py&file=*.py")
    expect(page.locator(".nothing h2")).to_have_text("No line matches.")
    for way in ("in other files", "in other languages", "in upper or lower case", "with one of the words"):
        page.locator(".nothing button", has_text=way).click()
        answered(page)
    expect(page.locator("#results mark")).to_have_text(["needles"])


def test_markup_in_texts_names_and_patterns_is_shown_as_text(page, service):
    look_for(page, '"<script>alert(2)</script>"')
    expect(page.locator("#results code")).to_have_text(EVIL)
    expect(page.locator("#results .name")).to_have_text("<b onmouseover=alert(3)>evil.txt")
    page.locator("#results .name").hover()
    page.click("#results a.number")
    expect(page.locator("#reader .target code")).to_have_text(EVIL)
    page.goto(f"{service.url}#regex=true&q=<img src=x onerror=alert(4)>(")
    expect(page.locator("#problem .echo")).to_contain_text("<img src=x onerror=alert(4)>")
    page.goto(f"{service.url}#q=<img src=x onerror=alert(5)>&under=<img src=x onerror=alert(6)>&lang=<b>")
    expect(page.locator("#folder")).to_have_text("<img src=x onerror=alert(6)>")
    assert page.locator("main img, main script, .above img, #folder img").count() == 0


def test_a_name_that_is_no_utf8_opens(page):
    look_for(page, "oddity")
    page.click("#results a.number")
    expect(page.locator("#reader .target code")).to_have_text("an oddity")
    page.reload()
    expect(page.locator("#reader .target code")).to_have_text("an oddity")


def test_an_answer_without_a_dead_shard_says_so_and_can_be_completed(page, service, until):
    victim = service.json("/status")["shards"][1]["pid"]
    stop(victim)
    page.fill("#q", "needle")
    expect(rows(page).first).to_be_visible()  # of the other shard: both have been asked
    os.kill(victim, signal.SIGKILL)
    tag = page.locator("#answer:not(.stale) .tag.partial")
    expect(tag).to_have_text(re.compile("partial: shard 1 "))
    page.click("text=Wait for it")
    expect(page.locator("#answer .tag.complete")).to_be_visible()
    expect(page.locator("#results .name")).to_have_count(4)
    until(lambda: all(shard["state"] == "ready" for shard in service.json("/status")["shards"]))


def test_an_answer_that_met_its_deadline_says_so(page, service):
    second = service.json("/status")["shards"][1]["pid"]
    page.route("**/search?*", lambda route: route.continue_(url=f"{route.request.url}&deadline_s=0.1"))
    with stopped(second):
        page.fill("#q", "straw")
        expect(page.locator("#answer .tag.partial")).to_be_visible()
