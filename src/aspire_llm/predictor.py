"""SelectivePredictor: a question in, an answer or an abstention out."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from aspire_llm.config import RunConfig
from aspire_llm.correctness import label
from aspire_llm.data import as_question
from aspire_llm.demo import find_run
from aspire_llm.errors import AspireError, DataError
from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.batching import by_length
from aspire_llm.lm.decoding.hypotheses import Decoded, Hypothesis
from aspire_llm.lm.model import Backbone
from aspire_llm.lm.model_files import check_model
from aspire_llm.lm.prompt_states import states_of
from aspire_llm.lm.read_states import Position, StateRecorder
from aspire_llm.lm.self_evaluation import evaluate_decoded
from aspire_llm.lm.tokenization import EncodedPrompt, Encoder
from aspire_llm.records import Evidence, Prediction, Question, SampledAnswer, Unanswered
from aspire_llm.results.calibration import caveats
from aspire_llm.results.fitted import Fitted
from aspire_llm.results.questions import EXAMPLES
from aspire_llm.results.states import StatesReadout
from aspire_llm.run_loading import decode_likeliest, load_adapted, load_model, new_encoder
from aspire_llm.rundir.directory import RunDirectory
from aspire_llm.selection import DecisionRule, Guarantee, NoveltyGuard, Part, SlicedGuarantee


@dataclass(frozen=True, slots=True)
class _Found:
    """What is known of ŷ* of a question, and the question's p-value among the calibration questions."""

    evidence: Evidence
    novelty: float | None


class SelectivePredictor:
    """Answers questions with the likeliest answer (or the best-scored of several, see `score.candidates`) and its
    selection score, and withholds what it is not sure of.

    Several threads may use one predictor: they are answered one after the other.

    Args:
        model: θ + θp + θs.
        encoder: Tokenizes for that model.
        config: Of the run that trained it.
        fitted: What decides, and what novel questions and the states of answers are judged by.
        everything: Whether all is computed that any method scores by, rather than what the run's own score needs.

    Attributes:
        caveats: What a user must know of all predictions of this run, in clauses: that there is no calibration, that
            everything is withheld, that novel questions are not noticed.
        seconds: Spent so far on answering and on self-evaluation of `num_questions` questions.
    """

    def __init__(
        self,
        model: AdaptedModel,
        encoder: Encoder,
        config: RunConfig,
        fitted: Fitted,
        *,
        everything: bool = False,
    ) -> None:
        self.model, self.encoder, self._config = model, encoder, config
        self.rule, self._fitted, self._novelty = fitted.rule, fitted, fitted.novelty
        self.caveats = caveats(self.rule, fitted.novelty)
        needs = frozenset(Part) if everything else self.rule.scoring.needs
        self._asks_verdict = Part.VERDICT in needs and config.stage3.enabled
        self._states = fitted.states if Part.STATES in needs and isinstance(fitted.states, StatesReadout) else None
        self.seconds = {"answer": 0.0, "self_evaluation": 0.0}
        self.num_questions = 0
        self.verdict_tokens = encoder.verdict_tokens(config.stage3.verdict_words)

    @classmethod
    def load(
        cls, run: str | Path, *, device: str | None = None, target_risk: float | None = None, per: str | None = None
    ) -> "SelectivePredictor":
        """The predictor of a finished run.

        Args:
            run: Its directory; ``demo`` is the one that ships with this package.
            device: Another device than the run was made on.
            target_risk: A share of wrong answers that was certified for this run: its threshold decides.
            per: The field of the questions' metadata per whose value it was certified, where it was.

        Raises:
            ConfigError: That target was not asked for, see `guarantee`.
            RunDirectoryError: There is no run, it was not finished, or its model has changed.
            ModelError: Its model cannot be loaded.
        """
        directory = RunDirectory.open(find_run(run))
        fitted = Fitted.read(directory.path, directory.config, target_risk, per)
        check_model(directory.path, directory.config)
        return cls._on(load_model(directory.config, device), directory, fitted)

    @classmethod
    def load_all(cls, runs: Sequence[str | Path], *, device: str | None = None) -> "list[SelectivePredictor]":
        """The predictors of several finished runs; those that read the same model in the same way share its weights.

        Args:
            runs: Their directories; ``demo`` is the one that ships with this package.
            device: Another device than the runs were made on.

        Raises:
            RunDirectoryError: As of `load`.
            ModelError: As of `load`.
        """
        backbones: dict[str, Backbone] = {}
        predictors = []
        for place, run in enumerate(runs):
            directory = RunDirectory.open(find_run(run))
            config = directory.config
            fitted = Fitted.read(directory.path, config)
            check_model(directory.path, config)
            where = device or (config.device, config.device_map, config.max_memory)
            read_by = repr((config.model, config.prompts, config.dtype, config.quantization, config.speed, where))
            if read_by not in backbones:
                backbones[read_by] = load_model(config, device)
            predictors.append(cls._on(backbones[read_by], directory, fitted, of=f"_{place}"))
        return predictors

    @classmethod
    def _on(cls, backbone: Backbone, directory: RunDirectory, fitted: Fitted, of: str = "") -> "SelectivePredictor":
        model = load_adapted(backbone, directory.config, directory.path, of=of)
        encoder = new_encoder(backbone, directory.config, EXAMPLES.read(directory.path))
        return cls(model, encoder, directory.config, fitted)

    def rule_for(self, target_risk: float | None, per: str | None = None) -> DecisionRule:
        """What decides with the threshold of a certified target, or, without one, by itself.

        Raises:
            ConfigError: That target was not asked for, or a field is given without one.
        """
        return self._fitted.rule_for(target_risk, per)

    def guarantee(self, target_risk: float, per: str | None = None) -> Guarantee | SlicedGuarantee | None:
        """What is certified for a share of wrong answers among those given, 0 to 1.

        Raises:
            ConfigError: `aspire-llm calibrate` was not asked for that target.
        """
        return self.rule_for(target_risk, per).guarantee

    def encode(self, question: Question) -> EncodedPrompt:
        """A question as the model reads it, for `predict_prompts`.

        Raises:
            DataError: It says nothing, or is no text.
            ModelError: Its prompt does not fit the model's window.
        """
        with self.model.backbone.lock:
            return self.encoder.prompt(as_question(question))

    def predict(
        self, questions: Sequence[str | Question], *, target_risk: float | None = None, per: str | None = None
    ) -> list[Prediction]:
        """Answer questions in order; what falls below `score.abstain_below` in confidence is withheld, and so are
        answers to questions that are unlike the calibration questions (`score.novelty_level`).

        Args:
            questions: Texts, or `Question` records where there is context, history or references to score against.
            target_risk: A share of wrong answers that was certified for this run: its threshold decides instead.
            per: The field of the questions' metadata per whose value it was certified, where it was.

        Raises:
            ConfigError: That target was not asked for, see `guarantee`.
            DataError: A question says nothing, or is no text.
            ModelError: A prompt does not fit the model's window.
        """
        if isinstance(questions, str):
            raise DataError("predict got one text; it takes a list of questions, so write [question]")
        asked = [as_question(own, id=str(place)) for place, own in enumerate(questions)]
        with self.model.backbone.lock:
            prompts = [self.encoder.prompt(question) for question in asked]
            return self.predict_prompts(prompts, target_risk=target_risk, per=per)

    def predict_each(self, questions: Sequence[Question]) -> list[Prediction | Unanswered]:
        """As `predict`, but a question that cannot be put to the model keeps none of the others from an answer."""
        outcomes: dict[int, Prediction | Unanswered] = {}
        prompts: dict[int, EncodedPrompt] = {}
        for place, question in enumerate(questions):
            try:
                prompts[place] = self.encode(question)
            except AspireError as error:
                outcomes[place] = Unanswered(question, str(error))
        outcomes |= zip(prompts, self.predict_prompts(list(prompts.values())), strict=True)
        return [outcomes[place] for place in range(len(questions))]

    def predict_prompts(
        self, prompts: Sequence[EncodedPrompt], *, target_risk: float | None = None, per: str | None = None
    ) -> list[Prediction]:
        """Answer questions that are encoded already, in their order; otherwise as `predict`."""
        rule = self.rule_for(target_risk, per)
        with self.model.backbone.lock:
            found = by_length(
                [len(prompt.token_ids) for prompt in prompts],
                self._config.stage2.batch_size,
                lambda indices: self._answer_batch([prompts[i] for i in indices]),
            )
        return [self._decided(rule, prompt, own) for prompt, own in zip(prompts, found, strict=True)]

    def _decided(self, rule: DecisionRule, prompt: EncodedPrompt, found: _Found) -> Prediction:
        question, evidence = prompt.question, found.evidence
        decided = rule.decide(question, evidence, self._rouge_l(question, evidence.answer), novelty=found.novelty)
        abstention = self._config.abstention.text_for(question.question)
        return replace(decided, context_cut=prompt.is_cut, abstention=abstention)

    def _answer_batch(self, prompts: Sequence[EncodedPrompt]) -> list[_Found]:
        """All questions in one batch."""
        started = time.perf_counter()
        recorder = StateRecorder(self.model.backbone, [self._states.layer] if self._states else ())
        decoded = decode_likeliest(self.model, prompts, self._config, recorder)
        chosen = [hypotheses[0] for hypotheses in decoded.hypotheses]
        found = self._beams(decoded)
        states = self._log_odds(recorder, decoded.hypotheses, found)
        novelty: Sequence[float | None] = [None] * len(prompts)
        if isinstance(self._novelty, NoveltyGuard):
            groups = [prompt.question.cluster for prompt in prompts]
            novelty = self._novelty.p_values(states_of(decoded.cache), groups)
        answered = time.perf_counter()
        verdicts: Sequence[float | None] = [None] * len(prompts)
        if self._asks_verdict:
            verdicts = evaluate_decoded(self.model, decoded, chosen, self.verdict_tokens).cpu().tolist()
        self.num_questions += len(prompts)
        self.seconds["answer"] += answered - started
        self.seconds["self_evaluation"] += time.perf_counter() - answered
        return [
            _Found(Evidence(beams[0], verdict, odds[0] if odds else None, beams, odds), p_value)
            for beams, verdict, odds, p_value in zip(found, verdicts, states, novelty, strict=True)
        ]

    def _beams(self, decoded: Decoded) -> list[tuple[SampledAnswer, ...]]:
        return [tuple(self.encoder.sampled_answer(own) for own in beams) for beams in decoded.hypotheses]

    def _log_odds(
        self,
        recorder: StateRecorder,
        hypotheses: Sequence[Sequence[Hypothesis]],
        answers: Sequence[Sequence[SampledAnswer]],
    ) -> list[tuple[float, ...]]:
        """What the read-out of states says of the hypotheses of each question, which are answers."""
        if self._states is None:
            return [()] * len(hypotheses)
        position, readout = Position[self._states.position.upper()], self._states.readout
        log_odds = []
        for place, (beams, own) in enumerate(zip(hypotheses, answers, strict=True)):
            states = torch.stack([recorder.states(place, beam.rows)[position, 0] for beam in beams])
            likelihoods = np.array([answer.likelihoods for answer in own])
            log_odds.append(tuple(readout.log_odds(states.cpu().numpy(), likelihoods).tolist()))
        return log_odds

    def _rouge_l(self, question: Question, answer: SampledAnswer) -> float | None:
        if not question.references and question.answerable:
            return None
        return label(answer, question, self.rule.eval_threshold).rouge_l
