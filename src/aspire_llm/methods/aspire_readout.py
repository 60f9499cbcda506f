"""A linear probe on the last soft token's hidden state, in place of the verdict tokens (beyond the paper)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aspire_llm.lm.answer_features import verdict_states
from aspire_llm.lm.tokenization import EncodedPrompt
from aspire_llm.methods.answer_set import AnswerSet, Judged
from aspire_llm.methods.probes import fitted_probe
from aspire_llm.records import Split


def score(answers: AnswerSet) -> list[float]:
    """Log-odds of a correct answer, by the state of θs after it."""
    with answers.offline():
        sides = []
        for split in (Split.TRAIN, Split.VALIDATION):
            judged = Judged.of(answers.source.examples(split))
            sides.append((_states(answers, judged.prompts, judged.answers), judged))
        probe, _ = fitted_probe(sides[0], sides[1])
    states = _states(answers, answers.source.prompts, [[answer.token_ids] for answer in answers.sampled])
    logits: list[float] = probe.decision_function(states).tolist()
    return logits


def _states(
    answers: AnswerSet, prompts: Sequence[EncodedPrompt], token_ids: Sequence[Sequence[tuple[int, ...]]]
) -> NDArray[np.float64]:
    """States of all answers in order, `[sum of answers, d]`."""

    def compute(indices: Sequence[int]) -> list[NDArray[np.float64]]:
        own = [token_ids[i] for i in indices]
        states = verdict_states(answers.source.model, [prompts[i] for i in indices], own).double().cpu().numpy()
        return [row[: len(ids)] for row, ids in zip(states, own, strict=True)]

    return np.concatenate(answers.in_batches("read-out of θs", prompts, compute))
