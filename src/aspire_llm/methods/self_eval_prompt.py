"""Self-evaluation by prompt: is the possible answer true? (Kadavath et al., 2022, §3.1)"""

from aspire_llm.methods.answer_set import AnswerSet
from aspire_llm.methods.asking import log_p_true
from aspire_llm.methods.method import Method, Needs


def _score(answers: AnswerSet) -> list[float]:
    return log_p_true(answers, "self-evaluation by prompt")


SELF_EVAL_PROMPT = Method("self_eval_prompt", "Kadavath et al., 2022", _score, Needs.MODEL, untuned=True)
