"""Stage 3: learn θs, to say after (question, answer) whether the answer is right (paper §4.3).

θ and θp are frozen, and θs stands after the answer, so no prediction can change.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from aspire_llm.config import SelfEvaluationConfig
from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.self_evaluation import AnswerReader
from aspire_llm.lm.tokenization import EncodedPrompt, Encoder
from aspire_llm.records import LabelledAnswer, Question


@dataclass(frozen=True, slots=True)
class VerdictExample:
    """A prompt with the answers that θs learns to call right (S_c) and wrong (S_w), as token ids without terminator."""

    prompt: EncodedPrompt
    correct: tuple[tuple[int, ...], ...]
    wrong: tuple[tuple[int, ...], ...]


def select_answers(
    question: Question, answers: Sequence[LabelledAnswer], *, max_correct: int, max_wrong: int
) -> tuple[list[LabelledAnswer], list[LabelledAnswer]]:
    """The sampled members of S_c and S_w; equal texts count once.

    Args:
        question: Its first reference is in S_c by right, so a sampled answer of the same text is not taken again.
        answers: Labelled samples, likeliest first.
        max_correct: k_c.
        max_wrong: k_w.
    """
    seen = {question.references[0]} if question.references else set()
    correct: list[LabelledAnswer] = []
    wrong: list[LabelledAnswer] = []
    for answer in answers:
        chosen, most = (correct, max_correct) if answer.correct else (wrong, max_wrong)
        if answer.answer.text not in seen and len(chosen) < most:
            seen.add(answer.answer.text)
            chosen.append(answer)
    return correct, wrong


def verdict_examples(
    prompts: Sequence[EncodedPrompt],
    samples: Mapping[str, Sequence[LabelledAnswer]],
    encoder: Encoder,
    config: SelfEvaluationConfig,
) -> list[VerdictExample]:
    """S_c = the reference and the k_c likeliest correct samples; S_w = the k_w likeliest wrong ones.

    Where no sample is wrong, the empty answer is. An unanswerable question has no S_c. With `learn_from: likeliest`, a
    question's only answer is its likeliest sample, in S_c or in S_w.

    No sequence of tokens stands in both sets: a reference that had to be cut to the longest answer says what the same
    tokens would say as a sample, so it is left out where they were sampled and labelled wrong.

    Args:
        prompts: The questions.
        samples: By question id, likeliest first.
        encoder: Of the model.
        config: Which samples, and how many.
    """
    examples = []
    for prompt in prompts:
        question = prompt.question
        if config.learn_from == "likeliest":
            first = samples[question.id][0]
            own = (first.answer.token_ids,)
            examples.append(VerdictExample(prompt, *((own, ()) if first.correct else ((), own))))
            continue
        correct, wrong = select_answers(
            question, samples[question.id], max_correct=config.max_correct, max_wrong=config.max_wrong
        )
        references = [encoder.shortened(encoder.answer(prompt, r)) for r in question.references[:1]]
        called_wrong = {(), *(own.answer.token_ids for own in samples[question.id] if not own.correct)}
        called_right = references + [own.answer.token_ids for own in correct]
        examples.append(
            VerdictExample(
                prompt,
                correct=tuple(ids for ids in dict.fromkeys(called_right) if ids not in called_wrong),
                wrong=tuple(own.answer.token_ids for own in wrong) or ((),),
            )
        )
    return examples


def verdict_loss(
    model: AdaptedModel,
    verdict_tokens: tuple[int, int],
    batch: Sequence[VerdictExample],
    *,
    read: AnswerReader = AdaptedModel.read_answers,
) -> Float[Tensor, " batch"]:
    """mean_{S_c} −log f(z_c | ·) + mean_{S_w} −log f(z_w | ·) of every question, over the whole vocabulary.

    The prefix `[θp] [x] [ŷ]` is read once without gradient; only the rows of θs are differentiated. `read` reads it,
    or remembers it.
    """
    answers = [example.correct + example.wrong for example in batch]
    cache, branches = read(model, [example.prompt for example in batch], answers)
    log_probs = torch.log_softmax(model.verdict_logits(cache, branches), dim=-1)  # [B, n, V]
    losses = []
    for own, example in zip(log_probs, batch, strict=True):
        split, end = len(example.correct), len(example.correct) + len(example.wrong)
        sets = zip((own[:split], own[split:end]), verdict_tokens, strict=True)
        losses.append(sum(-rows[:, verdict].mean() for rows, verdict in sets if len(rows)))
    return torch.stack(losses)
