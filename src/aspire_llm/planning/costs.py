"""What each job of a run costs on a model of a few layers, and from two depths what it costs on the whole model."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from statistics import median
from typing import TypeAlias

import numpy as np
import torch

from aspire_llm.config import RunConfig
from aspire_llm.lm.adapted_model import AdaptedModel
from aspire_llm.lm.adapters import SELF_EVALUATION, TASK, frozen, new_adapter, num_soft_tokens
from aspire_llm.lm.answer_features import answer_states, spread_layers
from aspire_llm.lm.decoding.beam_search import FEW_ENOUGH, beam_search
from aspire_llm.lm.decoding.hypotheses import Decoded
from aspire_llm.lm.kept_prefixes import KeptPrefixes
from aspire_llm.lm.memory import PeakMemory
from aspire_llm.lm.model import Backbone
from aspire_llm.lm.self_evaluation import evaluate_decoded, num_positions
from aspire_llm.lm.tokenization import EncodedPrompt
from aspire_llm.selection.linear_readout import FIRST_STRENGTH, num_regressions, regression
from aspire_llm.stages.stage1_task_tuning import TaskExample, task_loss
from aspire_llm.stages.stage3_self_evaluation import VerdictExample, verdict_loss

_ROUNDS = 3
_FEW_TOKENS, _MORE_TOKENS = 2, 6
_REGRESSED = 4096  # answers at most in a regression that is timed


class Job(Enum):
    """What a run does to a question, or for it."""

    TUNING = "forward and backward of stage 1"
    PROMPT = "reading the prompt and the first token of its beams"
    STEP = "a further token of its beams"
    LONE_PROMPT = "the same as PROMPT, of a question alone"
    LONE_STEP = "the same as STEP, of a question alone"
    STATES = "reading its answers for their states"
    LEARNING = "forward and backward of stage 3, the prefix read"
    LEARNING_AGAIN = "the same, the prefix kept"
    VERDICT = "judging its answer"


@dataclass(frozen=True, slots=True)
class Cost:
    """Of a job.

    Attributes:
        seconds: Per question.
        peak: Bytes that it takes above the model while it works on as many questions as it takes at once; None where
            the system does not tell.
        kept: Bytes that it keeps per question for later epochs.
    """

    seconds: float
    peak: int | None
    kept: float = 0.0

    def towards(self, deeper: "Cost", depth: float) -> "Cost":
        """On the line through this cost at depth 0 and another at depth 1; never less than this one."""

        def at(here: float, there: float) -> float:
            return max(here, here + depth * (there - here))

        known = self.peak is not None and deeper.peak is not None
        peak = int(at(self.peak or 0, deeper.peak or 0)) if known else None
        return Cost(at(self.seconds, deeper.seconds), peak, at(self.kept, deeper.kept))


Costs: TypeAlias = Mapping[Job, Cost]
_Work: TypeAlias = tuple[Job, Callable[[], object], int]  # what is called, and how many questions it works on


@dataclass(frozen=True, slots=True)
class Batch:
    """Typical questions, as many as are decoded together.

    Attributes:
        prompts: Of the questions.
        references: Token ids of a reference answer to each, without terminator.
    """

    prompts: Sequence[EncodedPrompt]
    references: Sequence[tuple[int, ...]]

    def answers(self, place: int, count: int) -> tuple[tuple[int, ...], ...]:
        """As many different answers to a question as there are references, in place of what would be sampled."""
        following = [self.references[(place + i) % len(self.references)] for i in range(len(self.references))]
        return tuple(dict.fromkeys(following))[:count]

    def first(self, most: int) -> "Batch":
        """Of the questions, at most so many, and at least one."""
        return Batch(self.prompts[: max(1, most)], self.references)


def measure(backbone: Backbone, config: RunConfig, batch: Batch, done: Callable[[], None]) -> Costs:
    """The costs of all jobs that a run has, on this model, with new adapters.

    Args:
        backbone: The model, or some of its layers.
        config: Of the run.
        batch: Typical questions.
        done: Called after each job.
    """
    costs: dict[Job, Cost] = {}
    jobs = _Jobs(backbone, config, batch)
    for job, work, questions in jobs.in_order():
        costs[job] = replace(_cost(backbone, work, questions), kept=jobs.kept.num_bytes / questions)
        done()
    for prompt, step in ((Job.PROMPT, Job.STEP), (Job.LONE_PROMPT, Job.LONE_STEP)):
        few, more = costs[prompt], costs[step]  # of few tokens and of more, the first of which comes with the prompt
        seconds = max(0.0, more.seconds - few.seconds) / (_MORE_TOKENS - _FEW_TOKENS)
        costs[prompt] = Cost(max(0.0, few.seconds - (_FEW_TOKENS - 1) * seconds), few.peak)
        costs[step] = Cost(seconds, more.peak)
    return costs


class _Jobs:
    """The jobs of a run.

    Attributes:
        kept: Prefixes that stage 3 keeps.
    """

    def __init__(self, backbone: Backbone, config: RunConfig, batch: Batch) -> None:
        self._backbone, self._config, self._batch = backbone, config, batch
        self._task = new_adapter(backbone, TASK, config.stage1, seed=0)
        self._model, self.kept = AdaptedModel(backbone, self._task), KeptPrefixes(backbone)
        self._soft = num_soft_tokens(backbone, config.stage1, config.stage3)

    def in_order(self) -> Iterator[_Work]:
        """Those that the configuration has; θp learns in the first alone."""
        config, many = self._config, len(self._batch.prompts)
        yield self._tuning()
        self._model = AdaptedModel(self._backbone, frozen(self._task))
        for jobs, batch in (
            ((Job.PROMPT, Job.STEP), self._batch),
            ((Job.LONE_PROMPT, Job.LONE_STEP), self._batch.first(1)),
        ):
            for job, steps in zip(jobs, (_FEW_TOKENS, _MORE_TOKENS), strict=True):
                yield job, partial(self._decode, batch, steps), len(batch.prompts)
        if config.states.enabled:
            yield Job.STATES, self._states, many
        if config.stage3.enabled:
            yield from self._learning()

    def _tuning(self) -> _Work:
        config, soft = self._config.stage1, self._soft[0]
        lengths = [soft + len(own.token_ids) for own in self._batch.prompts]
        part = self._batch.first(min(config.batch_size, config.tokens_per_pass * len(lengths) // sum(lengths)))
        end = self._backbone.eos_token_id
        examples = [
            TaskExample(prompt, (*own, end)) for prompt, own in zip(part.prompts, part.references, strict=False)
        ]
        return Job.TUNING, lambda: torch.autograd.backward(task_loss(self._model, examples).mean()), len(examples)

    def _decode(self, batch: Batch, tokens: int) -> Decoded:
        beams = self._config.stage2.num_beams
        return beam_search(self._model, batch.prompts, num_beams=beams, max_new_tokens=tokens)

    def _states(self) -> object:
        layers = spread_layers(self._backbone.num_layers, self._config.states.num_layers)
        prompts = self._batch.prompts
        answers = [self._batch.answers(i, self._config.stage2.num_beams) for i in range(len(prompts))]
        return answer_states(self._model, prompts, answers, layers)

    def _learning(self) -> Iterator[_Work]:
        config, backbone, pair = self._config.stage3, self._backbone, (0, 1)
        count = 1 if config.learn_from == "likeliest" else 1 + min(config.max_wrong, self._config.stage2.num_beams)
        answers = [self._batch.answers(i, count) for i in range(len(self._batch.prompts))]
        size = num_positions(backbone, self._batch.prompts[0], answers[0], self._soft)
        part = self._batch.first(min(config.batch_size, config.tokens_per_pass // size))
        examples = [
            VerdictExample(prompt, own[:1], own[1:]) for prompt, own in zip(part.prompts, answers, strict=False)
        ]
        verdict = new_adapter(backbone, SELF_EVALUATION, config, seed=0)
        model = AdaptedModel(backbone, self._task, verdict)

        def learn(reader: KeptPrefixes) -> None:
            torch.autograd.backward(verdict_loss(model, pair, examples, read=reader.read).mean())

        decoded = self._decode(self._batch, _FEW_TOKENS)

        def judge() -> None:
            evaluate_decoded(model, decoded, [own[0] for own in decoded.hypotheses], pair)

        yield Job.LEARNING, lambda: learn(KeptPrefixes(backbone, 0)), len(examples)
        yield Job.LEARNING_AGAIN, lambda: learn(self.kept), len(examples)
        yield Job.VERDICT, judge, len(self._batch.prompts)


def _cost(backbone: Backbone, work: Callable[[], object], questions: int) -> Cost:
    result = work()  # kernels are compiled, weights laid out
    memory = PeakMemory(backbone.device)
    seconds = []
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        work()
        backbone.wait()
        seconds.append(time.perf_counter() - started)
    peak = memory.peak()
    if peak is not None and isinstance(result, Decoded):
        # Random weights settle no question early. Real ones settle some, and the search goes on in a copy without them.
        peak += int(FEW_ENOUGH * result.cache.num_bytes)
    return Cost(median(seconds) / questions, peak)


def readout_seconds(questions: int, answers: int, width: int, num_places: int) -> float:
    """What choosing a read-out of states takes, by one regression of noise of either size.

    Args:
        questions: That it is learned from.
        answers: To all of them.
        width: Of a state.
        num_places: Layers and positions that it is chosen from.
    """
    generator = np.random.default_rng(0)

    def seconds(rows: int) -> float:
        columns, correct = generator.standard_normal((rows, width + 2)), generator.random(rows) < 0.5
        started = time.perf_counter()
        regression(columns, correct, np.ones(rows), FIRST_STRENGTH)
        return time.perf_counter() - started

    seconds(16)  # libraries load
    sizes = [(rows, min(rows, _REGRESSED)) for rows in (questions, answers)]
    each = [rows / some * seconds(some) for rows, some in sizes]
    return sum(own * count for own, count in zip(each, num_regressions(num_places), strict=True))
