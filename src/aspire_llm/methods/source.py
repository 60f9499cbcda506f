"""The model behind a set of answers: what methods that run it need."""

import time
from collections.abc import Sequence

from aspire_llm.config import RunConfig
from aspire_llm.lm.answer_features import AnswerFeatures, answer_features, spread_layers
from aspire_llm.lm.batching import by_length
from aspire_llm.lm.decoding.sampling import sample_answers
from aspire_llm.lm.tokenization import EncodedPrompt
from aspire_llm.records import DrawnAnswer, LabelledAnswer, Question, Split
from aspire_llm.results.samples import DrawnAnswers
from aspire_llm.run_model import RunModel
from aspire_llm.stages.stage3_self_evaluation import VerdictExample


class ModelSource:
    """A model and the questions that it answered.

    Args:
        run: The model of a run.
        prompts: The questions.
        tuned: Whether the tuned model answered them, or the one before tuning.
    """

    def __init__(self, run: RunModel, prompts: Sequence[EncodedPrompt], *, tuned: bool = True) -> None:
        self._run, self.prompts = run, prompts
        self.model = run.model if tuned else run.untuned
        self.encoder, self.verdict_tokens = run.encoder, run.verdict_tokens

    def examples(self, split: Split) -> list[VerdictExample]:
        """What stage 3 learned from (training split), or was validated on."""
        return self._run.examples(split)

    def sampled(self, split: Split) -> list[tuple[Question, tuple[LabelledAnswer, ...]]]:
        """Stage 2's answers to the training or validation split, likeliest first."""
        return self._run.sampled(split)

    def features(
        self, prompts: Sequence[EncodedPrompt], answers: Sequence[Sequence[tuple[int, ...]]]
    ) -> list[list[AnswerFeatures]]:
        """What the model shows while it reads the answers to some questions, in one batch."""
        return answer_features(self.model, prompts, answers, spread_layers(self.model.backbone.num_layers))

    def draw(self, places: Sequence[int], config: RunConfig) -> list[DrawnAnswers]:
        """Draw answers to the questions at these places, in batches of like length.

        Args:
            places: Indices of `prompts`.
            config: Says how many answers, and how they are drawn.
        """
        part = [self.prompts[place] for place in places]

        def draw(indices: Sequence[int]) -> list[DrawnAnswers]:
            started = time.perf_counter()
            batch = [part[i] for i in indices]
            decoded = sample_answers(
                self.model,
                batch,
                num_samples=config.rivals.num_samples,
                max_new_tokens=config.stage2.max_new_tokens,
                temperature=config.rivals.temperature,
                seed=config.seed,
            )
            samples = [
                tuple(DrawnAnswer(self.encoder.decode(h.answer_ids), h.answer_ids, h.token_log_probs) for h in own)
                for own in decoded.hypotheses
            ]
            seconds = (time.perf_counter() - started) / len(batch)
            return [DrawnAnswers(prompt.question.id, seconds, own) for prompt, own in zip(batch, samples, strict=True)]

        return by_length([len(prompt.token_ids) for prompt in part], config.stage2.batch_size, draw)
