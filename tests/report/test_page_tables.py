"""The tables of the page: methods by family, their further figures, and other seeds."""

from pathlib import Path

from report.by_hand import figures, run_metrics
from report.rich_run import SEEDED

from aspire_llm.report.page_tables import details_table, methods_table, seed_tables
from aspire_llm.report.run_results import read_run_results
from aspire_llm.report.tables import ShownCell, Table
from aspire_llm.results.scores import Cost


def shown(table: Table) -> dict[str, list[ShownCell]]:
    """The cells of each row, by its name."""
    return {row[0].text: list(row[1:]) for row in table.shown_rows}


def test_rows_stand_by_family_with_twins_in_one_row(rich_dir: Path) -> None:
    results = read_run_results(rich_dir)
    table = methods_table(results.metrics, results.costs)
    assert [(heading, [row[0].text for row in rows]) for heading, rows in table.shown_sections] == [
        ("ASPIRE and its variants", ["ASPIRE", "ASPIRE, readout"]),
        ("Likelihood of the answer", ["Perplexity", "Sequence log-probability"]),
        ("Agreement of sampled answers", ["Semantic entropy", "SAR"]),
        ("Asking a model", ["Self-evaluation alone"]),
        ("Trained on labelled answers", ["Hidden-state probe"]),
        ("Other methods", ["my method"]),
    ]
    assert [(heading, len(columns)) for heading, columns in table.headings] == [
        ("", 1),
        ("Before tuning", 2),
        ("After tuning", 2),
        ("", 2),
    ]
    rows = shown(table)
    before, after = (results.methods[name] for name in ("semantic_entropy_untuned", "semantic_entropy"))
    aurocs = [f"{100 * float(str(of.auroc)):.1f}" for of in (before, after)]
    assert [cell.text for cell in rows["Semantic entropy"]] == [
        f"{100 * before.auacc:.1f}",
        aurocs[0],
        f"{100 * after.auacc:.1f}",
        aurocs[1],
        "×12.0",
        "Kuhn et al., 2023",
    ]
    assert [cell.text for cell in rows["SAR"][:2]] == ["–", "–"]
    assert rows["Semantic entropy"][4].spread == "+1.1 s · 10 tokens"
    assert rows["Perplexity"][4] == ShownCell("×1.00")


def test_the_best_figures_are_marked_unless_all_are_equal() -> None:
    methods = {"aspire": figures(0.7), "sar": figures(0.8), "p_true": figures("no"), "sar_untuned": figures(0.9)}
    rows = shown(methods_table(run_metrics(methods), {}))
    assert {label: [cell.is_best for cell in row[:4]] for label, row in rows.items()} == {
        "ASPIRE": [False] * 4,
        "SAR": [False, False, False, True],
        "P(True)": [False] * 4,
    }


def test_columns_that_would_be_empty_are_left_out() -> None:
    table = methods_table(run_metrics({"aspire": figures(0.7), "sar": figures("no"), "perplexity": figures("no")}), {})
    assert [column.name for column in table.columns] == ["method", "auacc_tuned", "auroc_tuned", "source"]
    assert table.notes == ["AUROC of Perplexity; SAR is undefined: no."]


def test_the_cost_of_a_method_that_scores_untuned_answers_alone() -> None:
    metrics = run_metrics({"aspire": figures(0.7), "sar_untuned": figures(0.6)})
    rows = shown(methods_table(metrics, {"sar_untuned": Cost(0.0123, 7.5, 2.5)}))
    assert rows["SAR"][4] == ShownCell("×2.50", "+12 ms · 7.5 tokens")
    assert rows["ASPIRE"][4].text == "–"


def test_further_figures() -> None:
    rows = shown(details_table({"aspire": figures(0.7, prr=-0.125, tied_share=1.0)}, "aspire"))
    assert [cell.text for cell in rows["ASPIRE"]] == ["70.0", "20.0", "30.0", "−12.5", "5.0", "100.0"]


def test_seeds_by_hand() -> None:
    levels, differences = seed_tables(SEEDED, "aspire")
    # Means and standard deviations of 70, 71, 69; 90, 90, 93; 80, 82, 84.
    cells = [ShownCell("70.0", "± 1.0"), ShownCell("91.0", "± 1.7"), ShownCell("82.0", "± 2.0")]
    assert shown(levels) == {"ASPIRE": cells, "SAR": cells}
    assert shown(differences)["ASPIRE − SAR"] == [
        ShownCell("–"),
        ShownCell("–"),
        ShownCell("+2.0", "[−1.0, +5.0]"),
        ShownCell("2 of 3"),
    ]
