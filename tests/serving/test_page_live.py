"""The page in a real browser against the real server."""

from pathlib import Path
from typing import Any

from serving.live import Live, live

from aspire_llm import SelectivePredictor
from aspire_llm.serving.settings import ApiKeys

QUESTIONS = [f"Where was piano {place} built?" for place in range(3)]


def open_page(chromium: Any, url: str, **context: Any) -> tuple[Any, list[str]]:
    """The page, and what should not have happened on it."""
    page, problems = chromium.new_page(locale="en-US", **context), list[str]()
    page.set_default_timeout(15_000)
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(f"{url}/")
    page.wait_for_selector("#run-line:not(:empty)")
    return page, problems


def test_a_person_asks_and_runs_a_batch(chromium: Any, served: Live, certified: Path) -> None:
    expected = SelectivePredictor.load(certified).predict(QUESTIONS)
    page, problems = open_page(chromium, served.url)
    page.fill("#question", QUESTIONS[0])
    page.press("#question", "Enter")
    answer = page.locator(".answer").first
    answer.locator(".asked", has_text=QUESTIONS[0]).wait_for()
    assert expected[0].text in answer.inner_text()
    page.click("#tab-batch")
    page.fill("#batch-text", "".join(f'{{"question": "{own}"}}\n' for own in QUESTIONS))
    page.click("#batch-start")
    page.wait_for_selector("#batch-start:visible")
    shown = page.locator("#panel-batch").inner_text()
    assert all(own in shown for own in QUESTIONS)
    assert problems == []
    page.close()


def test_a_browser_with_the_key_as_its_password_is_let_in(chromium: Any, certified: Path) -> None:
    with live([certified], key="ours", keys=ApiKeys(("ours",))) as own:
        page, problems = open_page(chromium, own.url, http_credentials={"username": "me", "password": "ours"})
        page.fill("#question", QUESTIONS[0])
        page.press("#question", "Enter")
        page.locator(".answer .asked", has_text=QUESTIONS[0]).wait_for()
        assert problems == []
        page.goto(f"{own.url}/docs")
        page.locator(".opblock-summary-path", has_text="/v1/answer").wait_for()
        assert problems == []
        page.close()
