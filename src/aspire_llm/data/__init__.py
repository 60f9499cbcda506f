"""Data sets as questions: readers, checks, splits by group, prompts."""

from aspire_llm.data.asked import as_question, read_passage
from aspire_llm.data.problems import DataReport, Problem
from aspire_llm.data.prompts import chat_turns, example_turns, render_examples, render_prompt
from aspire_llm.data.reading import check_data, load_marked, load_questions, read_row
from aspire_llm.data.run_data import load_splits
from aspire_llm.data.sources import find_path, is_read_with, plain_name, without_folder
from aspire_llm.data.splits import split_questions
from aspire_llm.data.streaming import QuestionStream
from aspire_llm.data.validation import asked_text

__all__ = [
    "DataReport",
    "Problem",
    "QuestionStream",
    "as_question",
    "asked_text",
    "chat_turns",
    "check_data",
    "example_turns",
    "find_path",
    "is_read_with",
    "load_marked",
    "load_questions",
    "load_splits",
    "plain_name",
    "read_passage",
    "read_row",
    "render_examples",
    "render_prompt",
    "split_questions",
    "without_folder",
]
