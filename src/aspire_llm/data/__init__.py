"""Data sets as questions: readers, checks, splits by group, prompts."""

from aspire_llm.data.asked import as_question, read_passage
from aspire_llm.data.problems import DataReport, Problem
from aspire_llm.data.prompts import render_examples, render_prompt
from aspire_llm.data.sources import check_data, load_questions, load_splits
from aspire_llm.data.splits import split_questions

__all__ = [
    "DataReport",
    "Problem",
    "as_question",
    "check_data",
    "load_questions",
    "load_splits",
    "read_passage",
    "render_examples",
    "render_prompt",
    "split_questions",
]
