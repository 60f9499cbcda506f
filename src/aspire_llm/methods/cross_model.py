"""Another model's θs judges these answers: a control for the "self" in self-evaluation."""

from collections.abc import Sequence

import torch

from aspire_llm.errors import ConfigError
from aspire_llm.lm.self_evaluation import log_self_evaluation
from aspire_llm.methods.answer_set import AnswerSet
from aspire_llm.predictor import SelectivePredictor
from aspire_llm.rundir.directory import RunDirectory


def score(answers: AnswerSet) -> list[float]:
    """log P(z_c) by the other model."""
    assert answers.config.rivals.judge is not None
    if not RunDirectory.open(answers.config.rivals.judge).config.stage3.enabled:
        raise ConfigError(
            f"rivals.judge {answers.config.rivals.judge} has no θs (stage3.enabled is off); name another run"
        )
    with answers.offline():
        judge = SelectivePredictor.load(answers.config.rivals.judge)
    prompts = [judge.encoder.prompt(question) for question in answers.questions]
    # The answer as text: the other model has tokens of its own.
    token_ids = [
        judge.encoder.shortened(judge.encoder.answer(prompt, answer.text))
        for prompt, answer in zip(prompts, answers.sampled, strict=True)
    ]

    @torch.no_grad()
    def compute(indices: Sequence[int]) -> list[float]:
        cache, branches = judge.model.read_answers([prompts[i] for i in indices], [[token_ids[i]] for i in indices])
        verdicts = log_self_evaluation(judge.model.verdict_logits(cache, branches), judge.verdict_tokens)
        scores: list[float] = verdicts[:, 0].tolist()
        return scores

    return answers.in_batches("another model's verdict", prompts, compute)
