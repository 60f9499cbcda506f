"""What people see of a run: the table on the terminal, the page, and the picture."""

from aspire_llm.comparison import write_comparison, write_tables
from aspire_llm.report.curves import write_accuracy_coverage_png
from aspire_llm.report.page import write_report
from aspire_llm.report.tables import results_table

__all__ = ["results_table", "write_accuracy_coverage_png", "write_comparison", "write_report", "write_tables"]
