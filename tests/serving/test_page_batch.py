"""The page of the server in a real browser: many questions, from a file or pasted."""

import csv
import io
import json

from serving.page_server import ANSWERS
from serving.watched import BAYAN, GRAZ, TABLE, Watched


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
        (
            r'{"question":"\ud83d"}'
            + "\n"
            + r'{"question":"a","context":"\ude00"}'
            + "\n"
            + r'{"question":"\ud83d\ude00"}',
            ["😀"],
            [(1, "rowNotText"), (2, "rowNotText")],
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
