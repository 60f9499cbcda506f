"""Self-evaluation by prompt: is the possible answer true? (Kadavath et al., 2022, §3.1)"""

from aspire_llm.methods.answer_set import AnswerSet
from aspire_llm.methods.asking import log_p_true


def score(answers: AnswerSet) -> list[float]:
    """log P(True) of the answer alone."""
    return log_p_true(answers, "self-evaluation by prompt")
