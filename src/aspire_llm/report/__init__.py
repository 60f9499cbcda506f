"""What people see of a run: the table on the terminal, the page, tables for papers, runs side by side, the picture."""

from aspire_llm.report.cascades import cascade_text, contenders
from aspire_llm.report.comparison import write_comparison
from aspire_llm.report.guarantees import guarantees_text
from aspire_llm.report.page import write_accuracy_coverage_png, write_report
from aspire_llm.report.run_tables import results_table, write_tables
from aspire_llm.report.sample_answers import sample_answers

__all__ = [
    "cascade_text",
    "contenders",
    "guarantees_text",
    "results_table",
    "sample_answers",
    "write_accuracy_coverage_png",
    "write_comparison",
    "write_report",
    "write_tables",
]
