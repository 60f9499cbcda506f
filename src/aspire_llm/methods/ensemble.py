"""A regression on all that comes with a prediction, fitted on the validation split (beyond the paper)."""

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from aspire_llm.methods.answer_set import AnswerSet
from aspire_llm.methods.aspire_alpha import both_kinds
from aspire_llm.records import Prediction
from aspire_llm.selection import AspireScore


def score(answers: AnswerSet) -> list[float]:
    """Log-odds of a correct answer."""
    predictions = answers.validation_predictions
    correct = both_kinds(predictions)
    regression = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    regression.fit([cheap_scores(own) for own in predictions], correct)
    logits: list[float] = regression.decision_function([cheap_scores(own) for own in answers.predictions]).tolist()
    return logits


def cheap_scores(prediction: Prediction) -> list[float]:
    """Mean and summed log-likelihood, length, log P(z_c)."""
    answer = prediction.sampled
    return [
        answer.log_likelihood,
        answer.sequence_log_probability,
        answer.num_tokens,
        AspireScore(alpha=1.0).score(prediction.scored.evidence),
    ]
