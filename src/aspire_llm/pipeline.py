"""The whole of ASPIRE over one run directory: three stages, predictions, calibration, metrics, report.

Each step takes its output from the run directory if it is there, and computes it if it is not; what a changed setting
makes again is in the table of `rundir/steps.py`. Labels, scores and figures follow from stored answers in seconds, so
they are made again every time, and without torch, which takes seconds to import.
"""

import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from aspire_llm.config import RunConfig
from aspire_llm.config_files import with_whole_paths
from aspire_llm.data import load_splits
from aspire_llm.data.cross_fitting import cross_fit
from aspire_llm.errors import ModelError
from aspire_llm.lm.model_files import check_model
from aspire_llm.methods.catalogue import score_outputs
from aspire_llm.methods.evaluation import evaluate_answers
from aspire_llm.methods.scoring import CHEAP, resolve_methods
from aspire_llm.processes import joined, processes
from aspire_llm.progress import warn
from aspire_llm.records import Split
from aspire_llm.report import write_report, write_tables
from aspire_llm.results.calibration import caveats
from aspire_llm.results.metrics import RunMetrics
from aspire_llm.results.novelty import NOVELTY
from aspire_llm.results.predictions import (
    CALIBRATION_PREDICTIONS,
    PREDICTIONS,
    VALIDATION_PREDICTIONS,
)
from aspire_llm.results.questions import EXAMPLES
from aspire_llm.results.samples import SAMPLES
from aspire_llm.results.states import STATES
from aspire_llm.run_answers import RunAnswers
from aspire_llm.rundir.directory import RunDirectory
from aspire_llm.rundir.provenance import PROVENANCE, check_data, record, timed
from aspire_llm.rundir.steps import CUT_CONTEXTS, OUTPUTS, stale
from aspire_llm.rundir.writing import remove
from aspire_llm.tracking import Log, check_tracker, figures_of, tracked

if TYPE_CHECKING:
    from aspire_llm.learning import Learning
    from aspire_llm.lm.tokenization import EncodedPrompt
    from aspire_llm.run_model import RunModel

T = TypeVar("T")


def run(
    config: RunConfig,
    output: str | Path,
    *,
    fresh: bool = False,
    remake: bool = False,
    methods: str | None = None,
    notes: Sequence[str] = (),
) -> RunMetrics:
    """Run all of ASPIRE, or what is missing of it, into a run directory.

    Args:
        config: The settings.
        output: The run directory; made where it is not there, resumed where it is.
        fresh: Replace a run that is there.
        remake: Train again what other settings than those of the run that is there change, and keep the rest.
        methods: Selection methods to evaluate, separated by commas, or ``all``; None for those that cost nothing.
        notes: Sentences for the user, printed when nothing stands in the run's way any more.

    Returns:
        The content of `metrics.json`.

    Raises:
        AspireError: The settings, the data, the model or the directory do not fit; nothing is half written.
    """
    config = with_whole_paths(config)
    with joined(config.sharding):
        directory = RunDirectory.plan(Path(output), config, fresh=fresh, remake=remake)
        names, left_out = resolve_methods(methods, config)
        with directory:
            return _run(directory, names, left_out, notes, optional=methods in (None, "all"))


def _run(
    directory: RunDirectory,
    names: Sequence[str],
    left_out: Mapping[str, str],
    notes: Sequence[str],
    *,
    optional: bool,
) -> RunMetrics:
    pipeline, begins = Pipeline(directory), not directory.is_begun
    pipeline.begin()
    for note in (*notes, *(pipeline.introduction() if begins and not notes else ())):
        print(f"aspire-llm: {note}", file=sys.stderr)
    return pipeline.run(names, left_out, optional=optional)


class Pipeline:
    """The steps of one run, in order.

    Args:
        directory: Where results are kept.
    """

    def __init__(self, directory: RunDirectory) -> None:
        self.directory, self.folder, self.config = directory, directory.path, directory.config
        self.questions, self.examples = load_splits(self.config)
        self.answers = RunAnswers(self.folder, self.config, self.questions, lambda: self.model)
        self._is_begun = False
        self._track: Log = lambda _figures, *, step=None: None

    @cached_property
    def model(self) -> "RunModel":
        """The model of the run, loaded where something has to be computed."""
        from aspire_llm.run_model import RunModel

        model = RunModel(self.directory, self.questions, self.examples)
        total = sum(map(len, self.questions.values()))
        for what, cut in (
            ("contexts cut to the model's window", model.contexts_cut),
            ("references cut to stage2.max_new_tokens where they are learned from", model.references_cut),
        ):
            if cut:
                print(f"{what}: {cut} of {total}", file=sys.stderr)
        if self._is_begun:
            record(self.folder, model.provenance)
        return model

    @cached_property
    def learning(self) -> "Learning":
        """The stages, where one is to be taken."""
        from aspire_llm.learning import Learning

        def log(stage: str, epoch: int, **figures: float) -> None:
            self._track({f"{stage}/{name}": value for name, value in figures.items()}, step=epoch)

        return Learning(self.directory, self.model, log=log)

    def begin(self) -> None:
        """Make the directory, or go on with what is there: what other settings make stale is removed.

        Raises:
            RunDirectoryError: The run was begun with other questions, or with other weights of the model.
        """
        check_tracker(self.config.tracking)
        earlier = self.directory.is_begun and PROVENANCE.exists(self.folder)
        table = (*OUTPUTS, *score_outputs())
        outdated = stale(self.directory.changed, table)
        if earlier and not any(key == "seed" or key.startswith("data.") for key in self.directory.changed):
            check_data(self.folder, self.questions)
        others = ("model", "quantization")
        if earlier and not any(key in others or key.startswith("prompts.") for key in self.directory.changed):
            check_model(self.folder, self.config)
        if any(output.name == CUT_CONTEXTS for output in outdated):
            known = PROVENANCE.read(self.folder).data.contexts_cut if earlier else 0
            outdated = stale(self.directory.changed, table, contexts_cut=bool(known or self.model.contexts_cut))
        if not earlier:
            _ = self.model.prompts  # a model or a question that does not fit is known before anything is written
        self.directory.start(outdated)
        self._is_begun = True
        if "model" in vars(self):
            record(self.folder, self.model.provenance)
        EXAMPLES.write(self.folder, self.examples)
        self.directory.settle()

    def introduction(self) -> tuple[str, ...]:
        """Of a long run that one process takes: what it takes on this machine, in a sentence."""
        from aspire_llm.planning import can_plan, is_long, plan_run

        backbone = self.model.backbone
        if processes().count > 1 or not can_plan(self.config) or getattr(backbone.model, "hf_quantizer", None):
            return ()
        tokens = sum(len(prompt.token_ids) for own in self.model.prompts.values() for prompt in own)
        if not is_long(self.config, backbone.num_parameters, tokens, backbone.device.type):
            return ()
        try:
            return (plan_run(self.config, (self.questions, self.examples)).sentence,)
        except ModelError:  # of memory: the run itself goes on with less at once
            return ()

    def run(
        self, methods: Sequence[str] = CHEAP, left_out: Mapping[str, str] | None = None, *, optional: bool = True
    ) -> RunMetrics:
        """Take all steps.

        Args:
            methods: Names of the selection methods to evaluate.
            left_out: Of further methods, why they are not among them.
            optional: Whether a method that the data do not allow is left out rather than an error.

        Returns:
            The content of `metrics.json`.
        """
        with tracked(self.config, self.folder) as self._track:
            metrics = self._taken(methods, left_out, optional=optional)
            self._track(figures_of(metrics))
        return metrics

    def _taken(self, methods: Sequence[str], left_out: Mapping[str, str] | None, *, optional: bool) -> RunMetrics:
        for name, step in (
            ("stage1", self.tune_task),
            ("stage2", self.sample_answers),
            ("states", self.learn_states),
            ("stage3", self.learn_self_evaluation),
            ("prediction", self.predict),
        ):
            with timed(self.folder, name):
                step()
            if "model" in vars(self):
                self.model.give_back()

        def evaluate() -> RunMetrics:
            with timed(self.folder, "evaluation"):
                metrics = evaluate_answers(
                    self.folder, self.config, self.answers.sets(), methods, left_out, optional=optional
                )
            processes().once(lambda: (write_report(self.folder), write_tables(self.folder)))
            return metrics

        # Methods may take passes of the model, which takes all processes where they have split it.
        return evaluate() if processes().sharding else processes().once(evaluate)

    def tune_task(self) -> None:
        """Stage 1: θp from the references of the training split."""
        if not (self.folder / "task_adapter").is_dir():
            self.learning.tune_task()

    def sample_answers(self) -> None:
        """Stage 2: the tuned model's answers to the training and validation splits, labelled."""
        sampled = cross_fit(self.questions[Split.TRAIN], self.config.stage2, seed=self.config.seed).sampled
        questions = (*sampled, *self.questions[Split.VALIDATION])

        def prompts() -> "list[EncodedPrompt]":
            return [own for split in (Split.TRAIN, Split.VALIDATION) for own in self.model.sampled_prompts(split)]

        samples = self.answers.fill(
            SAMPLES, "stage 2", questions, prompts, lambda part: self.learning.sample_answers(part)
        )
        asked = {own.id: own for own in questions}
        threshold, measure = self.config.correctness.train_threshold, self.config.correctness.measure
        SAMPLES.revise(self.folder, samples, lambda own: own.relabelled(asked[own.id], threshold, measure))

    def learn_states(self) -> None:
        """The read-out of hidden states from the labelled answers."""
        if self.config.states.enabled and not STATES.exists(self.folder):
            self._forget_predictions()
            self.learning.learn_states()

    def learn_self_evaluation(self) -> None:
        """Stage 3: θs from the labelled answers."""
        if self.config.stage3.enabled and not (self.folder / "self_eval_adapter").is_dir():
            self.learning.learn_self_evaluation()

    def predict(self) -> None:
        """The untuned model's answers, where they are wanted, confidence from the calibration split, predictions."""
        if not NOVELTY.exists(self.folder):
            self._forget_predictions()
            self.model.learn_novelty()
        if self.config.rivals.untuned:
            self.answers.predict_untuned()
        rule = self.answers.calibrate()
        self.answers.predict(rule)
        for caveat in caveats(rule, NOVELTY.read(self.folder)):
            warn(caveat)

    def _forget_predictions(self) -> None:
        """Those of an earlier version, which were made without what is learned now."""
        for made_without in (CALIBRATION_PREDICTIONS, PREDICTIONS, VALIDATION_PREDICTIONS):
            remove(self.folder / made_without.name)
