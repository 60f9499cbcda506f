"""The model of a run at work: what the steps of a pipeline and the methods need it for.

Everything is loaded, or encoded, when it is first asked for, and once.
"""

import platform
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import cached_property, partial
from typing import TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aspire_llm.config import RunConfig, TrainingConfig
from aspire_llm.correctness import label
from aspire_llm.data.cross_fitting import cross_fit
from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.adapters import (
    SELF_EVALUATION,
    TASK,
    Adapter,
    frozen,
    load_adapter,
    new_adapter,
    num_soft_tokens,
    save_adapter,
)
from aspire_llm.lm.answer_features import AnswerFeatures, answer_features, spread_layers
from aspire_llm.lm.batching import by_length
from aspire_llm.lm.cache import TokenGrid
from aspire_llm.lm.kept_prefixes import KeptPrefixes
from aspire_llm.lm.model_files import model_digest
from aspire_llm.lm.prompt_states import states_of
from aspire_llm.lm.self_evaluation import num_positions
from aspire_llm.lm.tokenization import EncodedPrompt
from aspire_llm.predictor import (
    Fitted,
    SelectivePredictor,
    decode_likeliest,
    load_adapted,
    load_model,
    new_encoder,
    states_of_run,
)
from aspire_llm.records import LabelledAnswer, Question, Split, UntunedAnswer
from aspire_llm.results.calibration import decision_rule
from aspire_llm.results.novelty import NOVELTY
from aspire_llm.results.samples import SAMPLES, QuestionSamples
from aspire_llm.results.states import STATES
from aspire_llm.rundir.directory import RunDirectory
from aspire_llm.rundir.provenance import HardwareFacts, ModelFacts
from aspire_llm.samplers import Samplers
from aspire_llm.selection import NoveltyGuard
from aspire_llm.stages.stage1_task_tuning import TaskExample, task_examples, task_loss
from aspire_llm.stages.stage2_answer_sampling import sample_answers
from aspire_llm.stages.stage3_self_evaluation import VerdictExample, verdict_examples, verdict_loss
from aspire_llm.stages.states_readout import learn_states
from aspire_llm.stages.training_loop import TrainingLoop

MAX_OTHERS = 500  # training questions that say in which directions questions vary

Example = TypeVar("Example")
Loss: TypeAlias = Callable[[Sequence[Example]], Tensor]

_TITLES = {TASK: "stage 1", SELF_EVALUATION: "stage 3"}


class RunModel:
    """θ of a run with the adapters that its directory holds.

    Args:
        directory: Of the run.
        questions: All of its splits.
        examples: Few-shot examples before every question.
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
        self._soft_tokens = num_soft_tokens(self.backbone, self._config.stage1, self._config.stage3)
        self.encoder = new_encoder(self.backbone, self._config, examples)
        self.verdict_tokens = self.encoder.verdict_tokens(self._config.stage3.verdict_words)
        self._cross_fit = cross_fit(questions[Split.TRAIN], self._config.stage2, seed=self._config.seed)
        self._samplers = Samplers(self._cross_fit, lambda: self.task, self._fold_task)

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
    def facts(self) -> ModelFacts:
        """For the provenance of the run."""
        name = self._config.model
        kind, size = self.backbone.model.config.model_type, self.backbone.num_parameters
        return ModelFacts(name, kind, size, model_digest(name, self._config.prompts))

    @property
    def hardware(self) -> HardwareFacts:
        """For the provenance of the run."""
        return HardwareFacts(str(self.backbone.device), platform.machine(), torch.get_num_threads())

    @cached_property
    def task(self) -> Adapter:
        """θp of stage 1."""
        return load_adapter(self.backbone, TASK, self._directory.path / f"{TASK}_adapter")

    @cached_property
    def model(self) -> AdaptedModel:
        """θ + θp + θs."""
        return load_adapted(self.backbone, self._config, self._directory.path)

    @cached_property
    def predictor(self) -> SelectivePredictor:
        """Answers questions, and computes whatever methods score by; what it withholds is decided later."""
        folder = self._directory.path
        fitted = Fitted(decision_rule(self._config), NOVELTY.read(folder), states_of_run(folder, self._config))
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

    def tune_task(self) -> None:
        """Stage 1: θp from the references of the training split, but for those that are held out."""
        self.task = self._tuned(TASK, _TITLES[TASK], self._cross_fit.tuned)

    def _fold_task(self, fold: int) -> Adapter:
        name, folder = f"{TASK}_{fold}", self._directory.path / f"{TASK}_{fold}_adapter"
        if folder.is_dir():
            return load_adapter(self.backbone, name, folder)
        title = f"stage 2, fold {fold + 1} of {self._cross_fit.num_folds}"
        return self._tuned(name, title, self._cross_fit.tuned_for(fold))

    def _tuned(self, name: str, title: str, questions: Sequence[Question]) -> Adapter:
        """A θp of these training questions."""
        prompts = {Split.TRAIN: self._prompts_of(questions), Split.VALIDATION: self.prompts[Split.VALIDATION]}

        def loss(adapter: Adapter) -> Loss[TaskExample]:
            return partial(task_loss, AdaptedModel(self.backbone, adapter))

        def examples(split: Split) -> list[TaskExample]:
            return task_examples(prompts[split], self.encoder, self.backbone.eos_token_id)

        def length(example: TaskExample) -> int:
            return self._soft_tokens[0] + len(example.prompt.token_ids) + len(example.target)

        return self._trained(name, title, self._config.stage1, loss, length, examples)

    def sample_answers(self, prompts: Sequence[EncodedPrompt]) -> list[QuestionSamples]:
        """Stage 2: answers of a model that was not tuned on the questions, where there are folds."""
        config = self._config
        self._samplers.make_ready()

        def sampled(task: Adapter, places: Sequence[int]) -> list[QuestionSamples]:
            model, own = AdaptedModel(self.backbone, task), [prompts[place] for place in places]
            return sample_answers(model, self.encoder, own, config.stage2, config.correctness, seed=config.seed)

        return self._samplers.apply(_ids(prompts), sampled)

    def sampled_prompts(self, split: Split) -> list[EncodedPrompt]:
        """The questions of the training or validation split whose answers are sampled."""
        return self._prompts_of(self._cross_fit.sampled) if split is Split.TRAIN else self.prompts[split]

    def _prompts_of(self, questions: Sequence[Question]) -> list[EncodedPrompt]:
        """Of training questions."""
        known = dict(zip(_ids(self.prompts[Split.TRAIN]), self.prompts[Split.TRAIN], strict=True))
        return [known[question.id] for question in questions]

    def learn_states(self) -> None:
        """The read-out of hidden states, from the answers that the run holds, behind the θp that gave them."""
        config, prompts = self._config, self.sampled_prompts(Split.TRAIN)
        layers = spread_layers(self.backbone.num_layers, config.states.num_layers)

        def read(places: Sequence[int], answers: TokenGrid) -> list[list[AnswerFeatures]]:
            own = [prompts[place] for place in places]

            def features(task: Adapter, part: Sequence[int]) -> list[list[AnswerFeatures]]:
                model = AdaptedModel(self.backbone, task)
                return answer_features(model, [own[i] for i in part], [answers[i] for i in part], layers)

            return self._samplers.apply(_ids(own), features)

        samples = [self._samples[prompt.question.id] for prompt in prompts]
        sizes = {"batch_size": config.stage2.batch_size, "seed": config.seed}
        learned = learn_states(self.backbone, prompts, samples, read, config.states, **sizes)
        STATES.write(self._directory.path, learned)

    def learn_self_evaluation(self) -> None:
        """Stage 3: θs from the labelled answers that the run holds."""
        config = self._config.stage3
        self._samplers.make_ready()
        budget = None if config.kept_prefixes == "auto" else config.kept_prefixes * 2**20
        kept = KeptPrefixes(self.backbone, budget)

        def loss(adapter: Adapter) -> Loss[VerdictExample]:
            def of_batch(batch: Sequence[VerdictExample]) -> Tensor:
                def behind(task: Adapter, places: Sequence[int]) -> list[Tensor]:
                    model = AdaptedModel(self.backbone, task, adapter)
                    own = [batch[place] for place in places]
                    return list(verdict_loss(model, self.verdict_tokens, own, read=kept.read))

                return torch.stack(self._samplers.apply(_ids([example.prompt for example in batch]), behind))

            return of_batch

        def length(example: VerdictExample) -> int:
            answers = [*example.correct, *example.wrong]
            return num_positions(self.backbone, example.prompt, answers, self._soft_tokens)

        verdict = self._trained(SELF_EVALUATION, _TITLES[SELF_EVALUATION], config, loss, length, self.examples)
        self.model = AdaptedModel(self.backbone, self.task, verdict)

    def examples(self, split: Split) -> list[VerdictExample]:
        """What stage 3 learns from (training split), or is validated on."""
        return verdict_examples(self.sampled_prompts(split), self._samples, self.encoder, self._config.stage3)

    def sampled(self, split: Split) -> list[tuple[Question, tuple[LabelledAnswer, ...]]]:
        """Stage 2's answers to the training or validation split, likeliest first."""
        return [(own.question, self._samples[own.question.id]) for own in self.sampled_prompts(split)]

    def answer_untuned(self, prompts: Sequence[EncodedPrompt]) -> list[UntunedAnswer]:
        """The base model's answers."""
        model, threshold = AdaptedModel(self.backbone), self._config.correctness.eval_threshold

        def answer(indices: Sequence[int]) -> list[UntunedAnswer]:
            own = [prompts[i] for i in indices]
            decoded = decode_likeliest(model, own, self._config)
            answers = [self.encoder.sampled_answer(hypotheses[0]) for hypotheses in decoded.hypotheses]
            return [
                UntunedAnswer(prompt.question, label(answer, prompt.question, threshold))
                for prompt, answer in zip(own, answers, strict=True)
            ]

        return by_length([len(prompt.token_ids) for prompt in prompts], self._config.stage2.batch_size, answer)

    @cached_property
    def _samples(self) -> dict[str, tuple[LabelledAnswer, ...]]:
        return {samples.id: samples.answers for samples in SAMPLES.read(self._directory.path)}

    def _trained(
        self,
        name: str,
        title: str,
        config: TrainingConfig,
        loss: Callable[[Adapter], Loss[Example]],
        length: Callable[[Example], int],
        examples: Callable[[Split], list[Example]],
    ) -> Adapter:
        folder = f"{name}_adapter"
        adapter = new_adapter(self.backbone, name, config, seed=self._config.seed)
        loop = TrainingLoop(
            title,
            adapter.parameters(),
            loss(adapter),
            length,
            config,
            seed=self._config.seed,
            checkpoint=self._directory.path / f"{folder}.checkpoint",
            log=self._directory.log,
        )
        recomputing = self.backbone.layers_recomputed() if config.recompute_layers else nullcontext()
        with recomputing:
            loop.fit(examples(Split.TRAIN), examples(Split.VALIDATION))
        with self._directory.new_folder(folder) as path:
            save_adapter(adapter, path)
        loop.finish()
        return frozen(adapter)


def _ids(prompts: Sequence[EncodedPrompt]) -> list[str]:
    return [prompt.question.id for prompt in prompts]
