"""From an answer and its verdict to a prediction: selection score, confidence, and whether the answer is given.

It takes no model, so other settings of the score decide stored answers anew in no time.
"""

from dataclasses import dataclass, replace

from aspire_llm.correctness import Measure, is_correct, is_same_answer, rouge_l_of
from aspire_llm.records import (
    Evidence,
    LabelledAnswer,
    Mark,
    PassedOver,
    Prediction,
    Question,
    Reason,
    ScoredAnswer,
    UntunedAnswer,
)
from aspire_llm.selection.confidence import Calibration, UniformCalibration
from aspire_llm.selection.guarantee import Guarantee
from aspire_llm.selection.outcomes import Infeasible
from aspire_llm.selection.reranking import reranked
from aspire_llm.selection.risk_control import Uncertified
from aspire_llm.selection.risk_tests import RiskTarget
from aspire_llm.selection.score import Scoring
from aspire_llm.selection.slices import SlicedGuarantee


@dataclass(frozen=True, slots=True)
class DecisionRule:
    """What decides about an answer.

    Attributes:
        scoring: The selection score.
        abstain_below: Answers of lower confidence are withheld.
        eval_threshold: Agreement with the references above which (strictly) an answer is correct.
        calibration: Score to confidence. Where there is none, no answer is withheld for its confidence; where every
            calibration answer was wrong, every answer is.
        novelty_level: Answers to questions of a lower novelty p-value are withheld; at 0 none is.
        lacking: Why the score is not the one that was asked for, as a clause; empty where it is.
        guarantee: Its threshold takes the place of `abstain_below`; where it certifies none, answers are withheld.
        measure: Of the agreement.
        candidates: How many of the likeliest beams may be the answer; it is the one that the score ranks first, and all
            else is about that one.
    """

    scoring: Scoring
    abstain_below: float
    eval_threshold: float
    calibration: Calibration | Infeasible
    novelty_level: float = 0.0
    lacking: str = ""
    guarantee: Guarantee | SlicedGuarantee | None = None
    measure: Measure = Measure.ROUGE_L
    candidates: int = 1

    @property
    def caveats(self) -> tuple[str, ...]:
        """What a user must know of all decisions, as clauses."""
        found = [self.lacking] if self.lacking else []
        match self.calibration:
            case Infeasible(reason=reason):
                found.append(f"no calibration ({reason}): nothing can be vouched for, and confidence is null")
            case UniformCalibration(num_items=count, right=False):
                found.append(f"all {count} calibration answers are wrong: every answer is withheld")
        if self.guarantee and self.guarantee.caveat:
            found.append(self.guarantee.caveat)
        return tuple(found)

    def decide(
        self,
        question: Question,
        evidence: Evidence,
        rouge_l: float | None,
        *,
        novelty: float | None = None,
        mark: Mark | None = None,
    ) -> Prediction:
        """The prediction for a question.

        Args:
            question: What was asked.
            evidence: The likeliest answer, and what is known of it.
            rouge_l: Its best Rouge-L F over the references, or None where no reference is known.
            novelty: p-value of the question among the calibration questions, or None where it is not known.
            mark: What a person said of an answer to the question, if anything.
        """
        passed_over, chosen = None, reranked(evidence, self.scoring, self.candidates)
        if chosen is not evidence:
            correct = self._is_correct(question, evidence.answer.text, rouge_l, mark)
            passed_over = PassedOver(ScoredAnswer(evidence, self.scoring.score(evidence)), rouge_l, correct)
            rouge_l = None if rouge_l is None else rouge_l_of(chosen.answer.text, question)
        score = self.scoring.score(chosen)
        confidence = None if isinstance(self.calibration, Infeasible) else self.calibration.confidence(score)
        reason, why = self._reason(question, score, confidence, novelty)
        return Prediction(
            question,
            ScoredAnswer(chosen, score),
            confidence,
            abstained=reason not in (Reason.SURE_ENOUGH, Reason.NO_CALIBRATION),
            why=why,
            reason=reason,
            rouge_l=rouge_l,
            correct=self._is_correct(question, chosen.answer.text, rouge_l, mark),
            mark=mark,
            novelty=novelty,
            target_risk=self.guarantee.target.risk if self.guarantee else None,
            passed_over=passed_over,
        )

    def _is_correct(self, question: Question, answer: str, rouge_l: float | None, mark: Mark | None) -> bool | None:
        """What is said of this very answer, else what the references say, else None."""
        if mark is not None and is_same_answer(answer, mark.answer):
            return mark.correct
        if rouge_l is None:
            return None
        return is_correct(answer, question, rouge_l, self.eval_threshold, self.measure)

    def _reason(
        self, question: Question, score: float, confidence: float | None, novelty: float | None
    ) -> tuple[Reason, str]:
        """Why an answer is given or withheld, for programs and in words."""
        if isinstance(self.calibration, UniformCalibration) and not self.calibration.right:
            count = self.calibration.num_items
            return Reason.NOTHING_RIGHT, f"all {count} calibration answers are wrong: nothing can be vouched for"
        if novelty is not None and novelty < self.novelty_level:
            return (
                Reason.NOVEL_QUESTION,
                f"the question is unlike the calibration questions (p = {novelty:.4f} < {self.novelty_level:g})",
            )
        if self.guarantee:
            own = self.guarantee.of(question)
            return _uncovered(self.guarantee.target) if own is None else _held_against(own, score)
        if confidence is None:
            return Reason.NO_CALIBRATION, "no calibration: nothing can be vouched for"
        below = confidence < self.abstain_below
        return (
            Reason.BELOW_THRESHOLD if below else Reason.SURE_ENOUGH,
            f"confidence {confidence:.2f} is {'below' if below else 'at least'} {self.abstain_below:.2f}",
        )

    def decide_again(self, prediction: Prediction) -> Prediction:
        """The same question and beams under this rule."""
        own = prediction.likeliest
        decided = self.decide(own.question, own.scored.evidence, own.rouge_l, novelty=own.novelty, mark=own.mark)
        return replace(decided, context_cut=own.context_cut, abstention=own.abstention)

    def marked(self, prediction: Prediction, mark: Mark | None) -> Prediction:
        """The same as `decide_again`, with what a person said of an answer to the question."""
        return self.decide_again(replace(prediction, mark=mark))

    def judge_again(self, untuned: UntunedAnswer) -> UntunedAnswer:
        """The untuned model's answer at this rule's threshold."""
        return replace(
            untuned, labelled=relabelled(untuned.labelled, untuned.question, self.eval_threshold, self.measure)
        )


def relabelled(labelled: LabelledAnswer, question: Question, threshold: float, measure: Measure) -> LabelledAnswer:
    """An answer to a question by another threshold or another measure."""
    correct = is_correct(labelled.answer.text, question, labelled.rouge_l, threshold, measure)
    return replace(labelled, correct=correct)


def _uncovered(target: RiskTarget) -> tuple[Reason, str]:
    """What is said of a question that no calibration question is like in the field of a target."""
    return Reason.NOT_CERTIFIED, f"nothing is certified for its {target.per}: no calibration question has the same"


def _held_against(guarantee: Guarantee, score: float) -> tuple[Reason, str]:
    """What a certified threshold says of a score."""
    outcome, risk = guarantee.outcome, f"{100 * guarantee.target.risk:g}%"
    if isinstance(outcome, Uncertified):
        return Reason.NOT_CERTIFIED, f"no threshold is certified to let at most {risk} wrong answers through"
    below = score < outcome.threshold
    compared = f"score {score:.3f} is {'below' if below else 'at least'} {outcome.threshold:.3f}"
    return (
        Reason.BELOW_THRESHOLD if below else Reason.SURE_ENOUGH,
        f"{compared}, which is certified for at most {risk} wrong answers",
    )
