"""The page: whole, self-contained, safe, and honest about what is missing."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from report.synthetic_run import make_predictions, make_provenance, origin, write_run

from aspire_llm.errors import RunDirectoryError
from aspire_llm.methods.catalogue import method_label
from aspire_llm.records import Prediction
from aspire_llm.report import write_report
from aspire_llm.report.page import choose_examples
from aspire_llm.report.wording import in_sentence
from aspire_llm.results.metrics import METRICS
from aspire_llm.results.predictions import PREDICTIONS
from aspire_llm.rundir.provenance import PROVENANCE

VOID = {"meta", "input", "br", "link", "img", "hr"}


class Page(HTMLParser):
    """What a browser would make of the page, as far as these tests ask."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.attributes: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._open: list[str] = []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {key: value or "" for key, value in attrs}
        self.tags.append(tag)
        self.attributes.append((tag, values))
        self.ids += [values["id"]] if "id" in values else []
        self.links += [values[key] for key in ("src", "href", "xlink:href", "action", "data") if key in values]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in ("script", "style"):
            self.text += data

    def classes(self, name: str) -> int:
        """How many elements have a class."""
        return sum(name in values.get("class", "").split() for _, values in self.attributes)


def changed(own: Prediction, text: str) -> Prediction:
    """A prediction of which every text is another."""
    question = replace(own.question, question=text, context=text, references=(text,))
    evidence = replace(own.scored.evidence, answer=replace(own.sampled, text=text))
    scored = replace(own.scored, evidence=evidence)
    return replace(own, question=question, scored=scored)


def test_every_part_is_there(run_dir: Path) -> None:
    path = write_report(run_dir)
    assert path == run_dir / "report.html"
    page = Page(path)
    for heading in (
        "Methods side by side",
        "ASPIRE and its rivals",
        "Curves",
        "Score and confidence",
        "Example answers",
    ):
        assert heading in page.text
    assert page.classes("example") == 300
    assert page.tags.count("figure") == page.tags.count("figcaption") == 9
    assert "example-org/small-lm · triviaqa · 300 test questions" in page.text
    assert "12 contexts were cut to the model's window" in page.text
    for text in ("data.limit", "3000", "seconds.stage2", "48.1", "stage3.verdict_words", "correct, wrong"):
        assert text in page.text
    assert list(run_dir.glob(".*")) == []  # no temporary file is left


def test_figures_of_the_page_are_those_of_the_metrics(run_dir: Path, predictions: list[Prediction]) -> None:
    metrics = json.loads((run_dir / "metrics.json").read_text())
    words = " ".join(Page(write_report(run_dir)).text.replace("●", "").split())
    for figures in metrics["methods"].values():
        low, high = figures["auroc_ci"]
        assert f"{100 * figures['auroc']:.1f}[{100 * low:.1f}, {100 * high:.1f}]" in words
    difference = metrics["differences"]["aspire - perplexity"]["auroc"]
    low, high = difference["ci"]
    assert low > 0
    assert f"+{100 * difference['estimate']:.1f}[+{100 * low:.1f}, +{100 * high:.1f}]" in words
    answered = [bool(own.correct) for own in predictions if not own.abstained]
    assert f"Answered by this run{len(answered) / 3:.1f}%{100 * sum(answered) / len(answered):.1f}% of these" in words


def test_the_accuracy_has_the_interval_of_its_answers(run_dir: Path, predictions: list[Prediction]) -> None:
    words = Page(write_report(run_dir)).text
    share = sum(bool(own.correct) for own in predictions) / 300
    found = re.search(r"Accuracy([\d.]+)%95% interval \[([\d.]+), ([\d.]+)\]", words)
    assert found is not None
    accuracy, low, high = map(float, found.groups())
    assert accuracy == pytest.approx(100 * share, abs=0.05)
    assert low < accuracy < high
    # Three answers per group: about as wide as the normal interval of single answers, and not much more.
    assert 0.7 < (high - low) / (2 * 196 * (share * (1 - share) / 300) ** 0.5) < 1.8


def test_the_slider_knows_the_curve(run_dir: Path, predictions: list[Prediction]) -> None:
    page = Page(write_report(run_dir))
    (slider,) = [values for _, values in page.attributes if values.get("type") == "range"]
    ranked = [bool(own.correct) for own in sorted(predictions, key=lambda own: -own.scored.selection_score)]
    expected = [sum(ranked[: 3 * k]) / (3 * k) for k in range(1, 101)]  # 300 answers: k% are 3·k
    assert json.loads(slider["data-accuracies"]) == pytest.approx(expected, abs=1e-4)


def test_nothing_is_fetched_from_elsewhere(run_dir: Path) -> None:
    page = Page(write_report(run_dir))
    assert page.links != []  # the SVG's own references
    assert all(link.startswith("#") and link[1:] in page.ids for link in page.links)
    assert len(page.ids) == len(set(page.ids))
    assert set(page.tags) & {"link", "img", "iframe", "object", "embed", "image"} == set()
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", page.source))
    assert re.findall(r"@import|fetch\(|XMLHttpRequest|import\(", page.source) == []
    assert set(re.findall(r"https?://[^\"'\s<]+", page.source)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_foreign_text_is_text(tmp_path: Path) -> None:
    attack = '<script>alert("x")</script><img src=x onerror=alert(1)>'
    write_run(tmp_path, [changed(own, attack) for own in make_predictions(100)])
    metrics = METRICS.read(tmp_path)
    differences = {**metrics.differences, f"aspire - {attack}": metrics.differences["aspire - perplexity"]}
    methods = {**metrics.methods, attack: metrics.methods["perplexity"]}
    origins = {**metrics.origins, attack: origin(attack)}
    METRICS.write(
        tmp_path, replace(metrics, methods=methods, origins=origins, differences=differences, notes=(attack,))
    )
    PROVENANCE.write(tmp_path, replace(make_provenance(), versions={attack: attack}))
    page = Page(write_report(tmp_path))
    assert page.tags.count("script") == 1
    assert "img" not in page.tags
    assert not any(key.startswith("on") for _, values in page.attributes for key in values)
    assert page.text.count(attack) >= 400  # question, context, answer and reference of a hundred examples, notes, …


def test_everything_has_a_name_for_those_who_cannot_see_it(run_dir: Path) -> None:
    page = Page(write_report(run_dir))
    drawings = [values for tag, values in page.attributes if tag == "svg" and values.get("role") == "img"]
    assert len(drawings) == 9
    assert all(len(values["aria-label"]) > 20 for values in drawings)
    referred = [values["aria-labelledby"] for _, values in page.attributes if "aria-labelledby" in values]
    assert set(referred) <= set(page.ids)
    # Labels either name their control or hold it.
    controls = [values for tag, values in page.attributes if tag in ("input", "select")]
    assert page.tags.count("label") == len(controls)
    labelled = [values["for"] for tag, values in page.attributes if tag == "label" and "for" in values]
    assert labelled == [values["id"] for values in controls if "id" in values]


def test_the_headline_names_the_strongest_rival_and_counts_the_others(rich_dir: Path) -> None:
    metrics = json.loads((rich_dir / "metrics.json").read_text())
    rivals = {name: of["auroc"] for name, of in metrics["methods"].items() if of["answers"] == "tuned"}
    strongest = max(set(rivals) - {"aspire", "aspire_readout"}, key=rivals.__getitem__)
    words = " ".join(Page(write_report(rich_dir)).text.split())
    difference = metrics["differences"][f"aspire - {strongest}"]["auroc"]["estimate"]
    headline = words.split("test questions")[1].split("In AUACC")[0]
    assert f"{100 * difference:+.1f} points of AUROC".replace("-", "−") in headline
    assert in_sentence(method_label(strongest)) in headline
    assert "Against 8 other methods on the same answers ASPIRE is ahead of " in words


def test_many_methods_sweeps_and_seeds(rich_dir: Path) -> None:
    page = Page(write_report(rich_dir))
    words = " ".join(page.text.split())
    for text in (
        "Before tuning",
        "After tuning",
        "Duan et al., 2024",
        "×11.0",
        "What quality costs",
        "Sensitivity to α",
    ):
        assert text in words
    assert "The whole run from the seeds 0, 1, 2" in words
    assert page.classes("best") == 4  # AUACC and AUROC, before and after tuning
    switches = [values for _, values in page.attributes if values.get("name") == "curve-method"]
    assert [values["value"] for values in switches] == [
        "aspire",
        "aspire_readout",
        "perplexity",
        "sequence_log_probability",
        "semantic_entropy",
        "sar",
        "self_evaluation",
        "hidden_state_probe",
        "my_method",
    ]
    shown = {values["value"] for values in switches if "checked" in values}
    assert {"aspire", "perplexity"} < shown
    assert len(shown) == 3
    assert len(page.ids) == len(set(page.ids))


def test_without_sweeps_and_seeds_no_word_of_them(run_dir: Path) -> None:
    page = Page(write_report(run_dir))
    for text in ("Sensitivity", "Other seeds", "sweep.json", "seeds.json", "What quality costs"):
        assert text not in page.text


def test_many_answers_are_thinned_and_the_page_says_so(tmp_path: Path) -> None:
    write_run(tmp_path, make_predictions(620))
    path = write_report(tmp_path)
    page = Page(path)
    assert page.classes("example") == 500
    assert "500 of the 620 test answers, evenly spaced in the order of their selection scores." in page.text
    assert path.stat().st_size < 2_000_000


def test_examples_are_evenly_spaced_in_the_order_of_their_scores() -> None:
    predictions = make_predictions(801)
    ranked = sorted(predictions, key=lambda own: -own.scored.selection_score)
    assert choose_examples(predictions, 201) == ranked[::4]
    assert choose_examples(predictions, 801) == ranked
    halves = [replace(own, correct=None) if i % 2 else own for i, own in enumerate(ranked)]
    assert choose_examples(halves, 801) == ranked[::2]


def test_the_same_files_give_the_same_page(run_dir: Path) -> None:
    first = write_report(run_dir).read_bytes()
    assert write_report(run_dir).read_bytes() == first


@pytest.mark.parametrize(
    ("name", "gone", "note"),
    [
        ("predictions.jsonl", ["Example answers", "ROC curves"], "predictions.jsonl is missing"),
        ("config.yaml", ["stage3.verdict_words"], "config.yaml is missing"),
        ("provenance.json", ["Provenance"], "provenance.json is missing"),
        ("predictions_untuned.jsonl", [], ""),
    ],
)
def test_a_missing_file_leaves_a_note_not_a_crash(run_dir: Path, name: str, gone: list[str], note: str) -> None:
    (run_dir / name).unlink()
    page = Page(write_report(run_dir))
    assert "Methods side by side" in page.text
    assert note in page.text
    if name == "predictions.jsonl":
        (run_dir / "predictions_untuned.jsonl").unlink()
        page = Page(write_report(run_dir))
    assert not [heading for heading in gone if heading in page.text]


def test_undefined_figures_show_their_reason(tmp_path: Path) -> None:
    predictions = [
        replace(own, correct=True, question=replace(own.question, group="one story")) for own in make_predictions(40)
    ]
    write_run(tmp_path, predictions)
    page = Page(write_report(tmp_path))
    assert "all 40 answers are right; it takes both kinds" in page.text
    assert "ASPIRE and perplexity cannot be compared by AUROC" in page.text
    assert page.text.count("ROC curves") == 1  # of the untuned answers, of which some are wrong
    assert page.classes("example") == 40


def test_answers_without_references_are_listed_nowhere(tmp_path: Path) -> None:
    predictions = make_predictions(60)
    write_run(tmp_path, predictions)
    PREDICTIONS.write(tmp_path, [replace(own, correct=None, rouge_l=None) for own in predictions])
    (tmp_path / "predictions_untuned.jsonl").unlink()
    page = Page(write_report(tmp_path))
    assert page.classes("example") == 0
    assert "ROC curves" not in page.text


def test_no_metrics(tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match=r"metrics\.json: missing; run") as error:
        write_report(tmp_path)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metrics.json", "{"),
        ("metrics.json", "[]"),
        ("metrics.json", '{"n": NaN}'),
        ("predictions.jsonl", '{"id": "a"}\n'),
        ("predictions.jsonl", "\n"),
        ("config.yaml", "a: ["),
        ("config.yaml", "modle: x"),
        ("provenance.json", "3"),
    ],
)
def test_broken_files_are_one_clear_line(run_dir: Path, name: str, content: str) -> None:
    (run_dir / name).write_text(content)
    with pytest.raises(RunDirectoryError, match=re.escape(str(run_dir / name))) as error:
        write_report(run_dir)
    assert "\n" not in str(error.value)
    assert not (run_dir / "report.html").exists()


def test_nothing_is_loaded_before_it_is_needed() -> None:
    code = (
        "import sys, aspire_llm.report; "
        "print([name for name in ('torch', 'transformers', 'matplotlib') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout == "[]\n"
