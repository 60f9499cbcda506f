"""The page of the server in a real browser: asking, abstaining, batches, keys, both languages, and its silence."""

import csv
import io
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from serving.page_server import ANSWERS, BARE, FACTS, StandIn, stand_in

sync_api = pytest.importorskip("playwright.sync_api", reason="the playwright package is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")

GRAZ, BAYAN = "In which country is Graz?", "In which country is Bayan-Ovoo?"
WIDE, PHONE = 1280, 400


@dataclass
class Watched:
    """An open page and what should not have happened on it.

    Attributes:
        page: Playwright's.
        server: That the page asks.
        problems: Messages, errors, and requests to elsewhere.
        expected: A status that the browser is to complain of.
    """

    page: Any
    server: StandIn
    problems: list[str] = field(default_factory=list)
    expected: str = "none"

    def open(self) -> None:
        """Until the runs are there."""
        self.page.goto(self.server.url)
        self.page.wait_for_selector("#run-line:not(:empty)")

    def ask(self, question: str) -> None:
        """Until the answer is there."""
        self.page.fill("#question", question)
        self.page.press("#question", "Enter")
        self.page.locator(".answer .asked", has_text=question).wait_for()

    def answer_all(self, text: str) -> None:
        """A batch of what is pasted, to its end."""
        self.page.click("#tab-batch")
        self.page.fill("#batch-text", text)
        self.page.click("#batch-start")
        self.page.wait_for_selector("#batch-start:visible")

    def text(self, selector: str) -> str:
        return str(self.page.locator(selector).inner_text())

    def texts(self, selector: str) -> list[str]:
        return [str(own) for own in self.page.locator(selector).all_inner_texts()]

    def download(self, button: str) -> str:
        with self.page.expect_download() as download:
            self.page.click(button)
        return str(download.value.path().read_bytes().decode("utf-8"))

    def focused(self) -> str:
        """The id of what has the focus."""
        return str(self.page.evaluate("document.activeElement.id"))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server() -> Iterator[StandIn]:
    with stand_in() as server:
        yield server


@pytest.fixture(scope="module")
def tab(chromium: Any, server: StandIn) -> Watched:
    """One tab of an English browser for all tests: a tab takes longer to open than a page."""
    return open_tab(chromium, server, "en-US")


def open_tab(chromium: Any, server: StandIn, locale: str) -> Watched:
    """A tab that is watched from now on."""
    page = chromium.new_page(locale=locale, reduced_motion="reduce")
    page.set_default_timeout(8_000)
    watched = Watched(page, server)

    def complain(message: Any) -> None:
        if watched.expected not in message.text:
            watched.problems.append(f"console: {message.text}")

    page.on("console", complain)
    page.on("pageerror", lambda error: watched.problems.append(f"error: {error}"))
    ours = (server.url, f"blob:{server.origin}/", "data:")
    page.on("request", lambda sent: None if sent.url.startswith(ours) else watched.problems.append(sent.url))
    return watched


@pytest.fixture
def watched(tab: Watched) -> Iterator[Watched]:
    """The page, opened anew; any error or request to elsewhere fails the test at its end."""
    tab.server.reset()
    tab.expected = "none"
    tab.page.set_viewport_size({"width": WIDE, "height": 900})
    tab.page.emulate_media(color_scheme="light")
    tab.open()
    yield tab
    tab.page.unroute_all()
    tab.page.evaluate("localStorage.clear()")
    problems, tab.problems = tab.problems, []
    assert problems == []


def test_an_answer_is_shown_with_its_confidence(watched: Watched) -> None:
    watched.ask(GRAZ)
    assert watched.server.asked == [
        {
            "model": "facts",
            "questions": [{"question": GRAZ, "context": None}],
            "target_risk": None,
            "candidates": 5,
        }
    ]
    assert watched.text(".answer .said") == "Austria"
    assert watched.text(".answer .why") == "Answered It is sure enough to answer."
    assert watched.text(".how-sure") == "82% sure; answers below 50% are withheld"
    meter = watched.page.get_by_role("meter", name="Confidence")
    assert meter.get_attribute("aria-valuenow") == "82"
    full, filled = meter.bounding_box(), meter.locator(".bar-fill").bounding_box()
    tick = meter.locator(".bar-least").bounding_box()
    assert filled["width"] / full["width"] == pytest.approx(0.8237, abs=0.002)
    assert (tick["x"] + tick["width"] / 2 - full["x"]) / full["width"] == pytest.approx(0.5, abs=0.002)
    assert "Answered: Austria. 82% sure" in watched.page.locator("#ask-status").text_content()


def test_the_other_candidates_are_listed_on_request(watched: Watched) -> None:
    watched.ask(GRAZ)
    assert not watched.page.locator(".candidates").is_visible()
    watched.page.click("text=4 other candidates")
    assert watched.texts(".candidates tbody tr")[0].split("\t") == ["Germany", "−1.11", "−0.390"]
    assert len(watched.texts(".candidates tbody tr")) == 4


def test_a_context_is_asked_with(watched: Watched) -> None:
    watched.page.click("text=Add a passage")
    watched.page.fill("#question", GRAZ)
    watched.page.fill("#context", "Graz lies in Styria.")
    watched.page.press("#context", "Enter")
    assert watched.server.asked == []  # a new line
    watched.page.press("#context", "Control+Enter")
    watched.page.wait_for_selector(".answer")
    assert watched.server.asked[0]["questions"] == [{"question": GRAZ, "context": "Graz lies in Styria."}]


def test_an_abstention_is_deliberate_and_hides_what_it_withholds(watched: Watched) -> None:
    watched.ask(BAYAN)
    assert watched.text(".answer .said") == "I don't know"
    assert watched.text(".answer .why") == (
        "Withheld on purpose It is not sure enough, so it says so rather than guess."
    )
    assert watched.text(".how-sure") == "31% sure; answers below 50% are withheld"
    assert "Mongolia" not in watched.text(".answer")
    watched.page.click("text=What it would have said")
    assert watched.text(".unsaid") == "Mongolia"
    assert [row.split("\t")[0] for row in watched.texts(".candidates tbody tr")] == ["China", "Kyrgyzstan"]


def test_what_is_said_of_questions(watched: Watched) -> None:
    markup = "<b>bold</b> & <script>alert(1)</script>"
    for question, sentences in {
        "What is love?": ["71% sure; answers below 50% are withheld", "unlike those it was calibrated on"],
        "Just below?": ["49.8% sure; answers below 50.0% are withheld"],
        "Nearly certain?": ["99.7% sure; answers of a score below 0.194 are withheld"],
        "Uncalibrated?": ["Nothing vouches for this answer", "was not measured", "did not fit the model"],
        "Too long?": ["Could not be asked", "the prompt has 3,021 tokens"],
        markup: [markup, "<i>not</i> italic"],
    }.items():
        watched.ask(question)
        said = watched.text(".answer")
        assert all(sentence in said for sentence in sentences), said
        assert not re.search("NaN|null|undefined", said)


def test_the_slider_says_what_a_promise_costs_and_the_next_question_is_asked_by_it(watched: Watched) -> None:
    page = watched.page
    assert watched.text("#policy .headline") == "Answers 61% of questions"
    assert "61% answered: 82% right" in page.get_by_role("img").get_attribute("aria-label")
    watched.ask(BAYAN)
    page.focus("#target")
    page.keyboard.press("ArrowRight")
    assert watched.text("#policy .headline") == "Answers nothing"
    assert FACTS["targets"][0]["sentence"] in watched.text("#policy")
    page.keyboard.press("ArrowRight")
    assert page.locator("#target").get_attribute("aria-valuetext") == "at most 5% of those given"
    assert watched.text("#policy .headline") == "Answers 24% of questions"
    assert "the promise costs 37 points" in watched.text("#policy")
    assert FACTS["targets"][1]["sentence"] in watched.text("#policy")
    assert page.locator("#policy-figure text.said").text_content() == "24% answered: 95% right"
    assert len(watched.server.asked) == 1  # moving it asks nothing
    watched.ask(GRAZ)
    assert watched.server.asked[1]["target_risk"] == 0.05
    assert watched.text(".answer .promise") == f"What is promised {FACTS['targets'][1]['sentence']}"
    assert watched.text(".how-sure") == "82% sure; answers below 66% are withheld"


def test_the_card_of_a_run(watched: Watched) -> None:
    watched.page.click("#tab-run")
    card = watched.text("#panel-run")
    for said in (
        "SmolLM2-135M-Instruct",
        "135M",
        "500 training · 200 validation · 400 calibration · 1,000 test",
        "at 50% confidence or more; 82% of them right",
        "87.3%",
        "3.1%",
        FACTS["caveats"][0],
        FACTS["targets"][0]["sentence"],
        "certified · 24% answered",
        "evidence of change 0.62, at most 1.4 so far; 1,204 questions watched",
        "no longer as at calibration",
    ):
        assert said in card
    assert not watched.page.locator("#policy").is_visible()


def test_of_a_bare_run_nothing_is_made_up(watched: Watched) -> None:
    watched.server.cards = (FACTS, BARE)
    watched.open()
    watched.page.select_option("#run", "bare")
    assert not watched.page.locator("#target").is_visible()
    assert "No share of wrong answers was certified" in watched.text("#policy")
    watched.ask(GRAZ)
    assert (watched.server.asked[0]["model"], watched.server.asked[0]["candidates"]) == ("bare", 2)
    watched.page.click("#tab-run")
    card = watched.text("#panel-run")
    assert card.count("not measured") == 5  # parameters and four figures
    assert not re.search("NaN|null|undefined", card.replace("confidence is null", ""))


TABLE = "\n".join(
    [
        "id,question,context",
        f"a,{GRAZ},",
        f'b,{BAYAN},"It lies',
        'in ""Asia"", they say"',
        "c,,",
        "d,What is love?,x,y",
        '"e,"f"',
        f"g,{GRAZ},",
        "h,Too long?,",
    ]
)


def test_a_batch_is_asked_in_parts_and_in_order(watched: Watched) -> None:
    page = watched.page
    watched.answer_all(TABLE)
    assert watched.text("#batch-found") == "4 questions found · 3 rows are skipped"
    page.click("#batch-problems summary")
    assert watched.texts("#batch-problems li") == [
        "Line 5: no question",
        "Line 6: 4 cells for 3 columns; a cell with commas needs quotes",
        "Line 7: text behind a closing quote",
    ]
    assert [[own["id"] for own in body["questions"]] for body in watched.server.asked] == [["a", "b", "g"], ["h"]]
    assert watched.server.asked[0]["questions"][1]["context"] == 'It lies\nin "Asia", they say'
    assert {body["candidates"] for body in watched.server.asked} == {0}
    assert watched.text("#batch-count") == "2 answered · 1 withheld · 1 failed"
    assert watched.texts("#batch-results .said") == [
        "Austria",
        "I don't know",
        "Austria",
        "the prompt has 3,021 tokens and the model takes 2,048",
    ]


def test_a_file_is_answered_and_the_answers_taken_home(watched: Watched) -> None:
    page = watched.page
    lines = [{"question": GRAZ, "id": 7}, {"question": "=1+1"}, {"query": "?"}, {"question": BAYAN, "context": "안녕"}]
    content = "\ufeff" + "\r\n".join([*map(json.dumps, lines), "", "no JSON"])
    page.click("#tab-batch")
    page.set_input_files("#batch-file", {"name": "own.jsonl", "mimeType": "", "buffer": content.encode()})
    page.locator("#batch-found", has_text="3 questions found · 2 rows are skipped").wait_for()
    assert watched.text("#file-name") == "own.jsonl"
    page.check("#batch-candidates")
    page.click("#batch-start")
    page.locator("#batch-status", has_text="All questions are done.").wait_for()
    answers = [json.loads(line) for line in watched.download("#download-jsonl").splitlines()]
    assert [own["id"] for own in answers] == ["7", "2", "3"]
    assert answers[2]["candidates"][0]["text"] == "Mongolia"
    assert answers[1] == ANSWERS["=1+1"] | {"question": "=1+1", "id": "2"}
    table = list(csv.DictReader(io.StringIO(watched.download("#download-csv").removeprefix("\ufeff"), newline="")))
    assert [(own["question"], own["answer"], own["confidence"]) for own in table] == [
        (GRAZ, "Austria", "0.8237"),
        ("'=1+1", '\'=2,"two"', "0.8237"),
        (BAYAN, "", "0.3128"),
    ]
    assert table[1]["selection_score"] == "-1.25"  # a number is no formula
    assert json.loads(table[2]["candidates"]) == answers[2]["candidates"]
    assert (table[0]["threshold_of"], table[0]["threshold_value"]) == ("confidence", "0.5")


def test_a_dropped_file_is_read(watched: Watched) -> None:
    page = watched.page
    page.click("#tab-batch")
    page.locator("#batch-form").evaluate(
        """form => {
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File(["question;id\\nWho?;1\\nWhen?;2\\n"], "dropped.csv"));
            form.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
        }"""
    )
    page.locator("#batch-found", has_text="2 questions found").wait_for()
    page.click("#file-remove")
    assert watched.text("#batch-found") == ""
    assert not page.locator("#batch-text").is_disabled()
    page.set_input_files("#batch-file", {"name": "bad.csv", "mimeType": "", "buffer": "question\n뭐".encode("euc-kr")})
    page.locator("#batch-found", has_text="bad.csv is not UTF-8 text").wait_for()


def test_rows_are_read(watched: Watched) -> None:
    script = "async text => (await import(new URL('page/rows.js', document.baseURI))).readRows(text)"
    cases: list[tuple[str, list[str], list[tuple[int, str]]]] = [
        ("", [], []),
        ('\n\n{"question": " a "}\n[1]\n{"question": 1}', [" a "], [(4, "rowNotJson"), (5, "rowNoQuestion")]),
        (
            '{"question":"a","context":1}\n{"question":"b","id":{}}\n{"question":"c","context":"","id":""}',
            ["c"],
            [(1, "rowBadContext"), (2, "rowBadId")],
        ),
        ("context\tquestion\n\ta, b\n", ["a, b"], []),
        ('question\n"a""b\nc"\n"d', ['a"b\nc'], [(4, "rowOpenQuote")]),
        ('question\n"a\nb\nc\n', ["b", "c"], [(2, "rowOpenQuote")]),
        ("question,question\na,b", [], [(1, "rowTwice")]),
        ("a plain line\nanother", [], [(1, "rowNoHeader")]),
    ]
    for text, questions, problems in cases:
        found = watched.page.evaluate(script, text)
        assert [own["question"] for own in found["rows"]] == questions
        assert [own["id"] for own in found["rows"]] == [str(place) for place in range(1, len(questions) + 1)]
        assert [(own["line"], own["key"]) for own in found["problems"]] == problems


def test_a_batch_waits_for_a_busy_server(watched: Watched) -> None:
    watched.expected = "429"
    watched.server.fail(429, "two requests are being answered", seconds=1)
    page = watched.page
    page.click("#tab-batch")
    page.fill("#batch-text", "question\n" + f"{GRAZ}\n" * 4)
    page.click("#batch-start")
    page.locator("#batch-status", has_text="The server is busy; going on in 1 s.").wait_for()
    page.locator("#batch-status", has_text="All questions are done.").wait_for()
    assert watched.text("#batch-count") == "4 answered · 0 withheld"
    assert [len(body["questions"]) for body in watched.server.asked] == [3, 3, 1]


def test_a_batch_is_cancelled_and_goes_on(watched: Watched) -> None:
    page, server = watched.page, watched.server
    watched.answer_all(f"question\n{GRAZ}\n")
    server.held.clear()
    page.fill("#batch-text", f"question\n{GRAZ}\n{BAYAN}\n")
    page.focus("#batch-start")
    page.keyboard.press("Enter")
    page.locator("#batch-cancel").wait_for()
    assert watched.focused() == "batch-cancel"
    page.keyboard.press("Escape")
    page.locator("#batch-status", has_text="Stopped.").wait_for()
    assert watched.focused() == "batch-resume"
    server.held.set()
    page.keyboard.press("Enter")
    page.locator("#batch-status", has_text="All questions are done.").wait_for()
    assert watched.texts("#batch-results .said") == ["Austria", "I don't know"]


def test_questions_that_are_refused_keep_no_other_from_an_answer(watched: Watched) -> None:
    watched.expected = "422"
    watched.server.fail(422, "questions[2] says nothing", param="questions[2].question")
    watched.answer_all(f"question\n{GRAZ}\n{BAYAN}\nx\n")
    assert [len(body["questions"]) for body in watched.server.asked] == [3, 2, 1]
    assert watched.text("#batch-count") == "2 answered · 1 withheld"
    watched.server.asked.clear()
    for _ in range(2):
        watched.server.fail(422, "it says nothing", param="questions[0].question")
    watched.answer_all(f"question\nx\n{GRAZ}\n")
    assert [len(body["questions"]) for body in watched.server.asked] == [2, 1, 1]
    assert watched.texts("#batch-results .said") == ["it says nothing", "Austria"]


def test_a_batch_survives_a_lost_connection(watched: Watched) -> None:
    watched.expected = "ERR_FAILED"
    page = watched.page
    page.route("**/v1/answer", lambda route: route.abort())
    watched.answer_all(f"question\n{GRAZ}\n")
    assert watched.text("#batch-status") == "The server cannot be reached; check the connection and try again."
    page.unroute("**/v1/answer")
    page.click("#batch-resume")
    page.locator("#batch-status", has_text="All questions are done.").wait_for()


def test_an_error_is_said_and_the_question_stays(watched: Watched) -> None:
    page, line = watched.page, watched.page.locator("#ask-status")
    assert line.get_attribute("role") == "status"
    page.fill("#question", GRAZ)
    for status, said in {
        400: "The server did not accept this. some words",
        401: "The server asks for a key; reload the page to give one. some words",
        413: "That is more than the server takes at once. some words",
        429: "The server is busy; try again in 7 s. some words",
        500: "The server failed (500). some words",
        504: "The answer took too long. some words",
    }.items():
        watched.expected = str(status)
        watched.server.fail(status, "some words", seconds=7)
        page.press("#question", "Enter")
        page.locator("#ask-status.error", has_text=said).wait_for()
        assert page.input_value("#question") == GRAZ
    watched.ask(GRAZ)
    assert (watched.text(".answer .said"), page.locator("#ask-status.error").count()) == ("Austria", 0)


def test_a_server_that_is_loading_is_waited_for(watched: Watched) -> None:
    watched.expected = "503"
    watched.server.fail(503, "loading")
    watched.page.reload()
    watched.page.locator("#notice", has_text="The model is being loaded").wait_for()
    watched.page.locator("#run-line", has_text="facts").wait_for()
    assert not watched.page.locator("#notice").is_visible()
    watched.server.fail(503, "loading")
    watched.ask(GRAZ)


def test_a_server_that_is_away_is_tried_again(watched: Watched) -> None:
    watched.expected = "ERR_FAILED"
    page = watched.page
    page.route("**/v1/runs", lambda route: route.abort())
    page.reload()
    page.locator("#notice", has_text="The server cannot be reached").wait_for()
    page.unroute("**/v1/runs")
    page.click("text=Try again")
    page.locator("#run-line", has_text="facts").wait_for()


def test_the_keyboard_alone_is_enough(watched: Watched) -> None:
    page, keys = watched.page, watched.page.keyboard
    assert watched.focused() == "question"
    keys.press("Enter")
    assert watched.text("#ask-status") == "Type a question first."
    keys.type("first")
    keys.press("Shift+Enter")
    assert page.input_value("#question") == "first\n"
    keys.press("Escape")
    assert page.input_value("#question") == ""
    keys.type(BAYAN)
    keys.press("Enter")
    page.wait_for_selector(".answer")
    while page.evaluate("document.activeElement.textContent") != "What it would have said":
        keys.press("Tab")
    keys.press("Enter")
    assert watched.text(".unsaid") == "Mongolia"
    while watched.focused() != "target":
        keys.press("Tab")
    keys.press("End")
    assert page.locator("#target").get_attribute("aria-valuetext") == "at most 20% of those given"
    while watched.focused() != "tab-ask":
        keys.press("Shift+Tab")
    keys.press("ArrowRight")
    assert (watched.focused(), page.locator("#panel-batch").is_visible()) == ("tab-batch", True)
    keys.press("End")
    assert page.locator("#panel-run").is_visible()
    keys.press("ArrowRight")
    assert (watched.focused(), page.locator("#panel-ask").is_visible()) == ("tab-ask", True)


def test_a_question_is_cancelled(watched: Watched) -> None:
    page, server = watched.page, watched.server
    server.held.clear()
    page.fill("#question", GRAZ)
    page.press("#question", "Enter")
    page.locator("#ask-cancel").wait_for()
    page.keyboard.press("Escape")
    page.locator("#ask-status", has_text="Cancelled.").wait_for()
    server.held.set()
    assert page.input_value("#question") == GRAZ
    assert not page.locator(".answer").is_visible()


def test_enter_that_ends_a_syllable_asks_nothing(watched: Watched) -> None:
    watched.page.fill("#question", "서울은 어디")
    watched.page.locator("#question").evaluate(
        "field => field.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true, isComposing: true }))"
    )
    assert not watched.page.locator("#ask-cancel").is_visible()
    assert watched.server.asked == []


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
