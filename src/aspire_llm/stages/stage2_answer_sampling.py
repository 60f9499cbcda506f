"""Stage 2: likely answers of the tuned model to its own training questions, labelled by the references (paper §4.2)."""

from collections.abc import Sequence

from aspire_llm.config import CorrectnessConfig, SamplingConfig
from aspire_llm.correctness import label
from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.batching import by_length
from aspire_llm.lm.decoding.decode import decode
from aspire_llm.lm.tokenization import EncodedPrompt, Encoder
from aspire_llm.results.samples import QuestionSamples


def sample_answers(
    model: AdaptedModel,
    encoder: Encoder,
    prompts: Sequence[EncodedPrompt],
    sampling: SamplingConfig,
    correctness: CorrectnessConfig,
    *,
    seed: int,
) -> list[QuestionSamples]:
    """The k answers of every question, likeliest first, labelled against all its references.

    The result of a question depends on the questions beside it by rounding alone.

    Args:
        model: θ + θp.
        encoder: Of the model.
        prompts: The questions.
        sampling: How to decode.
        correctness: When an answer counts as correct.
        seed: Of the draws.
    """

    def decode_batch(indices: Sequence[int]) -> list[QuestionSamples]:
        batch = [prompts[i] for i in indices]
        decoded = decode(model, batch, sampling, seed=seed)
        return [
            QuestionSamples(
                prompt.question.id,
                tuple(
                    label(
                        encoder.sampled_answer(hypothesis),
                        prompt.question,
                        correctness.train_threshold,
                        correctness.measure,
                    )
                    for hypothesis in hypotheses
                ),
            )
            for prompt, hypotheses in zip(batch, decoded.hypotheses, strict=True)
        ]

    return by_length([len(prompt.token_ids) for prompt in prompts], sampling.batch_size, decode_batch)
