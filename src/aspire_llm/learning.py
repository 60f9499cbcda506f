"""What a run learns and samples: stages 1 to 3 over the model of a run and its directory."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any, TypeAlias, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aspire_llm.config import TrainingConfig
from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.adapter_files import load_adapter, save_adapter
from aspire_llm.lm.adapters import SELF_EVALUATION, TASK, Adapter, frozen, new_adapter
from aspire_llm.lm.answer_features import answer_states
from aspire_llm.lm.cache import TokenGrid
from aspire_llm.lm.kept_prefixes import KeptPrefixes
from aspire_llm.lm.self_evaluation import num_positions
from aspire_llm.lm.tokenization import EncodedPrompt
from aspire_llm.processes import processes
from aspire_llm.records import Question, Split
from aspire_llm.results.samples import QuestionSamples
from aspire_llm.results.states import STATES
from aspire_llm.run_model import RunModel, ids_of
from aspire_llm.rundir.directory import RunDirectory
from aspire_llm.rundir.log import log_epoch
from aspire_llm.samplers import Samplers
from aspire_llm.stages.stage1_task_tuning import TaskExample, task_examples, task_loss
from aspire_llm.stages.stage2_answer_sampling import sample_answers
from aspire_llm.stages.stage3_self_evaluation import VerdictExample, verdict_loss
from aspire_llm.stages.states_readout import learn_states
from aspire_llm.stages.training_loop import TrainingLoop

Example = TypeVar("Example")
Loss: TypeAlias = Callable[[Sequence[Example]], Tensor]

_TITLES = {TASK: "stage 1", SELF_EVALUATION: "stage 3"}


class Learning:
    """The stages of a run; each leaves its output in the directory, and what it learned in the model.

    Args:
        directory: Of the run.
        model: Of the run.
        log: Is told of every epoch, beside the log of the directory.
        verdict_loss: What stage 3 minimises, with the arguments of the paper's.
    """

    def __init__(
        self,
        directory: RunDirectory,
        model: RunModel,
        *,
        log: Callable[..., None] = lambda **_: None,
        verdict_loss: Callable[..., Tensor] = verdict_loss,
    ) -> None:
        self._directory, self._config, self._model = directory, directory.config, model
        self._also_log, self._verdict_loss = log, verdict_loss
        self._backbone = model.backbone
        self._samplers = Samplers(model.cross_fit, lambda: model.task, self._fold_task)

    def tune_task(self) -> None:
        """Stage 1: θp from the references of the training split, but for those that are held out."""
        self._model.task = self._tuned(TASK, _TITLES[TASK], self._model.cross_fit.tuned)

    def _fold_task(self, fold: int) -> Adapter:
        name, folder = f"{TASK}_{fold}", self._directory.path / f"{TASK}_{fold}_adapter"
        if folder.is_dir():
            return load_adapter(self._backbone, name, folder)
        title = f"stage 2, fold {fold + 1} of {self._model.cross_fit.num_folds}"
        return self._tuned(name, title, self._model.cross_fit.tuned_for(fold))

    def _tuned(self, name: str, title: str, questions: Sequence[Question]) -> Adapter:
        """A θp of these training questions."""
        prompts = {**self._model.prompts, Split.TRAIN: self._model.training_prompts(questions)}

        def loss(adapter: Adapter) -> Loss[TaskExample]:
            return partial(task_loss, AdaptedModel(self._backbone, adapter))

        def examples(split: Split) -> list[TaskExample]:
            return task_examples(prompts[split], self._model.encoder, self._backbone.eos_token_id)

        def length(example: TaskExample) -> int:
            return self._model.soft_tokens[0] + len(example.prompt.token_ids) + len(example.target)

        return self._trained(name, title, self._config.stage1, loss, length, examples)

    def sample_answers(self, prompts: Sequence[EncodedPrompt]) -> list[QuestionSamples]:
        """Stage 2: answers of a model that was not tuned on the questions, where there are folds."""
        config = self._config
        self._samplers.make_ready()

        def sampled(task: Adapter, places: Sequence[int]) -> list[QuestionSamples]:
            model, own = AdaptedModel(self._backbone, task), [prompts[place] for place in places]
            return sample_answers(model, self._model.encoder, own, config.stage2, config.correctness, seed=config.seed)

        return self._samplers.apply(ids_of(prompts), sampled)

    def learn_states(self) -> None:
        """The read-out of hidden states, from the answers that the run holds, behind the θp that gave them."""
        config, prompts = self._config, self._model.sampled_prompts(Split.TRAIN)
        self._samplers.make_ready()

        def read(places: Sequence[int], answers: TokenGrid, layers: Sequence[int]) -> list[NDArray[np.float32]]:
            own = [prompts[place] for place in places]

            def states(task: Adapter, part: Sequence[int]) -> list[NDArray[np.float32]]:
                model = AdaptedModel(self._backbone, task)
                return answer_states(model, [own[i] for i in part], [answers[i] for i in part], layers)

            return self._samplers.apply(ids_of(own), states)

        samples = [self._model.samples[prompt.question.id] for prompt in prompts]
        learned = learn_states(
            self._backbone, prompts, samples, read, config.states, batch_size=config.stage2.batch_size, seed=config.seed
        )
        STATES.write(self._directory.path, learned)

    def learn_self_evaluation(self) -> None:
        """Stage 3: θs from the labelled answers that the run holds."""
        config = self._config.stage3
        self._samplers.make_ready()
        budget = None if config.kept_prefixes == "auto" else config.kept_prefixes * 2**20
        if config.epochs == 1:  # nothing comes back
            budget = 0
        kept = KeptPrefixes(self._backbone, budget)

        def loss(adapter: Adapter) -> Loss[VerdictExample]:
            def of_batch(batch: Sequence[VerdictExample]) -> Tensor:
                def behind(task: Adapter, places: Sequence[int]) -> list[Tensor]:
                    model = AdaptedModel(self._backbone, task, adapter)
                    own = [batch[place] for place in places]
                    return list(self._verdict_loss(model, self._model.verdict_tokens, own, read=kept.read))

                return torch.stack(self._samplers.apply(ids_of([example.prompt for example in batch]), behind))

            return of_batch

        def length(example: VerdictExample) -> int:
            answers = [*example.correct, *example.wrong]
            return num_positions(self._backbone, example.prompt, answers, self._model.soft_tokens)

        verdict = self._trained(
            SELF_EVALUATION, _TITLES[SELF_EVALUATION], config, loss, length, self._model.examples, kept.give_up
        )
        self._model.model = AdaptedModel(self._backbone, self._model.task, verdict)

    def _trained(
        self,
        name: str,
        title: str,
        config: TrainingConfig,
        loss: Callable[[Adapter], Loss[Example]],
        length: Callable[[Example], int],
        examples: Callable[[Split], list[Example]],
        give_up: Callable[[], bool] = lambda: False,
    ) -> Adapter:
        folder = f"{name}_adapter"
        adapter = new_adapter(self._backbone, name, config, seed=self._config.seed)
        loop = TrainingLoop(
            title,
            adapter.parameters(),
            loss(adapter),
            length,
            config,
            seed=self._config.seed,
            checkpoint=self._directory.path / f"{folder}.checkpoint",
            log=self._log,
            give_up=give_up,
        )
        recomputing = self._backbone.layers_recomputed() if config.recompute_layers else nullcontext()
        with recomputing:
            loop.fit(examples(Split.TRAIN), examples(Split.VALIDATION))

        def save() -> None:
            with self._directory.new_folder(folder) as path:
                save_adapter(adapter, path)

        processes().once(save)
        loop.finish()
        return frozen(adapter)

    def _log(self, **epoch: Any) -> None:
        log_epoch(self._directory.path, **epoch)
        self._also_log(**epoch)
