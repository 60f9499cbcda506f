"""Another model's θs judges these answers: a control for the "self" in self-evaluation."""

from collections.abc import Sequence

import torch

from aspire_llm.lm.self_evaluation import log_self_evaluation
from aspire_llm.methods.answer_set import AnswerSet
from aspire_llm.methods.method import Method, Needs
from aspire_llm.predictor import SelectivePredictor


def _score(answers: AnswerSet) -> list[float]:
    assert answers.config.rivals.judge is not None
    with answers.offline():
        judge = SelectivePredictor.load(answers.config.rivals.judge)
    prompts = [judge.encoder.prompt(question) for question in answers.questions]
    # The answer as text: the other model has tokens of its own.
    token_ids = [
        judge.encoder.shortened(judge.encoder.answer(prompt, line["answer"]))
        for prompt, line in zip(prompts, answers.lines, strict=True)
    ]

    @torch.no_grad()
    def compute(indices: Sequence[int]) -> list[float]:
        cache, branches = judge.model.read_answers([prompts[i] for i in indices], [[token_ids[i]] for i in indices])
        verdicts = log_self_evaluation(judge.model.verdict_logits(cache, branches), judge.verdict_tokens)
        scores: list[float] = verdicts[:, 0].tolist()
        return scores

    return answers.in_batches("another model's verdict", [len(prompt.token_ids) for prompt in prompts], compute)


CROSS_MODEL = Method("cross_model", "control", _score, Needs.MODEL, setting="rivals.judge")
