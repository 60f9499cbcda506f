"""Runs side by side, from small run directories written by hand."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from report.by_hand import figures, run_metrics
from report.synthetic_run import make_predictions, make_provenance

from aspire_llm.config_files import load_config
from aspire_llm.errors import AspireError, ConfigError, RunDirectoryError
from aspire_llm.report import write_comparison
from aspire_llm.report.comparison import compare_runs
from aspire_llm.report.tables import Table
from aspire_llm.report.writers import as_csv, as_markdown
from aspire_llm.results.metrics import METRICS
from aspire_llm.results.predictions import PREDICTIONS
from aspire_llm.results.studies import SEEDS
from aspire_llm.rundir.provenance import PROVENANCE
from aspire_llm.selection import SeedSummary, Spread

QUESTIONS = ("Who?", "Where?")


def write_run(
    path: Path,
    *,
    auroc: float = 0.6,
    alpha: float = 0.25,
    method: str = "perplexity",
    sha256: str | None = "aaa",
    questions: tuple[str, ...] | None = QUESTIONS,
) -> Path:
    path.mkdir(parents=True)
    methods = {"aspire": figures(auroc, 0.75, auroc_ci=(0.5, 1.0)), method: figures("all right")}
    METRICS.write(path, run_metrics(methods, n=2, accuracy=0.5, accuracy_before=None))
    config = load_config(None, [("model", "tiny"), ("data.name", "squad"), ("score.alpha", alpha)])
    (path / "config.yaml").write_text(config.to_yaml(), encoding="utf-8")
    if sha256 is not None:
        PROVENANCE.write(path, make_provenance(sha256))
    if questions is not None:
        answered = zip(make_predictions(len(questions)), questions, strict=True)
        PREDICTIONS.write(
            path,
            [
                replace(own, question=replace(own.question, id=text, question=text, context=None))
                for own, text in answered
            ],
        )
    return path


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    return [
        write_run(tmp_path / "one", auroc=0.625),
        write_run(
            tmp_path / "two", auroc=0.75, alpha=0.5, method="sequence_log_probability", questions=QUESTIONS[::-1]
        ),
    ]


def rows(table: Table) -> list[str]:
    return [line for line in as_markdown(table).splitlines()[2:] if line]


def test_four_tables(runs: list[Path]) -> None:
    overview, methods, untuned, settings = compare_runs(runs)
    same = "All runs answered the same test questions."
    assert rows(overview) == [
        "| Run | Model | Data | Test questions | Accuracy before tuning | Accuracy |",
        "| --- | --- | --- | ---: | ---: | ---: |",
        "| one | tiny | squad | 2 | – | 50.0 |",
        "| two | tiny | squad | 2 | – | 50.0 |",
        same,
    ]
    assert rows(methods) == [
        "| Method | one: AUACC | one: AUROC | two: AUACC | two: AUROC |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| ASPIRE | **75.0** | 62.5 [50.0, 100.0] | **75.0** | 75.0 [50.0, 100.0] |",
        "| Perplexity | 50.0 | – | – | – |",
        "| Sequence log-probability | – | – | 50.0 | – |",
        same,
        "Brackets: 95% intervals.",
    ]
    assert rows(untuned)[2:] == ["No method scored these answers."]
    assert rows(settings) == ["| Setting | one | two |", "| --- | --- | --- |", "| score.alpha | 0.25 | 0.5 |"]


def test_methods_on_untuned_answers_stand_apart(tmp_path: Path) -> None:
    run = write_run(tmp_path / "one", auroc=0.625, method="perplexity_untuned")
    _, methods, untuned, _ = compare_runs([run])
    assert rows(methods)[2:3] == ["| ASPIRE | 75.0 | 62.5 [50.0, 100.0] |"]
    assert rows(untuned)[2:3] == ["| Perplexity, untuned | 50.0 | – |"]
    assert len(methods.rows) == len(untuned.rows) == 1


def test_csv_has_a_column_a_number(runs: list[Path]) -> None:
    header, first, *_ = as_csv(compare_runs(runs)[1]).splitlines()
    assert header == ",".join(
        ["method"]
        + [
            f"{run}_{metric}{part}"
            for run in ("one", "two")
            for metric in ("auacc", "auroc")
            for part in ("", "_low", "_high")
        ]
    )
    assert first == "ASPIRE,0.75,,,0.625,0.5,1.0,0.75,,,0.75,0.5,1.0"


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        # The questions that were answered count, whatever the runs were trained on …
        ({"sha256": "aaa"}, {"sha256": "bbb"}, "All runs answered the same"),
        ({"sha256": "aaa"}, {"sha256": "aaa", "questions": ["Why?", "Where?"]}, "The test questions differ"),
        # … and where the answers are missing, the data that provenance names.
        ({"questions": None}, {"questions": None}, "All runs answered the same"),
        ({"questions": None}, {"sha256": "bbb"}, "The test questions differ"),
        ({"questions": None, "sha256": None}, {}, "is unknown"),
    ],
)
def test_whether_the_test_questions_are_the_same(tmp_path: Path, first: Any, second: Any, expected: str) -> None:
    runs = [write_run(tmp_path / "a", auroc=0.6, **first), write_run(tmp_path / "b", auroc=0.6, **second)]
    overview, methods, *_ = compare_runs(runs)
    assert expected in overview.notes[0]
    assert methods.notes[0] == overview.notes[0]


def test_runs_of_one_name_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runs = [write_run(Path(folder) / "demo", auroc=0.6) for folder in ("a", "b")]
    assert [row[0] for row in compare_runs(runs)[0].rows] == ["a/demo", "b/demo"]


def test_same_and_missing_settings(tmp_path: Path) -> None:
    one, two = write_run(tmp_path / "one", auroc=0.6), write_run(tmp_path / "two", auroc=0.6)
    assert rows(compare_runs([one, two])[3])[2:] == ["The settings are the same."]
    (two / "config.yaml").unlink()
    assert rows(compare_runs([one, two])[3])[2:] == ["The settings of two are unknown: config.yaml is missing."]


def test_seeds_take_the_place_of_intervals(tmp_path: Path) -> None:
    over_seeds = {metric: Spread(0.7, 0.01, None, (0.69, 0.71)) for metric in ("auroc", "auacc", "accuracy")}
    runs = [write_run(tmp_path / "one", auroc=0.625), write_run(tmp_path / "two", auroc=0.625)]
    SEEDS.write(runs[0], SeedSummary((3, 4), (), {"aspire": over_seeds}, {}))
    overview, methods, *_ = compare_runs(runs)
    assert rows(overview)[2].endswith("| – | 70.0 ± 1.0 |")
    assert rows(methods)[2] == "| ASPIRE | **70.0** ± 1.0 | 70.0 ± 1.0 | **75.0** | 62.5 [50.0, 100.0] |"
    assert rows(methods)[-2] == "Means over seeds (3, 4); ± is their standard deviation."
    assert "says nothing of other data" in rows(methods)[-1]


def test_one_run_is_enough(runs: list[Path]) -> None:
    overview, methods, _, settings = compare_runs(runs[:1])
    assert overview.notes[0] == "One run: nothing to compare it with."
    assert len(methods.columns) == 3
    assert not settings.rows


def test_written_comparison(tmp_path: Path, runs: list[Path]) -> None:
    evil = runs[1].rename(tmp_path / "<b>two & co")
    output = tmp_path / "new" / "folder"
    text = write_comparison([runs[0], evil], output)
    names = {
        f"{name}.{suffix}"
        for name in ("runs", "methods", "methods_untuned", "settings")
        for suffix in ("csv", "md", "tex")
    }
    assert {path.name for path in output.iterdir()} == names | {"comparison.html"}
    assert "score.alpha  0.25  0.5" in text
    page = (output / "comparison.html").read_text(encoding="utf-8")
    assert ">&lt;b&gt;two &amp; co</th>" in page
    assert "<b>two" not in page
    assert '<td class="best">75.0<span class="mark" role="img" aria-label="best">●</span></td>' in page
    assert '<span class="ci">[50.0, 100.0]</span>' in page
    assert not any(link in page for link in ("http:", "https:", "<link", "<script"))


def test_nothing_is_written_where_no_folder_is_named(tmp_path: Path, runs: list[Path]) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert write_comparison(runs).startswith("The runs and their accuracy, in percent.\n\nRun ")
    assert sorted(tmp_path.rglob("*")) == before


def fails(error: type[AspireError], *parts: str, runs: list[Path], output: Path | None = None) -> None:
    with pytest.raises(error) as caught:
        write_comparison(runs, output)
    message = str(caught.value)
    assert "\n" not in message
    assert all(part in message for part in parts), message


def test_errors(tmp_path: Path, runs: list[Path]) -> None:
    fails(ConfigError, "no run was given", runs=[])
    fails(ConfigError, "is given twice", runs=[runs[0], runs[0].parent / "two" / ".." / "one"])
    fails(RunDirectoryError, "none", "metrics.json", runs=[runs[0], tmp_path / "none"])
    fails(ConfigError, "metrics.json", "cannot make", runs=runs, output=runs[0] / "metrics.json")
    for name, broken in (
        ("metrics.json", "{"),
        ("metrics.json", '{"n": NaN}'),
        ("metrics.json", "[1]"),
        ("seeds.json", '{"seeds": ['),
        ("provenance.json", "no"),
        ("predictions.jsonl", "{}\n"),
        ("predictions.jsonl", "3\n"),
    ):
        good = (runs[1] / name).read_bytes() if (runs[1] / name).is_file() else None
        (runs[1] / name).write_text(broken, encoding="utf-8")
        fails(RunDirectoryError, str(runs[1] / name), runs=runs)
        (runs[1] / name).unlink() if good is None else (runs[1] / name).write_bytes(good)
