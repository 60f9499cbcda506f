"""The page of the server for everyone: languages, themes, browsers without storage, and what axe says of it."""

from typing import Any

import pytest
from serving.page_server import BARE, FACTS, StandIn
from serving.watched import BAYAN, PHONE, TABLE, WIDE, Watched, open_tab


def test_the_language_is_the_browsers_until_it_is_chosen(chromium: Any, server: StandIn) -> None:
    server.reset()
    watched = open_tab(chromium, server, "ko-KR")
    watched.open()
    page = watched.page
    assert page.locator("html").get_attribute("lang") == "ko"
    assert watched.text("#tab-batch") == "일괄 처리"
    watched.ask(BAYAN)
    assert "충분히 확신하지 못해" in watched.text(".answer .why")
    page.check("input[name=language][value=en]")
    assert page.locator("html").get_attribute("lang") == "en"
    assert watched.text(".how-sure") == "31% sure; answers below 50% are withheld"  # what is shown is translated, too
    assert watched.text("#policy .headline") == "Answers 61% of questions"
    page.reload()
    page.wait_for_selector("#run-line:not(:empty)")
    assert watched.text("#tab-batch") == "Batch"
    page.close()
    assert watched.problems == []


def test_the_theme_is_the_systems_until_it_is_chosen(watched: Watched) -> None:
    page = watched.page

    def ground() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    light, dark = "rgb(246, 247, 249)", "rgb(17, 21, 27)"
    assert ground() == light
    page.emulate_media(color_scheme="dark")
    assert ground() == dark
    page.check("input[name=theme][value=light]")
    assert ground() == light
    page.check("input[name=theme][value=dark]")
    page.emulate_media(color_scheme="light")
    page.reload()
    assert ground() == dark


def test_a_browser_without_storage_is_served(chromium: Any, server: StandIn) -> None:
    server.reset()
    page = chromium.new_page(locale="en")
    page.add_init_script("Object.defineProperty(window, 'localStorage', { get() { throw new Error('forbidden'); } })")
    page.goto(server.url)
    page.check("input[name=theme][value=dark]")
    page.locator("#run-line", has_text="facts").wait_for()
    page.close()


@pytest.mark.parametrize("width", [WIDE, PHONE])
def test_everyone_can_use_it(watched: Watched, width: int) -> None:
    """No violation of axe's rules, nothing wider than the page, and on a phone nothing too small to touch."""
    axe_module = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    page = watched.page
    watched.server.cards = (FACTS, BARE)
    page.set_viewport_size({"width": width, "height": 800})
    watched.open()
    watched.answer_all(TABLE)
    page.click("#tab-ask")
    page.focus("#target")
    page.keyboard.press("End")
    page.click("#context-part summary")
    watched.ask(BAYAN)
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    page.evaluate(axe_module.Axe().axe_script)
    for tab in ("ask", "batch", "run"):
        page.click(f"#tab-{tab}")
        for language in ("en", "ko"):
            page.check(f"input[name=language][value={language}]")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert _small_targets(page) == []
            page.emulate_media(color_scheme="light")
            assert _violations(page) == []
            page.emulate_media(color_scheme="dark")
            assert _violations(page, "color-contrast") == []  # nothing else depends on the scheme


def _violations(page: Any, *rules: str) -> list[list[str]]:
    """What axe finds, as a rule and the elements that break it, by some rules or all."""
    options = {"resultTypes": ["violations"]} | ({"runOnly": list(rules)} if rules else {})
    found = page.evaluate("async options => (await axe.run(options)).violations", options)
    return [[own["id"], *(node["html"] for node in own["nodes"])] for own in found]


def _small_targets(page: Any) -> list[str]:
    """What can be pressed and is less than 40 px high; a box to tick is as high as its label."""
    return list(
        page.evaluate(
            """() => [...document.querySelectorAll("button, select, summary, textarea, label:has(input), label.button,"
                + "input[type=range]")]
            .filter(one => one.checkVisibility() && one.getBoundingClientRect().height < 40)
            .map(one => one.outerHTML)"""
        )
    )
