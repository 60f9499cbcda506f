"""Writes the tables of a run, and the comparison of runs as files, as a page and as text."""

from collections.abc import Sequence
from pathlib import Path

from aspire_llm.comparison.results import result_tables
from aspire_llm.comparison.side_by_side import compare_runs, read_seeds
from aspire_llm.comparison.table import Table, shown_rows
from aspire_llm.comparison.writers import as_csv, as_latex, as_markdown, as_text
from aspire_llm.errors import ConfigError
from aspire_llm.report.run_files import read_metrics
from aspire_llm.report.templates import page_templates
from aspire_llm.rundir.files import write_text

_WRITERS = {"csv": as_csv, "md": as_markdown, "tex": as_latex}


def write_tables(run_dir: Path) -> list[Path]:
    """Write the tables of a run as ``tables/NAME.{csv,md,tex}``, each file whole or not at all.

    Returns:
        The paths of the files.

    Raises:
        RunDirectoryError: `metrics.json` is missing, or it or `seeds.json` is broken.
    """
    tables = result_tables(read_metrics(run_dir), read_seeds(run_dir))
    return _write(tables, run_dir / "tables")


def write_comparison(runs: Sequence[Path], output_dir: Path | None = None) -> str:
    """Compare runs for a terminal and, where a folder is given, in files.

    Args:
        runs: Run directories, one or more, each with a `metrics.json`.
        output_dir: Gets `comparison.html` and every table as CSV, Markdown and LaTeX; made where it is not there.

    Returns:
        The comparison as text.

    Raises:
        ConfigError: There is no run, one is given twice, or the folder cannot be made.
        RunDirectoryError: A run lacks `metrics.json`, or a file is broken.
    """
    tables = compare_runs(runs)
    if output_dir is not None:
        _write(tables, output_dir)
        write_text(output_dir / "comparison.html", as_html(tables))
    return "\n\n\n".join(as_text(table) for table in tables)


def as_html(tables: Sequence[Table]) -> str:
    """One self-contained page with all the tables."""
    shown = [(table, shown_rows(table)) for table in tables]
    return page_templates(Path(__file__).parent).get_template("comparison.html").render(tables=shown)


def _write(tables: Sequence[Table], folder: Path) -> list[Path]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot make this folder ({error.strerror}); choose another one") from error
    paths = []
    for table in tables:
        for suffix, writer in _WRITERS.items():
            path = folder / f"{table.name}.{suffix}"
            write_text(path, writer(table))
            paths.append(path)
    return paths
