"""Stage 1: learn θp, the task, from (question, reference) pairs (paper §4.1)."""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from aspire_llm.errors import DataError
from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.likelihood import answer_log_probs, mean_per_answer
from aspire_llm.lm.tokenization import EncodedPrompt, Encoder


@dataclass(frozen=True, slots=True)
class TaskExample:
    """A prompt and the tokens of its first reference, terminator included."""

    prompt: EncodedPrompt
    target: tuple[int, ...]


def task_examples(prompts: Sequence[EncodedPrompt], encoder: Encoder, eos_token_id: int) -> list[TaskExample]:
    """What θp learns from: the first reference of every answerable question.

    Args:
        prompts: The questions.
        encoder: Of the model.
        eos_token_id: The terminator.

    Raises:
        DataError: No question has a reference.
    """
    examples = []
    for prompt in prompts:
        if prompt.question.references:
            target = (*encoder.answer(prompt, prompt.question.references[0]), eos_token_id)
            examples.append(TaskExample(prompt, encoder.shortened(target)))
    if not examples:
        raise DataError(f"none of {len(prompts)} training questions has a reference answer; stage 1 needs some")
    return examples


def task_loss(model: AdaptedModel, batch: Sequence[TaskExample]) -> Float[Tensor, " batch"]:
    """−(1/|y|) Σ_j log f(y_j | [θp; x; y_<j]) of every question, in nats."""
    log_probs, questions = answer_log_probs(
        model, [example.prompt for example in batch], [example.target for example in batch]
    )
    return -mean_per_answer(log_probs, questions, len(batch))
