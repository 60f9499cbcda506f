"""P(True): is the possible answer true, given what else came to mind? (Kadavath et al., 2022, §3.2)"""

from aspire_llm.methods.answer_set import AnswerSet
from aspire_llm.methods.asking import asking_prompt, log_p_true
from aspire_llm.records import Split


def score(answers: AnswerSet) -> list[float]:
    """log P(True), with brainstormed ideas before the question."""
    with answers.offline():
        examples = _examples(answers)
    ideas = [[sample.text for sample in samples] for samples in answers.samples]
    return log_p_true(answers, "P(True)", ideas, examples)


def _examples(answers: AnswerSet) -> str:
    """The first `rivals.p_true_examples` training questions, each as a test question is asked: the likeliest answer
    with its label, among all answers of stage 2."""
    count = answers.config.rivals.p_true_examples
    text = ""
    for question, judged in answers.source.sampled(Split.TRAIN)[:count] if count else ():
        ideas = [labelled.answer.text for labelled in judged]
        text += asking_prompt(question, ideas[0], ideas, verdict=judged[0].correct)
    return text
