"""From an answer and its verdict to a prediction: selection score, confidence, and whether the answer is given.

It takes no model, so other settings of the score decide stored answers anew in no time.
"""

from dataclasses import dataclass, replace

from aspire_llm.records import LabelledAnswer, Prediction, Question, SampledAnswer, ScoredAnswer, UntunedAnswer
from aspire_llm.selection.confidence import Calibration
from aspire_llm.selection.score import selection_score


@dataclass(frozen=True, slots=True)
class DecisionRule:
    """What decides about an answer.

    Attributes:
        alpha: Weight of the self-evaluation in the selection score.
        abstain_below: Answers of lower confidence are withheld.
        eval_threshold: Rouge-L F above which (strictly) an answer is correct.
        calibration: Score to confidence; None where there is none, and then nothing is withheld.
    """

    alpha: float
    abstain_below: float
    eval_threshold: float
    calibration: Calibration | None = None

    def decide(
        self, question: Question, answer: SampledAnswer, self_eval: float, log_self_eval: float, rouge_l: float | None
    ) -> Prediction:
        """The prediction for a question.

        Args:
            question: What was asked.
            answer: The likeliest answer.
            self_eval: P(z_c), 0 to 1.
            log_self_eval: log P(z_c), in nats.
            rouge_l: Best Rouge-L F over the references, or None where no reference is known.
        """
        score = selection_score(answer.log_likelihood, log_self_eval, self.alpha)
        if self.calibration is None:
            confidence, abstained, why = None, False, "no calibration: nothing is withheld"
        else:
            confidence = self.calibration.confidence(score)
            abstained = confidence < self.abstain_below
            why = f"confidence {confidence:.2f} is {'below' if abstained else 'at least'} {self.abstain_below:.2f}"
        scored = ScoredAnswer(answer, self_eval, log_self_eval, score)
        correct = None if rouge_l is None else rouge_l > self.eval_threshold
        return Prediction(question, scored, confidence, abstained, why, rouge_l, correct)

    def decide_again(self, prediction: Prediction) -> Prediction:
        """The same answer under this rule."""
        scored = prediction.scored
        return self.decide(
            prediction.question, scored.answer, scored.self_eval, scored.log_self_eval, prediction.rouge_l
        )

    def judge_again(self, untuned: UntunedAnswer) -> UntunedAnswer:
        """The untuned model's answer at this rule's threshold."""
        return replace(untuned, labelled=relabelled(untuned.labelled, self.eval_threshold))


def relabelled(labelled: LabelledAnswer, threshold: float) -> LabelledAnswer:
    """An answer held against another threshold of Rouge-L F."""
    return replace(labelled, correct=labelled.rouge_l > threshold)
