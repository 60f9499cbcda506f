"""Stage 2: likely answers of the tuned model to its own training questions, labelled by Rouge-L (paper §4.2)."""

import zlib
from collections.abc import Sequence

from aspire_llm.config import CorrectnessConfig, SamplingConfig
from aspire_llm.correctness import label
from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.batching import by_length
from aspire_llm.lm.decoding.decode import decode
from aspire_llm.lm.tokenization import Encoder
from aspire_llm.records import LabelledAnswer, Question


def sample_answers(
    model: AdaptedModel,
    encoder: Encoder,
    questions: Sequence[Question],
    sampling: SamplingConfig,
    correctness: CorrectnessConfig,
    *,
    seed: int,
) -> list[list[LabelledAnswer]]:
    """The k answers of every question, likeliest first, labelled against all its references.

    The result of a question depends on the questions beside it by rounding alone, and for sampled (not searched)
    answers by the draws.
    """

    prompts = [encoder.prompt(question) for question in questions]

    def decode_batch(indices: Sequence[int]) -> list[list[LabelledAnswer]]:
        batch = [questions[i] for i in indices]
        # Draws follow from the seed and the questions, so that a resumed run draws what an uninterrupted one does.
        draws = zlib.crc32(f"{seed} {' '.join(question.id for question in batch)}".encode())
        decoded = decode(model, [prompts[i] for i in indices], sampling, seed=draws)
        return [
            [label(encoder.sampled_answer(h), question, correctness.train_threshold) for h in hypotheses]
            for question, hypotheses in zip(batch, decoded.hypotheses, strict=True)
        ]

    return by_length([len(prompt.token_ids) for prompt in prompts], sampling.batch_size, decode_batch)
