"""What each step of a run takes, from what its jobs cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import psutil
from transformers import PreTrainedConfig, PreTrainedTokenizerBase

from aspire_llm.config import RunConfig, SelfEvaluationConfig
from aspire_llm.data import load_splits
from aspire_llm.data.cross_fitting import CrossFit, cross_fit
from aspire_llm.errors import ConfigError, ModelError
from aspire_llm.lm.memory import device_name, free_memory
from aspire_llm.lm.miniature import miniature, num_layers, read_architecture
from aspire_llm.lm.model import Backbone
from aspire_llm.lm.out_of_memory import ran_out
from aspire_llm.lm.read_states import Position
from aspire_llm.planning.costs import Batch, Costs, Job, measure, readout_seconds
from aspire_llm.planning.estimate import Plan, StagePlan
from aspire_llm.progress import progress
from aspire_llm.records import Question, Split
from aspire_llm.run_loading import new_encoder
from aspire_llm.stages.states_readout import answers_kept

_SHALLOW, _DEEP = 2, 6  # layers that jobs are measured on
_SAMPLED = 256  # training questions whose lengths are looked at
_LONG, _GPU_IN_CPUS = 5e13, 100  # products in some minutes of two cores, and how many times as many a GPU does
_FORWARD = 1 / 3  # of a forward and backward pass, the forward one


Data: TypeAlias = tuple[Mapping[Split, Sequence[Question]], Sequence[Question]]


def plan_run(config: RunConfig, data: Data | None = None) -> Plan:
    """Plan a run: its data are read, its model's weights are not.

    Every job is done on two depths of the model with random weights, and goes on in a straight line from there.

    Args:
        config: Of the run.
        data: Its questions by split and its few-shot examples, where they are at hand.

    Raises:
        AspireError: The data or the model cannot be read, the model is not held plainly by one process, or memory ran
            out.
    """
    questions, examples = data or load_splits(config)
    architecture, tokenizer = read_architecture(config.model)
    if not can_plan(config) or getattr(architecture, "quantization_config", None):
        raise ConfigError(
            "a plan is of a plain model on one device; leave out quantization, device_map and sharding, and take a "
            "model whose files are not quantised"
        )
    try:
        costs, facts = _costs(config, architecture, tokenizer, questions[Split.TRAIN], examples)
    except RuntimeError as error:
        if not ran_out(error):
            raise
        raise ModelError(
            "out of memory in a plan, where a run goes on with less at once; to plan, lower stage2.batch_size, "
            "stage1.batch_size and stage3.batch_size, or shorten contexts"
        ) from None
    return _planned(config, questions, costs, facts)


def can_plan(config: RunConfig) -> bool:
    """Whether the settings have the model held plainly on one device, as the measured layers are."""
    return config.quantization is None and config.device_map is None and config.sharding is None


def is_long(config: RunConfig, parameters: int, tokens: int, device: str) -> bool:
    """Whether a run takes so long that half a minute for a plan is nothing: minutes, by the count of its products.

    Args:
        config: Of the run.
        parameters: Of its model.
        tokens: Of all prompts.
        device: Where it computes.
    """
    passes = 3 * config.stage1.epochs + (3 * config.stage3.epochs if config.stage3.enabled else 0) + 6
    return 2.0 * parameters * tokens * passes > _LONG * (_GPU_IN_CPUS if device.startswith("cuda") else 1)


@dataclass(frozen=True, slots=True)
class _Facts:
    """What else a plan depends on.

    Attributes:
        parameters, model_bytes: Of the whole model.
        process: Bytes of the process without a model; 0 on a GPU.
        device: Where it computes.
        layout_bytes: Of the weights that decoding lays out.
        num_layers, width: Of its hidden states.
        steps: Tokens that the search of a question goes on for, and that of the last of a batch.
        free: Bytes that are free there.
    """

    parameters: int
    model_bytes: int
    process: int
    device: str
    layout_bytes: int
    num_layers: int
    width: int
    steps: tuple[float, float]
    free: int


def _costs(
    config: RunConfig,
    architecture: PreTrainedConfig,
    tokenizer: PreTrainedTokenizerBase,
    train: Sequence[Question],
    examples: Sequence[Question],
) -> tuple[Costs, _Facts]:
    whole = num_layers(architecture)
    depths = sorted({min(whole, _SHALLOW), min(whole, _DEEP)})
    measured: list[Costs] = []
    sizes: list[int] = []
    laid_out: list[int] = []
    process = psutil.Process().memory_info().rss
    with progress("measuring what the model's layers cost", len(Job) * len(depths)) as bar:
        for depth in depths:
            backbone = miniature(architecture, tokenizer, depth, config)
            batch, steps = _batch(backbone, config, train, examples)
            measured.append(measure(backbone, config, batch, lambda: bar.update(1)))
            sizes.append(backbone.num_parameters)
            bytes_each, device, width = backbone.dtype.itemsize, backbone.device, backbone.width
            laid_out.append(0 if backbone.fast is None else backbone.fast.layout_bytes)
            del backbone, batch
    beyond = (whole - depths[0]) / max(1, depths[-1] - depths[0])
    costs = {job: cost.towards(measured[-1][job], beyond) for job, cost in measured[0].items()}

    def along(measured: Sequence[int]) -> int:
        """Of the whole model, by the same of both depths."""
        return round(measured[0] + beyond * (measured[-1] - measured[0]))

    parameters = along(sizes)
    facts = _Facts(
        parameters,
        parameters * bytes_each,
        process if device.type == "cpu" else 0,
        device_name(device),
        along(laid_out),
        whole,
        width,
        steps,
        free_memory(device),
    )
    return costs, facts


def _batch(
    backbone: Backbone, config: RunConfig, train: Sequence[Question], examples: Sequence[Question]
) -> tuple[Batch, tuple[float, float]]:
    """Questions of about the mean length, as many as are decoded together.

    Beside them, for how many tokens after the first the beams of a question go on, and those of the last one: one more
    than its reference has, and about twice as many, since other beams end later than the best.
    """
    encoder = new_encoder(backbone, config, examples)
    places = np.linspace(0, len(train) - 1, min(len(train), _SAMPLED)).round().astype(int)
    prompts = sorted((encoder.prompt(train[i]) for i in places), key=lambda own: len(own.token_ids))
    lengths = np.array([len(own.token_ids) for own in prompts])
    references = [
        encoder.shortened(encoder.answer(own, own.question.references[0])) for own in prompts if own.question.references
    ] or [()]
    middle, many = int(np.searchsorted(lengths, lengths.mean())), min(config.stage2.batch_size, len(prompts))
    start = max(0, min(middle - many // 2, len(prompts) - many))
    ends = np.array([len(own) for own in references])
    most = config.stage2.max_new_tokens - 1
    steps = min(most, float(ends.mean()) + 1), min(most, 2 * float(np.quantile(ends, 1 - 1 / (many + 1))) + 1)
    chosen = [references[(start + i) % len(references)] for i in range(max(many, 2 * config.stage2.num_beams))]
    return Batch(prompts[start : start + many], chosen), steps


def _planned(config: RunConfig, questions: Mapping[Split, Sequence[Question]], costs: Costs, facts: _Facts) -> Plan:
    own = cross_fit(questions[Split.TRAIN], config.stage2, seed=config.seed)
    sampled, validation = len(own.sampled), len(questions[Split.VALIDATION])
    calibration, test = len(questions[Split.CALIBRATION]), len(questions[Split.TEST])
    typical, last = facts.steps
    alone = max(0.0, last - typical) * costs[Job.LONE_STEP].seconds / config.stage2.batch_size  # once per batch
    decoding = costs[Job.PROMPT].seconds + typical * costs[Job.STEP].seconds + alone
    untuned = costs[Job.PROMPT].seconds + config.stage2.max_new_tokens * costs[Job.STEP].seconds
    verdict = costs[Job.VERDICT].seconds if Job.VERDICT in costs else 0.0
    answered = calibration + test + (validation if config.score.kind == "fused" else 0)

    def stage(name: str, count: int, seconds: float, *jobs: Job, kept: int = 0) -> StagePlan:
        peaks = [costs[job].peak for job in jobs]
        # Once weights are laid out for decoding, the pages of their file count until the system wants them back.
        laid_out = 0 if Job.TUNING in jobs else facts.layout_bytes
        always = facts.process + facts.model_bytes + laid_out + kept
        peak = None if None in peaks else always + max(peak or 0 for peak in peaks)
        return StagePlan(name, count, seconds, peak)

    tuned = _tuned(own)
    stages = [
        stage(
            "stage1",
            len(own.tuned),
            costs[Job.TUNING].seconds * config.stage1.epochs * (tuned + _FORWARD * validation * (1 + own.num_folds)),
            Job.TUNING,
        ),
        stage("stage2", sampled + validation, decoding * (sampled + validation), Job.PROMPT, Job.STEP),
    ]
    if Job.STATES in costs:
        layers = min(config.states.num_layers, facts.num_layers)
        each = min(config.stage2.num_beams, answers_kept(sampled, layers, facts.width, config.states))
        learned = readout_seconds(sampled, sampled * each, facts.width, len(Position) * layers)
        stages.append(stage("states", sampled, costs[Job.STATES].seconds * sampled + learned, Job.STATES))
    if Job.LEARNING in costs:
        first, again = costs[Job.LEARNING].seconds, costs[Job.LEARNING_AGAIN].seconds
        seen = sampled + _FORWARD * validation
        learning = seen * (first + (config.stage3.epochs - 1) * again)
        kept = min(_budget(config.stage3, facts.free), round(costs[Job.LEARNING_AGAIN].kept * (sampled + validation)))
        stages.append(stage("stage3", sampled, learning, Job.LEARNING, kept=kept))
    prediction = answered * (decoding + verdict) + (test * untuned if config.rivals.untuned else 0.0)
    stages.append(stage("prediction", answered, prediction, Job.PROMPT, Job.STEP))
    return Plan(tuple(stages), facts.model_bytes, facts.parameters, facts.device, calibration)


def _budget(config: SelfEvaluationConfig, free: int) -> int:
    """Bytes that prefixes may take which come back in later epochs."""
    if config.epochs == 1:
        return 0
    return free // 2 if config.kept_prefixes == "auto" else config.kept_prefixes * 2**20


def _tuned(own: CrossFit) -> int:
    """Questions that all θp together are tuned on."""
    return len(own.tuned) + sum(len(own.tuned_for(fold)) for fold in range(own.num_folds))
