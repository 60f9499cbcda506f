"""The whole of ASPIRE over one run directory: three stages, predictions, calibration, metrics, report.

Each step takes its output from the run directory if it is there, and computes it if it is not.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from torch import Tensor

from aspire_llm.comparison import write_tables
from aspire_llm.config import RunConfig, TrainingConfig
from aspire_llm.correctness import label
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
from aspire_llm.lm.batching import by_length
from aspire_llm.lm.kept_prefixes import KeptPrefixes
from aspire_llm.lm.self_evaluation import num_positions
from aspire_llm.methods.evaluation import evaluate_run
from aspire_llm.methods.run_source import RunSource, answer_sets, load_splits
from aspire_llm.methods.scoring import CHEAP, forget_changed, resolve_methods, score_answers
from aspire_llm.predictor import EXAMPLES, SelectivePredictor, likeliest_answers, load_model, new_encoder
from aspire_llm.records import LabelledAnswer, Question, Split
from aspire_llm.report import write_report
from aspire_llm.results.lines import prediction_line, read_sample, sample_line, untuned_line
from aspire_llm.rundir.directory import RunDirectory, append_lines
from aspire_llm.rundir.provenance import record_provenance, record_seconds_a_question, timed
from aspire_llm.selection import Calibration, Infeasible, fit_calibration
from aspire_llm.stages.stage1_task_tuning import TaskExample, task_examples, task_loss
from aspire_llm.stages.stage2_answer_sampling import sample_answers
from aspire_llm.stages.stage3_self_evaluation import VerdictExample, verdict_examples, verdict_loss
from aspire_llm.stages.training_loop import TrainingLoop

Example = TypeVar("Example")
Loss: TypeAlias = Callable[[Sequence[Example]], Tensor]

BATCHES_AT_ONCE = 4  # batches between two writes: questions among them are sorted by length
_TITLES = {TASK: "stage 1", SELF_EVALUATION: "stage 3"}


def run(config: RunConfig, output: str | Path, *, fresh: bool = False, methods: str | None = None) -> dict[str, Any]:
    """Run all of ASPIRE, or what is missing of it, into a run directory.

    Args:
        config: The settings.
        output: The run directory; made where it is not there, resumed where it is.
        fresh: Replace a run that is there.
        methods: Selection methods to evaluate, separated by commas, or ``all``; None for those that cost nothing.

    Returns:
        The content of `metrics.json`.

    Raises:
        AspireError: The settings, the data, the model or the directory do not fit; nothing is half written.
    """
    directory = RunDirectory.plan(Path(output), config, fresh=fresh)
    names = resolve_methods(methods, directory)
    pipeline = Pipeline(directory)
    forget_changed(directory)
    directory.start()
    return pipeline.run(*names, optional=methods in (None, "all"))


class Pipeline:
    """The steps of one run, in order.

    Args:
        directory: Where results are kept.
    """

    def __init__(self, directory: RunDirectory) -> None:
        self.directory = directory
        self.config = directory.config
        self.questions, self.examples = load_splits(self.config)
        self.backbone = load_model(self.config)
        self._try_lora()
        self._soft_tokens = num_soft_tokens(self.backbone, self.config.stage1, self.config.stage3)
        self.encoder = new_encoder(self.backbone, self.config, self.examples)
        self.verdict_tokens = self.encoder.verdict_tokens(self.config.stage3.verdict_words)
        everything = [question for split in Split for question in self.questions[split]]
        self.contexts_cut = sum(self.encoder.prompt(question).cut for question in everything)
        if self.contexts_cut:
            print(f"contexts cut to the model's window: {self.contexts_cut} of {len(everything)}", file=sys.stderr)

    def _try_lora(self) -> None:
        """Where peft has no LoRA for the model, that is known before anything is computed or written."""
        for name, config in ((TASK, self.config.stage1), (SELF_EVALUATION, self.config.stage3)):
            if config.adapter == "lora":
                new_adapter(self.backbone, name, config, seed=self.config.seed)

    def run(
        self, methods: Sequence[str] = CHEAP, left_out: Mapping[str, str] | None = None, *, optional: bool = False
    ) -> dict[str, Any]:
        """All steps, with these methods evaluated (see `score_answers`); the content of `metrics.json`."""
        record_provenance(
            self.directory,
            self.questions,
            model_type=self.backbone.model.config.model_type,
            parameters=self.backbone.num_parameters,
            device=self.backbone.device,
            contexts_cut=self.contexts_cut,
        )
        self.directory.write_json(EXAMPLES, [asdict(example) for example in self.examples])
        with timed(self.directory, "stage1"):
            task = self.tune_task()
        with timed(self.directory, "stage2"):
            samples = self.sample_answers(task)
        with timed(self.directory, "stage3"):
            self_evaluation = self.learn_self_evaluation(task, samples)
        with timed(self.directory, "prediction"):
            self.predict_untuned()
            predictor = self.predict(AdaptedModel(self.backbone, task, self_evaluation))
        with timed(self.directory, "evaluation"):
            sets = answer_sets(self.directory, RunSource(self.directory, predictor))
            left_out = {**(left_out or {}), **score_answers(self.directory, sets, methods, optional=optional)}
            metrics = evaluate_run(self.directory, methods, left_out=left_out)
        write_report(self.directory.path)
        write_tables(self.directory.path)
        return metrics

    def tune_task(self) -> Adapter:
        """Stage 1: θp from the references of the training split."""

        def loss(adapter: Adapter) -> Loss[TaskExample]:
            return partial(task_loss, AdaptedModel(self.backbone, adapter))

        def examples(split: Split) -> list[TaskExample]:
            return task_examples(self.questions[split], self.encoder, self.backbone.eos_token_id)

        def length(example: TaskExample) -> int:
            return self._soft_tokens[0] + len(example.prompt.token_ids) + len(example.target)

        return self._trained(TASK, self.config.stage1, loss, length, examples)

    def sample_answers(self, task: Adapter) -> dict[str, list[LabelledAnswer]]:
        """Stage 2: the tuned model's answers to the training and validation splits, by question id."""
        questions = [*self.questions[Split.TRAIN], *self.questions[Split.VALIDATION]]
        model = AdaptedModel(self.backbone, task)

        def lines(part: Sequence[Question]) -> list[str]:
            sampled = sample_answers(
                model, self.encoder, part, self.config.stage2, self.config.correctness, seed=self.config.seed
            )
            return [sample_line(question.id, answers) for question, answers in zip(part, sampled, strict=True)]

        self._append("samples.jsonl", "stage 2", questions, lines)
        return dict(read_sample(line) for line in self.directory.read_lines("samples.jsonl"))

    def learn_self_evaluation(self, task: Adapter, samples: Mapping[str, Sequence[LabelledAnswer]]) -> Adapter:
        """Stage 3: θs from the labelled answers."""

        config = self.config.stage3
        budget = None if config.kept_prefixes == "auto" else config.kept_prefixes * 2**20
        kept = KeptPrefixes(self.backbone, budget)

        def loss(adapter: Adapter) -> Loss[VerdictExample]:
            model = AdaptedModel(self.backbone, task, adapter)
            return partial(verdict_loss, model, self.verdict_tokens, read=kept.read)

        def length(example: VerdictExample) -> int:
            answers = [*example.correct, *example.wrong]
            return num_positions(self.backbone, example.prompt, answers, self._soft_tokens)

        def examples(split: Split) -> list[VerdictExample]:
            return verdict_examples(self.questions[split], samples, self.encoder, config)

        return self._trained(SELF_EVALUATION, config, loss, length, examples)

    def predict_untuned(self) -> None:
        """The base model's answers to the test split."""
        model = AdaptedModel(self.backbone)
        threshold = self.config.correctness.eval_threshold

        def lines(part: Sequence[Question]) -> list[str]:
            answers = by_length(
                [len(self.encoder.prompt(question).token_ids) for question in part],
                self.config.stage2.batch_size,
                lambda indices: likeliest_answers(model, self.encoder, [part[i] for i in indices], self.config),
            )
            return [untuned_line(q, label(answer, q, threshold)) for q, answer in zip(part, answers, strict=True)]

        self._append("predictions_untuned.jsonl", "prediction before tuning", self.questions[Split.TEST], lines)

    def predict(self, model: AdaptedModel) -> SelectivePredictor:
        """Scores of the calibration split, confidence from them, and predictions for the test split."""
        uncalibrated = SelectivePredictor(model, self.encoder, self.config)
        self._append(
            "calibration_predictions.jsonl",
            "calibration",
            self.questions[Split.CALIBRATION],
            lambda part: [prediction_line(prediction) for prediction in uncalibrated.predict(part)],
        )
        calibration = self._calibrate()
        predictor = SelectivePredictor(model, self.encoder, self.config, calibration)
        self._append(
            "predictions.jsonl",
            "prediction",
            self.questions[Split.TEST],
            lambda part: [prediction_line(prediction) for prediction in predictor.predict(part)],
        )
        if predictor.num_questions:
            record_seconds_a_question(self.directory, predictor.seconds, predictor.num_questions)
        return predictor

    def _calibrate(self) -> Calibration | None:
        lines = self.directory.read_lines("calibration_predictions.jsonl")
        known = [line for line in lines if line["correct"] is not None]
        fitted = fit_calibration([line["selection_score"] for line in known], [line["correct"] for line in known])
        if isinstance(fitted, Infeasible):
            self.directory.write_json("calibration.json", {"method": None, "reason": fitted.reason})
            return None
        self.directory.write_json("calibration.json", fitted.to_json())
        return fitted

    def _trained(
        self,
        name: str,
        config: TrainingConfig,
        loss: Callable[[Adapter], "Loss[Example]"],
        length: Callable[[Example], int],
        examples: Callable[[Split], list[Example]],
    ) -> Adapter:
        folder = f"{name}_adapter"
        if (self.directory.path / folder).is_dir():
            return load_adapter(self.backbone, name, self.directory.path / folder)
        adapter = new_adapter(self.backbone, name, config, seed=self.config.seed)
        loop = TrainingLoop(
            _TITLES[name],
            adapter.parameters(),
            loss(adapter),
            length,
            config,
            seed=self.config.seed,
            checkpoint=self.directory.path / f"{folder}.checkpoint",
            log=self.directory.log,
        )
        recomputing = self.backbone.layers_recomputed() if config.recompute_layers else nullcontext()
        with recomputing:
            loop.fit(examples(Split.TRAIN), examples(Split.VALIDATION))
        with self.directory.new_folder(folder) as path:
            save_adapter(adapter, path)
        loop.finish()
        return frozen(adapter)

    def _append(
        self, name: str, title: str, questions: Sequence[Question], lines: Callable[[Sequence[Question]], list[str]]
    ) -> None:
        size = BATCHES_AT_ONCE * self.config.stage2.batch_size
        append_lines(self.directory.path / name, title, questions, size, lines)
