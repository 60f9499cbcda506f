"""SelectivePredictor: a question in, an answer or an abstention out."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from aspire_llm.config import RunConfig
from aspire_llm.correctness import label
from aspire_llm.demo import MODEL_DIR
from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.adapters import SELF_EVALUATION, TASK, load_adapter, num_soft_tokens
from aspire_llm.lm.batching import by_length
from aspire_llm.lm.cache.expanded import check_readable
from aspire_llm.lm.decoding.beam_search import beam_search
from aspire_llm.lm.decoding.hypotheses import Decoded
from aspire_llm.lm.model import Backbone, load_backbone
from aspire_llm.lm.self_evaluation import evaluate_decoded
from aspire_llm.lm.tokenization import Encoder
from aspire_llm.records import Prediction, Question, SampledAnswer, ScoredAnswer
from aspire_llm.rundir.directory import RunDirectory
from aspire_llm.selection import Calibration, selection_score

EXAMPLES = "few_shot.json"  # of a run directory: the questions that stand before every question


class SelectivePredictor:
    """Answers questions with the likeliest answer and its selection score, and withholds what it is not sure of.

    Args:
        model: θ + θp + θs.
        encoder: Tokenizes for that model.
        config: Of the run that trained it.
        calibration: Score to confidence; None where the run has none, and then nothing is withheld.

    Attributes:
        seconds: Spent so far on answering and on self-evaluation of `num_questions` questions.
    """

    def __init__(
        self, model: AdaptedModel, encoder: Encoder, config: RunConfig, calibration: Calibration | None = None
    ) -> None:
        self.model, self.encoder, self._config = model, encoder, config
        self._calibration = calibration
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
            RunDirectoryError: There is no run, or it was not finished.
            ModelError: Its model cannot be loaded.
        """
        directory = RunDirectory.open(Path(run))
        config = directory.config
        backbone = load_model(config, device)
        model = AdaptedModel(
            backbone,
            load_adapter(backbone, TASK, directory.path / "task_adapter"),
            load_adapter(backbone, SELF_EVALUATION, directory.path / "self_eval_adapter"),
        )
        content = directory.read_json("calibration.json")
        calibration = Calibration.from_json(content) if content.get("method") else None
        examples = [_question(content) for content in directory.read_json(EXAMPLES)]
        return cls(model, new_encoder(backbone, config, examples), config, calibration)

    def predict(self, questions: Sequence[str | Question]) -> list[Prediction]:
        """Answer questions in order; what falls below `score.abstain_below` in confidence is withheld.

        Args:
            questions: Texts, or `Question` records where there is context, history or references to score against.

        Raises:
            ModelError: A prompt does not fit the model's window.
        """
        records = [
            Question(str(i), question) if isinstance(question, str) else question
            for i, question in enumerate(questions)
        ]
        lengths = [len(self.encoder.prompt(record).token_ids) for record in records]

        def score(indices: Sequence[int]) -> list[ScoredAnswer]:
            return self.score([records[i] for i in indices])

        scored = by_length(lengths, self._config.stage2.batch_size, score)
        return [self._decide(question, answer) for question, answer in zip(records, scored, strict=True)]

    def score(self, questions: Sequence[Question]) -> list[ScoredAnswer]:
        """The likeliest answer of each question with its scores, all in one batch."""
        started = time.perf_counter()
        decoded = decode_likeliest(self.model, self.encoder, questions, self._config)
        chosen = [hypotheses[0] for hypotheses in decoded.hypotheses]
        answered = time.perf_counter()
        verdicts = evaluate_decoded(self.model, decoded, chosen, self.verdict_tokens).tolist()
        self.num_questions += len(questions)
        self.seconds["answer"] += answered - started
        self.seconds["self_evaluation"] += time.perf_counter() - answered
        scored = []
        for hypothesis, log_self_eval in zip(chosen, verdicts, strict=True):
            answer = self.encoder.sampled_answer(hypothesis)
            score = selection_score(answer.log_likelihood, log_self_eval, self._config.score.alpha)
            self_eval = float(torch.tensor(log_self_eval).exp())
            scored.append(ScoredAnswer(answer, self_eval, log_self_eval, score))
        return scored

    def _decide(self, question: Question, scored: ScoredAnswer) -> Prediction:
        rouge_l = correct = None
        if question.references or not question.answerable:
            labelled = label(scored.answer, question, self._config.correctness.eval_threshold)
            rouge_l, correct = labelled.rouge_l, labelled.correct
        if self._calibration is None:
            confidence, abstained, why = None, False, "no calibration: nothing is withheld"
        else:
            confidence = self._calibration.confidence(scored.selection_score)
            threshold = self._config.score.abstain_below
            abstained = confidence < threshold
            why = f"confidence {confidence:.2f} is {'below' if abstained else 'at least'} {threshold:.2f}"
        return Prediction(question, scored, confidence, abstained, why, rouge_l, correct)


def load_model(config: RunConfig, device: str | None = None) -> Backbone:
    """The frozen model of a configuration; ``demo`` is the embedded one."""
    source = MODEL_DIR if config.model == "demo" else config.model
    backbone = load_backbone(source, device=device or config.device, dtype=config.dtype, speed=config.speed)
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


def _question(content: Mapping[str, Any]) -> Question:
    """An example as the run stored it."""
    history = tuple((asked, answered) for asked, answered in content["history"])
    return Question(**{**content, "references": tuple(content["references"]), "history": history})


def decode_likeliest(
    model: AdaptedModel, encoder: Encoder, questions: Sequence[Question], config: RunConfig
) -> Decoded:
    """Beam search as predictions use it; the first hypothesis of a question is ŷ*."""
    return beam_search(
        model,
        [encoder.prompt(question) for question in questions],
        num_beams=config.stage2.num_beams,
        max_new_tokens=config.stage2.max_new_tokens,
        length_penalty=config.stage2.length_penalty,
    )


def likeliest_answers(
    model: AdaptedModel, encoder: Encoder, questions: Sequence[Question], config: RunConfig
) -> list[SampledAnswer]:
    """ŷ* of each question, all in one batch."""
    decoded = decode_likeliest(model, encoder, questions, config)
    return [encoder.sampled_answer(hypotheses[0]) for hypotheses in decoded.hypotheses]
