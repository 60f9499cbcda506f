"""A logistic model over all that is known of an answer, fitted on the validation split (beyond the paper)."""

from collections.abc import Collection, Sequence

from aspire_llm.config import RunConfig
from aspire_llm.errors import DataError
from aspire_llm.methods.answer_set import AnswerSet
from aspire_llm.records import Prediction
from aspire_llm.selection import FusedScore, Infeasible, Part, fit_fused


def score(answers: AnswerSet) -> list[float]:
    """Log-odds of a correct answer; in a run whose own score this is, as it decides by them."""
    if answers.config.score.kind == "fused":
        return [prediction.scored.selection_score for prediction in answers.predictions]
    return fused_scores(answers, tuple(Part))


def fused_scores(answers: AnswerSet, parts: Collection[Part]) -> list[float]:
    """Log-odds of a correct answer by some parts.

    Raises:
        DataError: There is nothing to fit them on.
    """
    with answers.offline():
        fused = fit_validation_fused(answers.validation_predictions, answers.config, parts)
    if isinstance(fused, Infeasible):
        raise DataError(f"no fused score: {fused.reason}")
    return answers.scored_by(fused)


def fit_validation_fused(
    predictions: Sequence[Prediction], config: RunConfig, parts: Collection[Part] = tuple(Part)
) -> FusedScore | Infeasible:
    """Fit the score on answers to validation questions, of which no part has learned.

    Args:
        predictions: To the validation split.
        config: Of the run.
        parts: To choose from; those that the run does not compute are left out, and so is the verdict where the score
            has to rank beams, of which all but the likeliest have none.
    """
    evidence = [own.scored.evidence for own in predictions]
    missing = {Part.STATES} if any(own.states is None for own in evidence) else set()
    if config.score.candidates > 1 or any(own.log_self_eval is None for own in evidence):
        missing.add(Part.VERDICT)
    return fit_fused(
        evidence,
        [bool(own.correct) for own in predictions],
        [own.question.cluster for own in predictions],
        [part for part in parts if part not in missing],
        seed=config.seed,
    )
