"""One way to ask for answers: the decoder that the configuration names."""

from collections.abc import Sequence

from aspire_llm.config import SamplingConfig
from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.decoding.beam_search import beam_search
from aspire_llm.lm.decoding.hypotheses import Decoded
from aspire_llm.lm.decoding.sampling import sample_answers
from aspire_llm.lm.tokenization import EncodedPrompt


def decode(model: AdaptedModel, prompts: Sequence[EncodedPrompt], config: SamplingConfig, *, seed: int) -> Decoded:
    """Decode `config.num_beams` answers per question with `config.decoder`; `seed` matters to sampling alone."""
    if config.decoder == "sample":
        return sample_answers(
            model,
            prompts,
            num_samples=config.num_beams,
            max_new_tokens=config.max_new_tokens,
            temperature=config.temperature,
            seed=seed,
        )
    return beam_search(
        model,
        prompts,
        num_beams=config.num_beams,
        max_new_tokens=config.max_new_tokens,
        length_penalty=config.length_penalty,
    )
