"""The page in a real browser: its switches, its examples, its width, and its silence."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from report.rich_run import write_rich_files
from report.synthetic_run import make_predictions, untuned_answers, write_run

from aspire_llm.records import Prediction
from aspire_llm.report import write_report

VISIBLE = "#example-list > li:visible"
PHONE = 400


@dataclass
class Watched:
    """An open page and what should not have happened on it."""

    page: Any
    problems: list[str] = field(default_factory=list)

    def choose(self, name: str, value: str) -> None:
        self.page.select_option(f"select[name={name}]", value)

    def count(self) -> int:
        """How many examples can be seen."""
        return int(self.page.locator(VISIBLE).count())

    def status(self) -> str:
        return str(self.page.locator("#example-status").text_content())

    def figures(self, key: str) -> list[float]:
        """A figure of every example that can be seen, in their order."""
        return [float(item.get_attribute(f"data-{key}")) for item in self.page.locator(VISIBLE).all()]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run with many methods."""
    run_dir, predictions = tmp_path_factory.mktemp("run"), make_predictions(300)
    write_run(run_dir, predictions)
    write_rich_files(run_dir, predictions, untuned_answers(predictions))
    return write_report(run_dir)


@pytest.fixture
def watched(chromium: Any, report: Path) -> Iterator[Watched]:
    """The report, opened from its file; any error or request fails the test at its end."""
    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    watched = Watched(page)
    page.on("console", lambda message: watched.problems.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: watched.problems.append(f"error: {error}"))
    page.on("request", lambda sent: watched.problems.append(sent.url) if sent.url != report.as_uri() else None)
    page.goto(report.as_uri())
    yield watched
    page.close()
    assert watched.problems == []


def test_examples_are_filtered(watched: Watched, predictions: list[Prediction]) -> None:
    wrong = sum(not own.correct for own in predictions)
    withheld = sum(not own.correct and own.abstained for own in predictions)
    assert 20 < withheld < wrong < 300
    assert (watched.count(), watched.status()) == (20, f"20 of {wrong} matching answers shown")
    watched.choose("decision", "abstained")
    assert watched.status() == f"20 of {withheld} matching answers shown"
    watched.choose("outcome", "right")
    watched.choose("decision", "answered")
    right = sum(bool(own.correct and not own.abstained) for own in predictions)
    assert watched.status() == f"20 of {right} matching answers shown"
    assert {item.get_attribute("data-outcome") for item in watched.page.locator(VISIBLE).all()} == {"right"}


def test_more_examples_on_request(watched: Watched) -> None:
    watched.choose("outcome", "all")
    seen = []
    while watched.page.locator("#example-more").is_visible():
        seen.append(watched.count())
        watched.page.click("#example-more")
    assert seen == list(range(20, 300, 20))
    assert (watched.count(), watched.status()) == (300, "300 of 300 matching answers shown")


def test_examples_are_searched_in_every_word(watched: Watched, predictions: list[Prediction]) -> None:
    watched.choose("outcome", "all")
    watched.page.fill("input[name=search]", "  PETROV  dunmore ")

    def text(own: Prediction) -> str:
        question = own.question
        return " ".join([question.question, own.sampled.text, *question.references, question.context or ""]).lower()

    expected = sum("petrov" in text(own) and "dunmore" in text(own) for own in predictions)
    assert 0 < expected < 20
    assert watched.count() == expected
    watched.page.fill("input[name=search]", "no such words")
    assert (watched.count(), watched.status()) == (0, "No answer matches")


@pytest.mark.parametrize(
    ("key", "attribute", "value"),
    [
        ("score", "score", lambda own: own.scored.selection_score),
        ("confidence", "confidence", lambda own: own.confidence),
        ("likelihood", "likelihood", lambda own: own.sampled.log_likelihood),
        ("selfEval", "self-eval", lambda own: own.scored.evidence.self_eval),
    ],
)
def test_examples_are_sorted(
    watched: Watched, predictions: list[Prediction], key: str, attribute: str, value: Callable[[Prediction], float]
) -> None:
    watched.choose("outcome", "all")
    watched.choose("sort", key)
    expected = sorted(map(value, predictions), reverse=True)
    assert watched.figures(attribute) == expected[:20]
    watched.choose("order", "lowest")
    assert watched.figures(attribute) == expected[:-21:-1]


def test_the_keyboard_alone_is_enough(watched: Watched) -> None:
    watched.page.focus("select[name=outcome]")
    watched.page.keyboard.press("ArrowDown")  # from wrong to right
    assert {item.get_attribute("data-outcome") for item in watched.page.locator(VISIBLE).all()} == {"right"}
    watched.page.focus("#example-more")
    watched.page.keyboard.press("Enter")
    assert watched.count() == 40
    assert watched.page.evaluate("document.activeElement.matches('#example-list > li:nth-child(21)')")


def test_a_switch_shows_a_method_in_all_curves(watched: Watched) -> None:
    page = watched.page
    lines = page.locator("section:has(#curves) [data-series=sar]")
    assert lines.count() == 5  # line and band of accuracy and of risk, and the ROC curve
    assert not any(line.is_visible() for line in lines.all())
    page.locator("input[name=curve-method][value=sar]").press("Space")
    assert all(line.is_visible() for line in lines.all())
    assert not page.locator("section:has(#sensitivity) [data-series=sar]").first.is_visible()
    page.uncheck("input[name=curve-method][value=aspire]")
    assert not page.locator("section:has(#curves) [data-series=aspire]").first.is_visible()


def test_the_slider_tells_the_accuracy(watched: Watched) -> None:
    page = watched.page
    accuracies = page.evaluate("JSON.parse(document.getElementById('coverage').dataset.accuracies)")
    page.focus("#coverage")
    page.keyboard.press("End")
    assert page.locator("#accuracy-value").text_content() == f"{100 * accuracies[-1]:.1f}%"
    page.keyboard.press("ArrowLeft")
    assert page.locator("#coverage-value").text_content() == "99%"


def test_the_page_is_never_wider_than_a_phone(watched: Watched) -> None:
    page = watched.page
    page.set_viewport_size({"width": PHONE, "height": 800})
    for details in page.locator("details:not(.example details)").all():
        details.evaluate("element => element.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE
    table = page.locator("table.methods").locator("xpath=..")
    assert table.evaluate("box => box.scrollWidth > box.clientWidth")  # it scrolls inside its own box


def test_dark_and_light_differ(chromium: Any, report: Path) -> None:
    ink = []
    for scheme in ("light", "dark"):
        page = chromium.new_page(color_scheme=scheme)
        page.goto(report.as_uri())
        ink.append(page.evaluate("[...document.querySelectorAll('svg text')].map(one => getComputedStyle(one).fill)"))
        page.close()
    assert len(set(ink[0])) == len(set(ink[1]))
    assert not set(ink[0]) & set(ink[1])


def test_labels_of_the_cost_figure_do_not_overlap(watched: Watched) -> None:
    figure = watched.page.locator("figure", has_text="What quality costs")
    boxes = [
        text.bounding_box()
        for text in figure.locator("svg text").all()
        if any(letter.isalpha() for letter in text.text_content()) and "relative" not in text.text_content()
    ]
    assert len(boxes) == 10  # nine methods and AUROC
    for place, one in enumerate(boxes):
        for other in boxes[place + 1 :]:
            apart = (
                one["x"] + one["width"] <= other["x"] + 1
                or other["x"] + other["width"] <= one["x"] + 1
                or one["y"] + one["height"] <= other["y"] + 4
                or other["y"] + other["height"] <= one["y"] + 4
            )
            assert apart, (one, other)
