"""Records of every kind that a run stores, as strategies of hypothesis, each with its file."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from aspire_llm.records import (
    Answers,
    DrawnAnswer,
    Evidence,
    LabelledAnswer,
    Mark,
    PassedOver,
    Prediction,
    Question,
    Reason,
    SampledAnswer,
    ScoredAnswer,
    Unanswered,
    Unread,
    UntunedAnswer,
)
from aspire_llm.results.calibration import CALIBRATION, Calibrated
from aspire_llm.results.cascade import CASCADE, CascadeRun, CertifiedCascade, Promise
from aspire_llm.results.fused import FUSED
from aspire_llm.results.metrics import METRICS, Answered, Origin, Reranked, RunMetrics
from aspire_llm.results.predictions import PREDICTIONS, UNTUNED_PREDICTIONS, outcome_file
from aspire_llm.results.questions import EXAMPLES
from aspire_llm.results.samples import SAMPLES, DrawnAnswers, QuestionSamples, drawn_answers_file
from aspire_llm.results.scores import COSTS, Cost, StoredScores, scores_file
from aspire_llm.results.studies import SEEDS, SWEEPS, Sweep, SweepFigures, SweepPoint, Sweeps
from aspire_llm.rundir.files import Document, Lines
from aspire_llm.rundir.provenance import PROVENANCE, DataFacts, HardwareFacts, ModelFacts, Provenance
from aspire_llm.selection import (
    Certified,
    ConfidenceMetrics,
    Difference,
    FusedScore,
    Guarantee,
    Infeasible,
    MethodMetrics,
    Part,
    RiskTarget,
    SeedSummary,
    SlicedGuarantee,
    Spread,
    Uncertified,
    Undefined,
    Unit,
)
from aspire_llm.selection.cascading import LogOdds, ThresholdPath
from aspire_llm.selection.confidence import IsotonicCalibration, PlattCalibration, UniformCalibration

numbers = st.floats(-1e6, 1e6)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
figures = numbers | st.builds(Undefined, texts)
intervals = st.tuples(numbers, numbers) | st.builds(Undefined, texts)
turns = st.lists(st.tuples(texts, texts), max_size=2).map(tuple)
questions = st.builds(Question, texts, texts, st.tuples(texts), st.none() | texts, turns, texts, st.just(True))
answers = st.builds(SampledAnswer, texts, st.tuples(st.integers(0, 9)), numbers, st.integers(1, 9), st.booleans())
labelled = st.builds(LabelledAnswer, answers, numbers, st.booleans())
costs = st.none() | st.builds(Cost, numbers, numbers, numbers)
method_metrics = st.builds(
    MethodMetrics,
    accuracy=numbers,
    accuracy_ci=intervals,
    auroc=figures,
    auroc_ci=intervals,
    auacc=numbers,
    auacc_ci=intervals,
    aurc=numbers,
    e_aurc=numbers,
    prr=figures,
    accuracy_at_coverage=st.fixed_dictionaries(dict.fromkeys((0.5, 0.8, 0.9), numbers)),
    coverage_at_risk=st.fixed_dictionaries(dict.fromkeys((0.05, 0.1), numbers)),
    tied_share=numbers,
)
names = st.sampled_from(["aspire", "sar"])
bounds = st.none() | st.tuples(numbers, numbers)
sweep_figures = st.builds(SweepFigures, numbers, st.none() | numbers, numbers, bounds, bounds)
points = st.builds(SweepPoint, numbers | texts, st.dictionaries(names, sweep_figures))
spread = st.builds(Spread, st.none() | numbers, st.none() | numbers, bounds, st.tuples(st.none() | numbers))
seed_summaries = st.builds(
    SeedSummary,
    st.tuples(st.integers(0, 9)),
    st.tuples(texts),
    st.dictionaries(names, st.fixed_dictionaries(dict.fromkeys(("accuracy", "auroc", "auacc"), spread))),
    st.dictionaries(names, st.fixed_dictionaries(dict.fromkeys(("auroc", "auacc"), spread))),
)
calibrations = (
    st.builds(Infeasible, texts)
    | st.builds(PlattCalibration, st.integers(20, 99), st.floats(0, 9), numbers)
    | st.just(IsotonicCalibration(20, (0.0, 1.0), (0.2, 0.9)))
    | st.builds(UniformCalibration, st.integers(20, 99), st.booleans())
)
targets = st.builds(RiskTarget, st.floats(0.01, 0.99), st.floats(0.01, 0.99))
outcomes = st.builds(Certified, numbers, numbers, numbers, numbers) | st.builds(
    Uncertified, texts, st.none() | numbers, numbers, st.none() | st.integers(1, 99)
)
guarantees = st.builds(
    Guarantee, targets, outcomes, st.sampled_from(Unit), texts, st.integers(1, 99), st.integers(1, 99)
)
slices = st.builds(
    lambda target, own: SlicedGuarantee(
        replace(target, per="kind"),
        {"a": replace(own, about=" whose kind is 'a'"), "": replace(own, about=" without kind")},
    ),
    targets,
    guarantees,
)
columns = st.lists(st.tuples(numbers, st.floats(0.01, 9), numbers), min_size=3, max_size=3).map(
    lambda own: zip(*own, strict=True)
)
fused = columns.flatmap(
    lambda own: st.builds(
        FusedScore,
        st.permutations(Part).map(lambda parts: tuple(parts[:3])),
        *map(st.just, own),
        numbers,
        st.integers(50, 99),
    )
)
log_odds = st.builds(LogOdds, st.floats(0, 9), numbers)
cascade_runs = st.builds(CascadeRun, texts, st.just(Path("/runs/a")), texts)
cascades = st.builds(
    CertifiedCascade,
    cascade_runs,
    cascade_runs,
    st.builds(ThresholdPath, log_odds, log_odds),
    st.tuples(st.builds(Promise, guarantees, st.none() | numbers)),
)
provenances = st.builds(
    Provenance,
    st.dictionaries(names, texts),
    st.integers(0, 2**63 - 1),
    st.builds(ModelFacts, texts, texts, st.integers(0, 2**40), st.none() | texts, st.none() | texts),
    st.builds(DataFacts, texts, texts, st.dictionaries(names, st.integers(0, 9)), st.integers(0, 9)),
    st.builds(HardwareFacts, texts, texts, st.integers(1, 9)),
    st.dictionaries(names, numbers),
    st.none() | st.fixed_dictionaries({"answer": numbers, "self_evaluation": numbers}),
)
before = st.tuples(st.none(), st.none()) | st.tuples(numbers, intervals)  # accuracy and its interval, or neither
run_metrics = before.flatmap(
    lambda known: st.builds(
        RunMetrics,
        n=st.integers(1, 9),
        accuracy=numbers,
        accuracy_ci=intervals,
        accuracy_before=st.just(known[0]),
        accuracy_before_ci=st.just(known[1]),
        malformed=numbers,
        answered=st.builds(Answered, numbers, st.none() | numbers),
        methods=st.fixed_dictionaries({"aspire": method_metrics}),
        origins=st.fixed_dictionaries({"aspire": st.builds(Origin, st.sampled_from(Answers), texts)}),
        differences=st.dictionaries(
            st.just("aspire - sar"),
            st.fixed_dictionaries(dict.fromkeys(("auroc", "auacc"), st.builds(Difference, figures, intervals))),
        ),
        confidence=st.none() | st.builds(ConfidenceMetrics, numbers, intervals, numbers, intervals, numbers, intervals),
        notes=st.tuples(texts),
        reranked=st.none()
        | st.builds(
            Reranked, st.integers(2, 9), numbers, numbers, intervals, st.builds(Difference, figures, intervals)
        ),
    )
)
reranked = st.builds(
    lambda beams, states, log_self_eval, scores, rouge_l, correct: Prediction(
        Question("q", "?", group="q"),
        ScoredAnswer(Evidence(beams[1], states=states[1], beams=beams, beam_states=states), scores[0]),
        why="",
        passed_over=PassedOver(
            ScoredAnswer(Evidence(beams[0], log_self_eval, states[0], beams, states), scores[1]), rouge_l, correct
        ),
    ),
    st.tuples(answers, answers),
    st.tuples(numbers, numbers),
    st.none() | st.floats(-700, 0),
    st.tuples(numbers, numbers),
    st.none() | numbers,
    st.none() | st.booleans(),
)
predictions = st.builds(
    Prediction,
    question=questions,
    scored=st.builds(
        ScoredAnswer,
        st.builds(
            Evidence,
            answers,
            log_self_eval=st.none() | st.floats(-700, 0),
            states=st.none() | numbers,
            beams=st.lists(answers, max_size=3).map(tuple),
        ),
        numbers,
    ),
    confidence=st.none() | numbers,
    abstained=st.booleans(),
    why=texts,
    rouge_l=st.none() | numbers,
    correct=st.none() | st.booleans(),
    novelty=st.none() | numbers,
    context_cut=st.booleans(),
    reason=st.none() | st.sampled_from(Reason),
    target_risk=st.none() | numbers,
    mark=st.none() | st.builds(Mark, texts, st.booleans()),
)
# What `predict` writes for users has no marks and no other hypotheses.
told = predictions.map(
    lambda own: replace(own, mark=None, scored=replace(own.scored, evidence=replace(own.scored.evidence, beams=())))
)
RECORDS: list[tuple[Document[Any] | Lines[Any], st.SearchStrategy[Any]]] = [
    (SAMPLES, st.builds(QuestionSamples, texts, st.tuples(labelled))),
    (
        drawn_answers_file(""),
        st.builds(
            DrawnAnswers,
            texts,
            numbers,
            st.tuples(st.builds(DrawnAnswer, texts, st.tuples(st.integers(0, 9)), st.tuples(numbers))),
        ),
    ),
    (PREDICTIONS, predictions | reranked),
    (
        outcome_file("live.jsonl"),
        told | st.builds(Unanswered, questions, texts) | st.builds(Unread, texts, texts),
    ),
    (UNTUNED_PREDICTIONS, st.builds(UntunedAnswer, questions, labelled)),
    (EXAMPLES, st.lists(questions).map(tuple)),
    (
        scores_file("sar"),
        st.builds(StoredScores, names, st.sampled_from(Answers), texts, st.just(("a",)), st.tuples(numbers), costs),
    ),
    (COSTS, st.dictionaries(names, costs)),
    (SWEEPS, st.builds(Sweeps, st.tuples(st.builds(Sweep, texts, texts, st.tuples(points))))),
    (SEEDS, seed_summaries),
    (CALIBRATION, st.builds(Calibrated, calibrations, st.tuples(guarantees), st.none() | texts, st.tuples(slices))),
    (FUSED, fused | st.builds(Infeasible, texts)),
    (CASCADE, cascades),
    (PROVENANCE, provenances),
    (METRICS, run_metrics),
]
