"""Prompts, character by character."""

import doctest
from dataclasses import replace

import pytest

from aspire_llm.data import chat_turns, prompts, render_prompt
from aspire_llm.errors import DataError
from aspire_llm.records import Question

CLOSED = Question("1", "Who sang Heroes?", ("David Bowie", "Bowie"))
TURN = Question("2", "Which colour?", ("black",), "Ann has a cat.", (("What?", "a cat"), ("Whose?", "Ann's")))


def test_closed_book() -> None:
    assert render_prompt(CLOSED) == "Q: Who sang Heroes?\nA:"


def test_context_and_history() -> None:
    assert render_prompt(TURN) == "Ann has a cat.\n\nQ: What?\nA: a cat\nQ: Whose?\nA: Ann's\nQ: Which colour?\nA:"
    assert render_prompt(replace(TURN, context="Ann", history=())) == "Ann\n\nQ: Which colour?\nA:"
    assert render_prompt(replace(TURN, context="", history=())) == "Q: Which colour?\nA:"


def test_examples_come_first_with_their_first_reference() -> None:
    expected = "Q: Who sang Heroes?\nA: David Bowie\n\n" + render_prompt(TURN)
    assert render_prompt(TURN, [CLOSED]) == expected


def test_an_example_needs_an_answer() -> None:
    with pytest.raises(DataError, match="the question '1' has no reference answer"):
        render_prompt(TURN, [replace(CLOSED, references=())])


def test_what_is_said_in_turn() -> None:
    assert chat_turns(TURN) == ["Ann has a cat.\n\nWhat?", "a cat", "Whose?", "Ann's", "Which colour?"]
    assert chat_turns(replace(TURN, history=())) == ["Ann has a cat.\n\nWhich colour?"]
    assert chat_turns(replace(TURN, context="", history=())) == ["Which colour?"]
    assert chat_turns(CLOSED, [TURN, CLOSED]) == [
        *[*chat_turns(TURN), "black"],
        *["Who sang Heroes?", "David Bowie"],
        "Who sang Heroes?",
    ]
    with pytest.raises(DataError, match="the question '1' has no reference answer"):
        chat_turns(TURN, [replace(CLOSED, references=())])


def test_docstring_examples() -> None:
    assert doctest.testmod(prompts) == (0, 2)
