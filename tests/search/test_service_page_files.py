"""The page of the search service: opening files, and the keyboard."""

from __future__ import annotations

import pytest
from tests.search import browsing
from tests.search.browsing import expect, focused, is_in_sight, look_for, rows, wait_until

browser, grove, page, service, visit = (
    browsing.browser,
    browsing.grove,
    browsing.page,
    browsing.service,
    browsing.visit,
)


def test_a_click_on_a_number_opens_the_file_at_the_line(page):
    look_for(page, '"line 2500"')
    page.click("#results a.number")
    target = page.locator("#reader .target")
    expect(target).to_have_text("2500line 2500")
    expect(target.locator("mark")).to_have_text("line 2500")
    assert is_in_sight(page, target)


def test_a_click_on_a_row_opens_it_too(page):
    look_for(page, "hay")
    page.click("#results code")
    expect(page.locator("#reader .target code")).to_have_text("int hay;")


def test_the_keyboard_alone_searches_opens_and_comes_back(page):
    page.keyboard.type("needle")
    page.keyboard.press("ArrowDown")  # at once: the rows that it means are still to come
    wait_until(page, "document.activeElement.matches('#results a.number')")
    for key in ("j", "ArrowDown", "k", "j"):
        page.keyboard.press(key)
    assert "one needle" in focused(page)
    page.keyboard.press("Enter")
    expect(page.locator("#reader .target code")).to_have_text("one needle")
    page.keyboard.press("Escape")
    expect(page.locator("#results")).to_be_visible()
    assert "one needle" in focused(page)
    page.keyboard.press("Escape")
    assert focused(page) == "q"
    page.keyboard.press("Escape")
    expect(page.locator("#start")).to_be_visible()
    expect(page.locator("#q")).to_have_value("")


def test_a_file_is_folded_by_a_key_and_all_by_another(page):
    look_for(page, "needle")
    page.keyboard.press("Enter")
    page.keyboard.press("c")
    expect(rows(page).locator("visible=true")).to_have_count(4)
    page.keyboard.press("C")
    expect(rows(page).locator("visible=true")).to_have_count(0)
    page.locator(".fold").last.click()
    expect(rows(page).locator("visible=true")).to_have_count(1)


def test_up_from_the_first_row_leads_to_the_box(page):
    look_for(page, "needle")
    page.keyboard.press("Enter")
    assert "evil" in page.evaluate("document.activeElement.href")
    page.keyboard.press("ArrowUp")
    assert focused(page) == "q"


def test_a_slash_leads_to_the_box_and_a_question_mark_to_the_keys(page):
    look_for(page, "needle")
    page.keyboard.press("Enter")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.click("#keys button")
    expect(page.locator("#keys")).to_be_hidden()
    page.keyboard.press("/")
    assert focused(page) == "q"
    page.keyboard.type("hay")  # in place of what stood there
    expect(page.locator("#q")).to_have_value("hay")


def test_back_and_escape_lead_to_the_results_where_they_were_scrolled_to(page):
    look_for(page, "straw")
    row = rows(page).nth(150)
    row.scroll_into_view_if_needed()
    top = page.evaluate("document.getElementById('results').scrollTop")
    assert top > 1000
    for leave in (lambda: page.keyboard.press("Escape"), page.go_back):
        row.locator("a.number").click()
        expect(page.locator("#reader .target")).to_be_visible()
        leave()
        expect(page.locator("#results")).to_be_visible()
        assert page.evaluate("document.getElementById('results').scrollTop") == pytest.approx(top, abs=40)
    page.go_forward()
    expect(page.locator("#reader .target")).to_be_visible()


def test_more_of_a_file_comes_as_one_scrolls(page, service, grove):
    page.goto(f"{service.url}#q=straw&path={grove}/long.txt&line=2500")
    expect(page.locator("#reader .matches")).to_contain_text("1 matching line")
    expect(page.locator("#line-1")).to_have_count(0)
    reader = page.locator("#reader")
    while not page.locator("#line-5001").count():
        reader.evaluate("pane => pane.scrollTo(0, pane.scrollHeight)")
        page.wait_for_timeout(0)
    expect(page.locator("#line-5001 mark")).to_have_text("straw")
    while not page.locator("#line-1").count():
        reader.evaluate("pane => pane.scrollTo(0, 0)")
        page.wait_for_timeout(0)
    numbers = page.locator("#reader a.number").all_text_contents()
    assert numbers == [str(number) for number in range(1, 5002)]


def test_what_is_loaded_in_front_moves_nothing(page, service, grove):
    page.goto(f"{service.url}#path={grove}/long.txt&line=2500")
    target = page.locator("#line-2500.target")
    expect(target).to_be_visible()
    reader, place = page.locator("#reader"), target.bounding_box()["y"]
    first = int(page.locator("#reader a.number").first.inner_text())
    reader.evaluate("pane => pane.querySelector('.edge').click()")
    wait_until(page, f"+document.querySelector('#reader a.number').textContent < {first}")
    assert target.bounding_box()["y"] == pytest.approx(place, abs=2)


def test_n_and_p_go_from_match_to_match_in_a_file(page, service, grove):
    page.goto(f"{service.url}#q=needle&path={grove}/deep/beta.py&line=1")
    expect(page.locator("#reader .matches")).to_contain_text("2 matching lines")
    page.keyboard.press("n")
    expect(page.locator("#reader .target")).to_have_attribute("id", "line-3")
    page.keyboard.press("p")
    expect(page.locator("#reader .target")).to_have_attribute("id", "line-1")


def test_a_match_that_is_far_away_in_a_file_is_loaded_when_one_goes_there(page, service, grove):
    page.goto(f"{service.url}#q=%22line+1%22+OR+straw&word=true&path={grove}/long.txt&line=1")
    expect(page.locator("#reader .matches")).to_contain_text("2 matching lines")
    page.keyboard.press("n")
    expect(page.locator("#line-5001.target mark")).to_have_text("straw")
    expect(page.locator("#line-1")).to_have_count(0)
    page.keyboard.press("p")
    expect(page.locator("#line-1.target")).to_be_visible()


def test_a_line_behind_the_end_shows_the_end(page, service, grove):
    page.goto(f"{service.url}#path={grove}/long.txt&line=99999")
    expect(page.locator("#line-5001")).to_be_visible()


def test_shift_and_a_click_point_at_a_range_that_the_address_keeps(page, service, grove):
    page.goto(f"{service.url}#path={grove}/long.txt&line=10")
    page.locator("#line-14 a").click(modifiers=["Shift"])
    expect(page.locator("#reader .target")).to_have_count(5)
    page.reload()
    expect(page.locator("#reader .target")).to_have_count(5)


def test_the_path_can_be_copied(visit, service, grove):
    page = visit(
        f"{service.url}#path={grove}/deep/beta.py", permissions=["clipboard-read", "clipboard-write"]
    )
    page.click("text=Copy path")
    expect(page.locator("#reader .tools")).to_contain_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == f"{grove}/deep/beta.py"


def test_a_file_that_is_not_held_is_said_so(page, service, grove):
    page.goto(f"{service.url}#path={grove}/binary.bin")
    expect(page.locator("#reader h2")).to_have_text("This file is not held.")
