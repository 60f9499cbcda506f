"""SelectivePredictor: a question in, an answer or an abstention out."""

import time
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from aspire_llm.config import RunConfig
from aspire_llm.correctness import label
from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.adapters import SELF_EVALUATION, TASK, load_adapter, num_soft_tokens
from aspire_llm.lm.batching import by_length
from aspire_llm.lm.cache.expanded import check_readable
from aspire_llm.lm.decoding.beam_search import beam_search
from aspire_llm.lm.decoding.hypotheses import Decoded
from aspire_llm.lm.loading import load_backbone
from aspire_llm.lm.model import Backbone
from aspire_llm.lm.model_files import check_model
from aspire_llm.lm.self_evaluation import evaluate_decoded
from aspire_llm.lm.tokenization import EncodedPrompt, Encoder
from aspire_llm.records import Prediction, Question, SampledAnswer
from aspire_llm.results.calibration import CALIBRATION, decision_rule
from aspire_llm.results.questions import EXAMPLES
from aspire_llm.rundir.directory import RunDirectory
from aspire_llm.selection import Calibration, Infeasible


class SelectivePredictor:
    """Answers questions with the likeliest answer and its selection score, and withholds what it is not sure of.

    Several threads may use one predictor: they are answered one after the other.

    Args:
        model: θ + θp + θs.
        encoder: Tokenizes for that model.
        config: Of the run that trained it.
        calibration: Score to confidence; where there is none, nothing is withheld.

    Attributes:
        seconds: Spent so far on answering and on self-evaluation of `num_questions` questions.
    """

    def __init__(
        self,
        model: AdaptedModel,
        encoder: Encoder,
        config: RunConfig,
        calibration: Calibration | Infeasible | None = None,
    ) -> None:
        self.model, self.encoder, self._config = model, encoder, config
        self.rule = decision_rule(config, calibration)
        self.seconds = {"answer": 0.0, "self_evaluation": 0.0}
        self.num_questions = 0
        self.verdict_tokens = encoder.verdict_tokens(config.stage3.verdict_words)

    @classmethod
    def load(cls, run: str | Path, *, device: str | None = None) -> "SelectivePredictor":
        """The predictor of a finished run.

        Args:
            run: Its directory.
            device: Another device than the run was made on.

        Raises:
            RunDirectoryError: There is no run, it was not finished, or its model has changed.
            ModelError: Its model cannot be loaded.
        """
        directory = RunDirectory.open(Path(run))
        config = directory.config
        check_model(directory.path, config.model)
        backbone = load_model(config, device)
        model = AdaptedModel(
            backbone,
            load_adapter(backbone, TASK, directory.path / "task_adapter"),
            load_adapter(backbone, SELF_EVALUATION, directory.path / "self_eval_adapter"),
        )
        encoder = new_encoder(backbone, config, EXAMPLES.read(directory.path))
        return cls(model, encoder, config, CALIBRATION.read(directory.path))

    def predict(self, questions: Sequence[str | Question]) -> list[Prediction]:
        """Answer questions in order; what falls below `score.abstain_below` in confidence is withheld.

        Args:
            questions: Texts, or `Question` records where there is context, history or references to score against.

        Raises:
            ModelError: A prompt does not fit the model's window.
        """
        asked = [Question(str(i), own) if isinstance(own, str) else own for i, own in enumerate(questions)]
        with self.model.backbone.lock:
            return self.predict_prompts([self.encoder.prompt(question) for question in asked])

    def predict_prompts(self, prompts: Sequence[EncodedPrompt]) -> list[Prediction]:
        """Answer questions that are encoded already, in their order; otherwise as `predict`."""
        with self.model.backbone.lock:
            found = by_length(
                [len(prompt.token_ids) for prompt in prompts],
                self._config.stage2.batch_size,
                lambda indices: self._answer_batch([prompts[i] for i in indices]),
            )
        return [
            self.rule.decide(
                prompt.question, answer, float(verdict.exp()), float(verdict), self._rouge_l(prompt.question, answer)
            )
            for prompt, (answer, verdict) in zip(prompts, found, strict=True)
        ]

    def _answer_batch(self, prompts: Sequence[EncodedPrompt]) -> list[tuple[SampledAnswer, Tensor]]:
        """ŷ* of each question with log P(z_c), all in one batch."""
        started = time.perf_counter()
        decoded = decode_likeliest(self.model, prompts, self._config)
        chosen = [hypotheses[0] for hypotheses in decoded.hypotheses]
        answered = time.perf_counter()
        verdicts = evaluate_decoded(self.model, decoded, chosen, self.verdict_tokens).cpu()
        self.num_questions += len(prompts)
        self.seconds["answer"] += answered - started
        self.seconds["self_evaluation"] += time.perf_counter() - answered
        return [(self.encoder.sampled_answer(own), verdict) for own, verdict in zip(chosen, verdicts, strict=True)]

    def _rouge_l(self, question: Question, answer: SampledAnswer) -> float | None:
        if not question.references and question.answerable:
            return None
        return label(answer, question, self.rule.eval_threshold).rouge_l


def load_model(config: RunConfig, device: str | None = None) -> Backbone:
    """The frozen model of a configuration."""
    backbone = load_backbone(config.model, device=device or config.device, dtype=config.dtype, speed=config.speed)
    check_readable(backbone)
    return backbone


def new_encoder(backbone: Backbone, config: RunConfig, examples: Sequence[Question]) -> Encoder:
    """The encoder of a run: prompts leave room for both adapters and the longest answer."""
    return Encoder(
        backbone,
        max_answer_tokens=config.stage2.max_new_tokens,
        soft_tokens=sum(num_soft_tokens(backbone, config.stage1, config.stage3)),
        examples=examples,
    )


def decode_likeliest(model: AdaptedModel, prompts: Sequence[EncodedPrompt], config: RunConfig) -> Decoded:
    """Beam search as predictions use it; the first hypothesis of a question is ŷ*."""
    return beam_search(
        model,
        prompts,
        num_beams=config.stage2.num_beams,
        max_new_tokens=config.stage2.max_new_tokens,
        length_penalty=config.stage2.length_penalty,
    )
