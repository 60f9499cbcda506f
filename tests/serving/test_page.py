"""The page of the server in a real browser: asking, abstaining, keys, both languages, and its silence."""

import re

import pytest
from serving.page_server import BARE, FACTS
from serving.watched import BAYAN, GRAZ, Watched


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


def test_where_the_run_has_a_target_of_its_own_that_is_said_to_decide(watched: Watched) -> None:
    watched.server.cards = (FACTS | {"own_target": 0.1, "abstain_below": None},)
    watched.open()
    assert watched.text("#target-value") == "at most 10% of those given"
    assert "of the answers given, at most 10% may be wrong" in watched.text("#policy")
    watched.page.click("#tab-run")
    assert "so that at most 10% are wrong; 82% of them right" in watched.text("#panel-run")


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
