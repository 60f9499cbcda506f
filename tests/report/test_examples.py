"""Which twenty answers the page shows."""

from pathlib import Path
from typing import Any

from report.synthetic_run import make_lines, untuned_lines, write_run

from aspire_llm.report.examples import choose_examples
from aspire_llm.report.run_results import AnswerRow, read_run_results


def rows_of(path: Path, lines: list[dict[str, Any]]) -> tuple[AnswerRow, ...]:
    write_run(path, lines, untuned_lines(lines))
    return read_run_results(path).rows


def test_the_surest_wrong_ones_given_and_the_least_sure_withheld(run_dir: Path, lines: list[dict[str, Any]]) -> None:
    surest, caught = choose_examples(read_run_results(run_dir).rows)
    wrong = [line for line in lines if not line["correct"]]
    given = sorted((line["selection_score"] for line in wrong if not line["abstained"]), reverse=True)
    withheld = sorted(line["selection_score"] for line in wrong if line["abstained"])
    assert [row.selection_score for row in surest.rows] == given[:10]
    assert [row.selection_score for row in caught.rows] == withheld[:10]
    assert caught.title == "Wrong answers that abstention caught"


def test_without_abstention_the_lowest_scores_stand_second(tmp_path: Path) -> None:
    lines = [{**line, "abstained": False} for line in make_lines(200)]
    surest, lowest = choose_examples(rows_of(tmp_path, lines))
    scores = sorted(line["selection_score"] for line in lines if not line["correct"])
    assert [row.selection_score for row in lowest.rows] == scores[:10]
    assert [row.selection_score for row in surest.rows] == scores[:-11:-1]
    assert lowest.title == "Wrong answers that abstention would catch first"
    assert "This run gave every answer" in lowest.explanation


def test_few_withheld_answers_are_joined_by_the_next_lowest(tmp_path: Path) -> None:
    lines = sorted(make_lines(200), key=lambda line: line["selection_score"])
    wrong = [line for line in lines if not line["correct"]]
    for line in lines:
        line["abstained"] = line["selection_score"] <= wrong[2]["selection_score"]
    _, caught = choose_examples(rows_of(tmp_path, lines))
    assert [row.id for row in caught.rows] == [line["id"] for line in wrong[:10]]
    assert [row.abstained for row in caught.rows] == [True] * 3 + [False] * 7
    assert "3 of them were withheld" in caught.explanation


def test_few_wrong_answers_are_shared_without_overlap(tmp_path: Path) -> None:
    lines = [{**line, "abstained": False, "correct": i >= 7} for i, line in enumerate(make_lines(50))]
    surest, lowest = choose_examples(rows_of(tmp_path, lines))
    assert (len(surest.rows), len(lowest.rows)) == (4, 3)
    assert {row.id for row in (*surest.rows, *lowest.rows)} == {f"q{i}" for i in range(7)}
    assert min(row.selection_score or 0 for row in surest.rows) > max(row.selection_score or 0 for row in lowest.rows)


def test_only_right_answers(tmp_path: Path) -> None:
    lines = [{**line, "correct": True} for line in make_lines(40)]
    assert [group.rows for group in choose_examples(rows_of(tmp_path, lines))] == [(), ()]


def test_withheld_answers_come_first_whatever_made_the_system_withhold_them(tmp_path: Path) -> None:
    lines = [{**line, "abstained": i % 4 == 0} for i, line in enumerate(make_lines(200))]
    _, caught = choose_examples(rows_of(tmp_path, lines))
    withheld = sorted(line["selection_score"] for line in lines if line["abstained"] and not line["correct"])
    assert [row.selection_score for row in caught.rows] == withheld[:10]
