"""The model of a run at work: what the steps of a pipeline and the methods need it for.

Everything is loaded, or encoded, when it is first asked for, and once.
"""

import platform
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from aspire_llm.config import RunConfig
from aspire_llm.correctness import label
from aspire_llm.data.cross_fitting import cross_fit
from aspire_llm.errors import RunDirectoryError
from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.adapter_files import load_adapter
from aspire_llm.lm.adapters import SELF_EVALUATION, TASK, Adapter, new_adapter, num_soft_tokens
from aspire_llm.lm.batching import by_length
from aspire_llm.lm.memory import device_name, give_back_freed
from aspire_llm.lm.model_files import model_digest
from aspire_llm.lm.prompt_states import states_of
from aspire_llm.lm.quantization import quantised_by
from aspire_llm.lm.tokenization import EncodedPrompt
from aspire_llm.predictor import SelectivePredictor
from aspire_llm.records import LabelledAnswer, Question, Split, UntunedAnswer
from aspire_llm.results.calibration import decision_rule
from aspire_llm.results.fitted import Fitted, states_of_run
from aspire_llm.results.novelty import NOVELTY
from aspire_llm.results.samples import SAMPLES
from aspire_llm.run_loading import decode_likeliest, load_adapted, load_model, new_encoder
from aspire_llm.rundir.directory import RunDirectory
from aspire_llm.rundir.provenance import DataFacts, HardwareFacts, ModelFacts, Provenance, installed_versions
from aspire_llm.selection import NoveltyGuard
from aspire_llm.stages.stage3_self_evaluation import VerdictExample, verdict_examples

MAX_OTHERS = 500  # training questions that say in which directions questions vary


class RunModel:
    """θ of a run with the adapters that its directory holds.

    Args:
        directory: Of the run.
        questions: All of its splits.
        examples: Few-shot examples before every question.

    Attributes:
        soft_tokens: Positions that the soft tokens of θp and of θs take.
        cross_fit: The training questions by what they are for.
    """

    def __init__(
        self,
        directory: RunDirectory,
        questions: Mapping[Split, Sequence[Question]],
        examples: Sequence[Question] = (),
    ) -> None:
        self._directory, self._questions = directory, questions
        self._config: RunConfig = directory.config
        self.backbone = load_model(self._config)
        self._try_lora()
        self.soft_tokens = num_soft_tokens(self.backbone, self._config.stage1, self._config.stage3)
        self.encoder = new_encoder(self.backbone, self._config, examples)
        self.verdict_tokens = self.encoder.verdict_tokens(self._config.stage3.verdict_words)
        self.cross_fit = cross_fit(questions[Split.TRAIN], self._config.stage2, seed=self._config.seed)

    def _try_lora(self) -> None:
        """Where peft has no LoRA for the model, that is known before anything is computed or written."""
        for name, config in ((TASK, self._config.stage1), (SELF_EVALUATION, self._config.stage3)):
            if config.adapter == "lora":
                new_adapter(self.backbone, name, config, seed=self._config.seed)

    @cached_property
    def prompts(self) -> dict[Split, list[EncodedPrompt]]:
        """Every question of the run, encoded once."""
        return {split: self.encode(own) for split, own in self._questions.items()}

    def encode(self, questions: Sequence[Question]) -> list[EncodedPrompt]:
        """Any questions as this run reads them."""
        return [self.encoder.prompt(question) for question in questions]

    def give_back(self) -> None:
        """Between steps: malloc gives what one has freed back to the system."""
        if self.backbone.device.type == "cpu":
            give_back_freed()

    @property
    def contexts_cut(self) -> int:
        """How many contexts of the run do not fit the model's window."""
        return sum(prompt.is_cut for own in self.prompts.values() for prompt in own)

    @property
    def references_cut(self) -> int:
        """How many questions of the run have a first reference that is longer than any answer may be."""
        most = self._config.stage2.max_new_tokens
        return sum(
            len(self.encoder.answer(prompt, reference)) > most
            for own in self.prompts.values()
            for prompt in own
            for reference in prompt.question.references[:1]
            if len(reference.encode()) >= most  # a token is a byte or more
        )

    @property
    def provenance(self) -> Provenance:
        """What the run is made with and from."""
        config, model = self._config, self.backbone.model
        digest = model_digest(config.model, config.prompts)
        return Provenance(
            versions=installed_versions(),
            seed=config.seed,
            model=ModelFacts(
                config.model, model.config.model_type, self.backbone.num_parameters, digest, quantised_by(model)
            ),
            data=DataFacts.of(config.data.source, self._questions, self.contexts_cut),
            hardware=HardwareFacts(device_name(self.backbone.device), platform.machine(), torch.get_num_threads()),
        )

    @cached_property
    def task(self) -> Adapter:
        """θp of stage 1."""
        return load_adapter(self.backbone, TASK, self._directory.path / f"{TASK}_adapter")

    @cached_property
    def model(self) -> AdaptedModel:
        """θ + θp + θs."""
        return load_adapted(self.backbone, self._config, self._directory.path)

    @cached_property
    def untuned(self) -> AdaptedModel:
        """θ alone; where it is shown examples, its answers may end as theirs do, too."""
        return AdaptedModel(self.backbone, also_ends=self.encoder.example_terminator)

    @cached_property
    def predictor(self) -> SelectivePredictor:
        """Answers questions, and computes whatever methods score by; what it withholds is decided later."""
        folder = self._directory.path
        fitted = Fitted(
            decision_rule(self._config),
            novelty=NOVELTY.read(folder),
            states=states_of_run(folder, self._config),
        )
        return SelectivePredictor(self.model, self.encoder, self._config, fitted, everything=True)

    def learn_novelty(self) -> None:
        """What the calibration questions look like to θ + θp: later questions are held against them."""
        calibration, train = self.prompts[Split.CALIBRATION], self.prompts[Split.TRAIN]
        places = np.linspace(0, len(train) - 1, min(len(train), MAX_OTHERS)).round().astype(int)
        guard = NoveltyGuard.fit(
            self._states(calibration),
            [prompt.question.cluster for prompt in calibration],
            self._states([train[place] for place in places]),
            seed=self._config.seed,
        )
        NOVELTY.write(self._directory.path, guard)

    def _states(self, prompts: Sequence[EncodedPrompt]) -> NDArray[np.float32]:
        model = AdaptedModel(self.backbone, self.task)

        def read(indices: Sequence[int]) -> list[NDArray[np.float32]]:
            return list(states_of(model.read([prompts[i] for i in indices])[0]))

        return np.stack(by_length([len(prompt.token_ids) for prompt in prompts], self._config.stage2.batch_size, read))

    def sampled_prompts(self, split: Split) -> list[EncodedPrompt]:
        """The questions of the training or validation split whose answers are sampled."""
        return self.training_prompts(self.cross_fit.sampled) if split is Split.TRAIN else self.prompts[split]

    def training_prompts(self, questions: Sequence[Question]) -> list[EncodedPrompt]:
        """Of training questions."""
        known = dict(zip(ids_of(self.prompts[Split.TRAIN]), self.prompts[Split.TRAIN], strict=True))
        return [known[question.id] for question in questions]

    def examples(self, split: Split) -> list[VerdictExample]:
        """What stage 3 learns from (training split), or is validated on."""
        return verdict_examples(self.sampled_prompts(split), self.samples, self.encoder, self._config.stage3)

    def sampled(self, split: Split) -> list[tuple[Question, tuple[LabelledAnswer, ...]]]:
        """Stage 2's answers to the training or validation split, likeliest first."""
        return [(own.question, self.samples[own.question.id]) for own in self.sampled_prompts(split)]

    def answer_untuned(self, prompts: Sequence[EncodedPrompt]) -> list[UntunedAnswer]:
        """The base model's answers."""
        model, correctness = self.untuned, self._config.correctness

        def answer(indices: Sequence[int]) -> list[UntunedAnswer]:
            own = [prompts[i] for i in indices]
            decoded = decode_likeliest(model, own, self._config)
            answers = [self.encoder.sampled_answer(hypotheses[0]) for hypotheses in decoded.hypotheses]
            return [
                UntunedAnswer(
                    prompt.question, label(answer, prompt.question, correctness.eval_threshold, correctness.measure)
                )
                for prompt, answer in zip(own, answers, strict=True)
            ]

        return by_length([len(prompt.token_ids) for prompt in prompts], self._config.stage2.batch_size, answer)

    @cached_property
    def samples(self) -> dict[str, tuple[LabelledAnswer, ...]]:
        """Stage 2's answers by question, likeliest first.

        Raises:
            RunDirectoryError: Those to some question are lost.
        """
        folder = self._directory.path
        found = {samples.id: samples.answers for samples in SAMPLES.read(folder)}
        asked = (*self.cross_fit.sampled, *self._questions[Split.VALIDATION])
        if lost := [own.id for own in asked if own.id not in found]:
            raise RunDirectoryError(
                f"{folder / SAMPLES.name} lacks {len(lost)} of {len(asked)} questions, {lost[0]!r} for one; give "
                "aspire-llm run again"
            )
        return found


def ids_of(prompts: Sequence[EncodedPrompt]) -> list[str]:
    """Of their questions."""
    return [prompt.question.id for prompt in prompts]
