"""The card of an exported run: what it is, what it promises, what it is for, and where it ends."""

from pathlib import Path

import yaml

from aspire_llm.config import MODEL_NAMES, RunConfig
from aspire_llm.report.run_tables import difference_notes, methods_table
from aspire_llm.report.tables import percent
from aspire_llm.report.wording import interval
from aspire_llm.report.writers import as_markdown
from aspire_llm.results.calibration import Calibrated
from aspire_llm.results.metrics import RunMetrics
from aspire_llm.rundir.provenance import Provenance
from aspire_llm.selection import Infeasible, Undefined

_USE = """```python
from aspire_llm import SelectivePredictor

predictor = SelectivePredictor.load("{name}")
for prediction in predictor.predict(["…"]):
    print(prediction.text, prediction.confidence)
```

`aspire-llm ask {name} "…"` asks it once, `aspire-llm serve {name}` answers over HTTP. The base model is `{model}`."""


def model_card(
    name: str,
    config: RunConfig,
    provenance: Provenance,
    calibrated: Calibrated,
    metrics: RunMetrics | None,
    caveats: tuple[str, ...],
) -> str:
    """The card as Markdown, with the header that the hub reads.

    Args:
        name: Of the folder.
        config: Of the run.
        provenance: Of the run.
        calibrated: Its confidence and its promises.
        metrics: On its test questions; None where it has none.
        caveats: What a user must know of all of its predictions, in clauses.
    """
    parts = [
        _header(config),
        f"# {name}",
        f"Adapters for `{config.model}` that answer questions like those of `{provenance.data.source}`, and withhold "
        "answers that they are not sure of (ASPIRE, Chen et al., Findings of EMNLP 2023). The base model is unchanged, "
        "and not part of this folder.",
        _USE.format(name=name, model=config.model),
        "## What it does",
        *_figures(metrics),
        "## What it promises",
        *_promises(calibrated),
        "## What it is for",
        "Questions like those that it was calibrated on. What the figures and promises say holds of such questions "
        "alone; of others it knows only that they are unlike (`novel_question`), and not always that. Calibrate it "
        "again on your own questions: `aspire-llm calibrate` on the run that this was exported from. It is no source "
        "for decisions about people, health, law or money without a person who checks the answers.",
        *(f"- {clause}" for clause in caveats),
        "## How it was made",
        *_origin(config, provenance),
    ]
    return "\n\n".join(parts) + "\n"


def _header(config: RunConfig) -> str:
    known = config.model not in MODEL_NAMES and not Path(config.model).is_absolute()
    facts = {
        "library_name": "aspire-llm",
        **({"base_model": config.model} if known else {}),
        "pipeline_tag": "question-answering",
        "tags": ["selective-prediction", "aspire", "calibration"],
    }
    return f"---\n{yaml.safe_dump(facts, sort_keys=False)}---"


def _figures(metrics: RunMetrics | None) -> list[str]:
    if metrics is None:
        return ["Nothing was measured on test questions."]
    bounds = "" if isinstance(metrics.accuracy_ci, Undefined) else f" ({interval(metrics.accuracy_ci)})"
    given = metrics.answered
    of_these = "" if given.accuracy is None else f", of which {percent(given.accuracy)}% are right"
    said = (
        f"Of {metrics.n:,} test questions {percent(metrics.accuracy)}%{bounds} are answered rightly when none is "
        f"withheld. It answers {percent(given.share)}%{of_these}."
    )
    return [said, as_markdown(methods_table(metrics)).strip(), *(f"- {line}" for line in difference_notes(metrics))]


def _promises(calibrated: Calibrated) -> list[str]:
    confidence = calibrated.confidence
    said = [f"There is no confidence: {confidence.reason}."] if isinstance(confidence, Infeasible) else []
    made = [f"- {own.sentence}" for own in calibrated.guarantees]
    made += [f"- {own.sentence}" for sliced in calibrated.slices for own in sliced.by_value.values()]
    return [*said, *(made or ["No share of wrong answers was certified: `aspire-llm calibrate` does that."])]


def _origin(config: RunConfig, provenance: Provenance) -> list[str]:
    counts = ", ".join(f"{count:,} {split}" for split, count in provenance.data.questions.items())
    versions = ", ".join(f"{name} {version}" for name, version in sorted(provenance.versions.items()))
    digest = provenance.model.sha256
    return [
        f"- Base model: `{config.model}`, {provenance.model.parameters:,} parameters"
        + (f", SHA-256 `{digest}`; another one is refused" if digest else ""),
        f"- Questions: {counts}; digest `{provenance.data.sha256[:16]}`",
        f"- Score: {config.score.kind}; seed {provenance.seed}; all settings stand in `config.yaml`",
        f"- Made with {versions}",
    ]
