"""The tables of one run, letter by letter, from figures written by hand."""

import unicodedata
from dataclasses import replace
from pathlib import Path

from report.by_hand import around, difference, figures, run_metrics

from aspire_llm.records import Answers
from aspire_llm.report import results_table, write_tables
from aspire_llm.report.run_tables import result_tables
from aspire_llm.report.tables import Table
from aspire_llm.report.writers import as_csv, as_markdown
from aspire_llm.results.metrics import METRICS, Origin
from aspire_llm.results.scores import COSTS, Cost
from aspire_llm.results.studies import SEEDS
from aspire_llm.selection import SeedSummary, Spread

RUN = run_metrics(
    {
        "aspire": around(0.75, 0.9),
        "entropy": around(0.7, 0.875),
        "entropy_untuned": figures("all 200 answers are wrong", 0.5, auacc_ci=(0.49, 0.51)),
    },
    differences={"aspire - entropy": {"auroc": difference(0.05, (0.01, 0.09)), "auacc": difference(None)}},
)
COSTED: dict[str, Cost | None] = {"aspire": Cost(46.5, 0.0, 1.25), "entropy": None}
SEEDED = SeedSummary(
    seeds=(0, 1, 10),
    left_out=(),
    methods={
        "aspire": {
            "auroc": Spread(0.76, 0.0125, None, (0.75, 0.76, 0.77)),
            "auacc": Spread(0.91, 0.01, None, (0.9, 0.91, 0.92)),
            "accuracy": Spread(0.81, 0.02, None, (0.79, 0.81, 0.83)),
        },
        "entropy_untuned": {
            "auroc": Spread(None, None, None, (None, None, None)),
            "auacc": Spread(0.52, 0.02, None, (0.5, 0.52, 0.54)),
            "accuracy": Spread(0.26, 0.03, None, (0.23, 0.26, 0.29)),
        },
    },
    differences={
        "aspire - entropy": {
            "auroc": Spread(0.04, 0.005, (0.03, 0.05), (0.03, 0.04, 0.05)),
            "auacc": Spread(0.02, None, None, (0.02,)),
        }
    },
)


def lines(tables: list[Table], name: str) -> list[str]:
    """The rows of a table in Markdown, then its notes."""
    (table,) = [table for table in tables if table.name == name]
    return [line for line in as_markdown(table).splitlines()[4:] if line]


def test_on_the_terminal() -> None:
    hopeless = figures("all 3 answers are right; it takes both kinds", 1.0, accuracy=0.612)
    metrics = run_metrics(
        {
            "perplexity": replace(hopeless, accuracy_at_coverage={0.8: 1.0}),
            "aspire": figures(0.8449, 0.9263, accuracy=0.612, auroc_ci=(0.82, 0.8666), auacc_ci=(0.9, 0.95)),
        },
        differences={"aspire - perplexity": {"auroc": difference(None), "auacc": difference(-0.0737, (-0.1, -0.0449))}},
    )
    assert results_table(metrics).splitlines() == [
        "Method      Accuracy        AUROC [95%]        AUACC [95%]  Accuracy@80%",
        "────────────────────────────────────────────────────────────────────────",
        "ASPIRE          61.2  84.5 [82.0, 86.7]  92.6 [90.0, 95.0]          70.0",
        "Perplexity      61.2                  –              100.0         100.0",
        "",
        "AUROC of Perplexity is undefined: all 3 answers are right; it takes both kinds.",
        "ASPIRE − Perplexity: AUROC undefined, AUACC −7.4 points (−10.0 to −4.5)",
        "(percentage points with 95% intervals; paired bootstrap over groups)",
    ]


def test_on_the_terminal_many_methods_stand_by_family_and_share_their_reasons() -> None:
    names = ["perplexity", "perplexity_untuned", "sar_untuned", "my_method"]
    methods = {**dict.fromkeys(reversed(names), figures("all are wrong")), "aspire": figures(0.9)}
    rivals = {
        f"aspire - {name}": {"auroc": difference(0.1), "auacc": difference(None)} for name in ("my_method", "sar")
    }
    shown = results_table(run_metrics(methods, differences=rivals)).splitlines()
    labels = ["ASPIRE", "Perplexity", "Perplexity, untuned", "SAR, untuned", "my method"]
    assert [line.split("  ")[0] for line in shown[2:7]] == labels
    assert shown[8] == f"AUROC of {'; '.join(labels[1:])} is undefined: all are wrong."
    assert shown[9] == "ASPIRE − SAR: AUROC +10.0 points, AUACC undefined"
    assert shown[10].startswith("ASPIRE − my method: ")


def test_wide_characters_keep_the_columns_aligned() -> None:
    plain, wide, combining = "café", "信頼度", unicodedata.normalize("NFD", "café")
    shown = results_table(run_metrics(dict.fromkeys([plain, wide, combining], figures(0.5)))).splitlines()
    places = {line.split()[0]: line.index("50.0") for line in shown[2:5]}
    # Three characters in six cells; the combining accent takes no cell.
    assert places == {plain: 12, wide: 9, combining: 13}


def test_accuracy_before_and_after() -> None:
    assert lines(result_tables(RUN, {}), "accuracy") == [
        "| Before tuning | 25.0 |",
        "| After tuning | **80.0** |",
        "200 test questions.",
    ]
    assert lines(result_tables(replace(RUN, accuracy_before=None), {}), "accuracy")[0] == "| Before tuning | – |"


def test_methods_on_untuned_and_tuned_answers() -> None:
    assert lines(result_tables(RUN, {}), "selection") == [
        "| ASPIRE | Chen et al., 2023 | – | – | **90.0** [89.0, 91.0] | **75.0** [73.0, 77.0] |",
        "| entropy | Source of entropy | 50.0 [49.0, 51.0] | – | 87.5 [86.5, 88.5] | 70.0 [68.0, 72.0] |",
        "Brackets: 95% intervals.",
        "AUROC of entropy, untuned is undefined: all 200 answers are wrong.",
    ]


def test_the_kind_of_answers_goes_before_the_name() -> None:
    untuned = replace(run_metrics({"guess": around(0.6, 0.5)}), origins={"guess": Origin(Answers.UNTUNED, "S")})
    assert (
        lines(result_tables(untuned, {}), "selection")[0]
        == "| guess | S | 50.0 [49.0, 51.0] | 60.0 [58.0, 62.0] | – | – |"
    )


def test_differences_and_cost() -> None:
    tables = result_tables(RUN, COSTED)
    assert lines(tables, "differences")[0] == "| ASPIRE − entropy | – | +5.0 [+1.0, +9.0] |"
    assert lines(tables, "cost") == ["| ASPIRE | 46.5 | 0 | 1.25 |"]
    alone = result_tables(run_metrics({"aspire": figures(0.5)}), {})
    assert lines(alone, "differences") == ["No methods were compared."]
    assert lines(alone, "cost") == ["No cost was recorded."]


def test_csv_gives_bounds_of_their_own() -> None:
    assert as_csv(result_tables(RUN, {})[2]) == (
        "difference,auacc,auacc_low,auacc_high,auroc,auroc_low,auroc_high\nASPIRE − entropy,,,,0.05,0.01,0.09\n"
    )


def test_over_seeds() -> None:
    tables = result_tables(RUN, {}, SEEDED)
    note = "Means over seeds (0, 1, 10); ± is their standard deviation."
    assert lines(tables, "accuracy")[:2] == ["| Before tuning | 26.0 ± 3.0 |", "| After tuning | **81.0** ± 2.0 |"]
    assert lines(tables, "accuracy")[-2] == note
    assert lines(tables, "accuracy")[-1].endswith("says nothing of other data.")
    # The method on the tuned answers has no seeds: it keeps the interval of the one run.
    assert lines(tables, "selection") == [
        "| ASPIRE | Chen et al., 2023 | – | – | **91.0** ± 1.0 | **76.0** ± 1.2 |",
        "| entropy | Source of entropy | 52.0 ± 2.0 | – | 87.5 [86.5, 88.5] | 70.0 [68.0, 72.0] |",
        "Brackets: 95% intervals.",
        note,
        lines(tables, "accuracy")[-1],
    ]
    assert lines(tables, "differences")[0] == "| ASPIRE − entropy | +2.0 | +4.0 [+3.0, +5.0] |"
    assert as_csv(tables[2]).splitlines()[1] == "ASPIRE − entropy,0.02,,,,0.04,0.005,0.03,0.05"


def test_written_files(tmp_path: Path) -> None:
    METRICS.write(tmp_path, RUN)
    COSTS.write(tmp_path, COSTED)
    SEEDS.write(tmp_path, SEEDED)
    paths = write_tables(tmp_path)
    names = ("accuracy", "selection", "differences", "cost")
    assert paths == [tmp_path / "tables" / f"{name}.{suffix}" for name in names for suffix in ("csv", "md", "tex")]
    assert sorted((tmp_path / "tables").iterdir()) == sorted(paths)
    assert (tmp_path / "tables" / "accuracy.csv").read_text(encoding="utf-8") == (
        "answers,accuracy,accuracy_sd,accuracy_low,accuracy_high\nBefore tuning,0.26,0.03,,\nAfter tuning,0.81,0.02,,\n"
    )
    assert "± 2.0" in (tmp_path / "tables" / "accuracy.md").read_text(encoding="utf-8")
    assert r"$\pm$ 2.0" in (tmp_path / "tables" / "accuracy.tex").read_text(encoding="utf-8")
