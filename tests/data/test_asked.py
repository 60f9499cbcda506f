"""What a person or a program asks, as a question."""

import json
from pathlib import Path

from aspire_llm.data import as_question, load_questions
from aspire_llm.records import Question


def test_what_is_asked_is_of_the_group_that_a_file_gives_it(tmp_path: Path) -> None:
    """By its place in a list it would be of a group that the data may have, and so never be new beside that one."""
    rows = [
        {"question": "Who wrote it?"},
        {"question": "Who wrote it?", "context": "Emma is by Jane Austen."},
        {"question": "Who?", "history": [["What is it?", "Emma"]]},
    ]
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    alone, of_passage, later = load_questions(source, require_answers=False)
    assert as_question(" who wrote IT ").group == alone.group
    assert as_question("Who wrote it?", context="Emma is by Jane Austen.").group == of_passage.group
    assert as_question(Question("7", "Who?", history=(("What is it?", "Emma"),))).group == later.group
    assert len({alone.group, of_passage.group, later.group}) == 3
    assert as_question(Question("7", "Who?", group="own")).group == "own"
