"""All of ASPIRE on the same questions: `aspire_llm.run` against the plain version in `plain_pipeline.py`.

Counted are stages 1 to 3 and prediction (before tuning, for calibration and for the test split), not loading the model
or the report. θp and θs that ours learned give the same losses, answers and P(z_c) in the plain version.
"""

import json
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from aspire_llm import run
from aspire_llm.config import RunConfig
from aspire_llm.config_files import parse_config
from aspire_llm.data import load_splits, render_prompt
from aspire_llm.records import Question, Split
from benchmarks import plain_pipeline as plain
from benchmarks.measure import Row, Settings, close, same, say
from benchmarks.models import SOFT_TOKENS, SOMETIMES, model, tokenizer

Result = TypeVar("Result")
_STEPS = ("stage1", "stage2", "stage3", "prediction")
_CHECKED = 1  # questions of each kind that are computed again to compare


@dataclass(frozen=True, slots=True)
class Case:
    """Questions of each split, words of their contexts, epochs of stages 1 and 3."""

    splits: tuple[int, int, int, int]
    words: tuple[int, int]
    epochs: int

    def __str__(self) -> str:
        return (
            f"{sum(self.splits)} questions, prompts of {self.words[0]}–{self.words[1]} words, k=10, "
            f"at most 16 new tokens, {self.epochs} epoch(s)"
        )


@dataclass(slots=True)
class PlainRun:
    """The plain version over one set of splits.

    Attributes:
        seconds: Wall time of each step.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    config: RunConfig
    questions: dict[Split, tuple[Question, ...]]
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def verdict_tokens(self) -> tuple[int, int]:
        correct, wrong = self.tokenizer.convert_tokens_to_ids(list(self.config.stage3.verdict_words))
        return correct, wrong

    def run(self, directory: Path) -> None:
        """Stages 1 to 3 and prediction."""
        training = [*self.questions[Split.TRAIN], *self.questions[Split.VALIDATION]]
        theta_p = self._timed("stage1", partial(self._tune_task, directory))
        answers = self._timed("stage2", partial(self.answer, training, theta_p))
        theta_s = self._timed("stage3", partial(self._learn, training, answers, theta_p))
        self._timed("prediction", partial(self._predict, theta_p, theta_s))

    def pairs(self, questions: Sequence[Question]) -> list[plain.Pair]:
        """Prompts with their first references."""
        eos = self.tokenizer.eos_token_id
        return [
            (self.tokenizer(render_prompt(q))["input_ids"], [*self.tokenizer(q.references[0])["input_ids"], eos])
            for q in questions
        ]

    def answer(self, questions: Sequence[Question], theta_p: Tensor) -> list[list[plain.Answer]]:
        """k answers a question."""
        return plain.answer(self.model, self.tokenizer, questions, theta_p, self.config)

    def self_evaluate(
        self, questions: Sequence[Question], answers: list[list[plain.Answer]], theta_p: Tensor, theta_s: Tensor
    ) -> Tensor:
        """log P(z_c) of the likeliest answers, a batch at a time."""
        pairs = [
            (self.tokenizer(render_prompt(question))["input_ids"], found[0].token_ids)
            for question, found in zip(questions, answers, strict=True)
        ]
        size = self.config.stage2.batch_size
        batches = [pairs[start : start + size] for start in range(0, len(pairs), size)]
        return torch.cat(
            [plain.self_evaluate(self.model, self.verdict_tokens, batch, theta_p, theta_s) for batch in batches]
        )

    def _tune_task(self, directory: Path) -> Tensor:
        train, validation = self.pairs(self.questions[Split.TRAIN]), self.pairs(self.questions[Split.VALIDATION])
        initial = _drawn(self.model, seed=1)
        return plain.tune_task(self.model, self.tokenizer, train, validation, initial, self.config.stage1, directory)

    def _learn(self, questions: Sequence[Question], answers: list[list[plain.Answer]], theta_p: Tensor) -> Tensor:
        judged = plain.judge(self.tokenizer, questions, answers, self.config)
        split = len(self.questions[Split.TRAIN])
        initial = _drawn(self.model, seed=2)
        return plain.learn_self_evaluation(
            self.model, self.verdict_tokens, judged[:split], judged[split:], theta_p, initial, self.config.stage3
        )

    def _predict(self, theta_p: Tensor, theta_s: Tensor) -> None:
        self.answer(self.questions[Split.TEST], theta_p[:0])
        for split in (Split.CALIBRATION, Split.TEST):
            answers = self.answer(self.questions[split], theta_p)
            self.self_evaluate(self.questions[split], answers, theta_p, theta_s)

    def _timed(self, step: str, job: Callable[[], Result]) -> Result:
        started = time.perf_counter()
        result = job()
        self.seconds[step] = time.perf_counter() - started
        say(f"    plain {step}: {self.seconds[step]:.1f} s")
        return result


def rows(settings: Settings) -> list[Row]:
    """One run of each: the whole, and its steps. Half of the questions are to train on, three tenths to test on."""
    validation = calibration = max(1, settings.questions // 10)
    test = max(1, 3 * settings.questions // 10)
    train = settings.questions - validation - calibration - test
    return run_case("opt-125m", Case((train, validation, calibration, test), (500, 600), epochs=1))


def run_case(name: str, case: Case) -> list[Row]:
    """Compare and measure one case."""
    say(f"  {name}: {case}")
    subject = model(name)
    with tempfile.TemporaryDirectory() as folder:
        config = _prepare(subject, case, Path(folder))
        words = tokenizer(subject.config.vocab_size, SOMETIMES)
        directory = Path(folder) / "run"
        run(config, directory)
        ours = json.loads((directory / "provenance.json").read_text(encoding="utf-8"))["seconds"]
        peer = PlainRun(subject, words, config, dict(load_splits(config)[0]))
        _check(peer, directory)
        peer.run(Path(folder) / "trainer")
    setting = f"{name}, {case}"
    total = Row(
        "pipeline",
        "the same on transformers + peft",
        setting,
        sum(ours[step] for step in _STEPS),
        sum(peer.seconds[step] for step in _STEPS),
        target=6.0,
    )
    steps = [
        Row("pipeline", f"{step} of it", setting, ours[step], peer.seconds[step], group="steps of the pipeline")
        for step in _STEPS
    ]
    return [total, *steps]


def _prepare(subject: PreTrainedModel, case: Case, folder: Path) -> RunConfig:
    """Model, questions and settings of a run."""
    subject.save_pretrained(folder / "model")
    tokenizer(subject.config.vocab_size, SOMETIMES).save_pretrained(folder / "model")
    source = random.Random(0)

    def words(count: int) -> str:
        return " ".join(f"w{source.randrange(100, subject.config.vocab_size)}" for _ in range(count))

    lines = [
        {"id": f"q{i}", "question": words(6), "context": words(source.randint(*case.words)), "answer": words(1 + i % 3)}
        for i in range(sum(case.splits))
    ]
    (folder / "questions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    training = {"num_soft_tokens": SOFT_TOKENS, "epochs": case.epochs, "patience": case.epochs, "learning_rate": 1e-3}
    splits: dict[str, Any] = dict(zip((split.value for split in Split), case.splits, strict=True))
    return parse_config(
        {
            "model": str(folder / "model"),
            "data": {"path": str(folder / "questions.jsonl"), "splits": splits},
            "stage1": training,
            "stage2": {"max_new_tokens": 16},
            "stage3": training,
            "device": "cpu",
        }
    )


def _check(peer: PlainRun, directory: Path) -> None:
    """What ours learned and answered, computed again by the plain version."""
    theta_p = load_file(directory / "task_adapter" / "adapter_model.safetensors")["prompt_embeddings"]
    theta_s = load_file(directory / "self_eval_adapter" / "adapter_model.safetensors")["prompt_embeddings"]
    samples = {line["id"]: line["answers"] for line in _read(directory / "samples.jsonl")}
    some = peer.questions[Split.TRAIN][:_CHECKED]
    for question, found in zip(some, peer.answer(some, theta_p), strict=True):
        theirs = [tuple(answer["token_ids"]) for answer in samples[question.id]]
        same(f"answers to {question.id}", theirs, [answer.token_ids for answer in found])
    predictions = {line["id"]: line for line in _read(directory / "predictions.jsonl")}
    some = peer.questions[Split.TEST][:_CHECKED]
    answers = peer.answer(some, theta_p)
    verdicts = peer.self_evaluate(some, answers, theta_p, theta_s).exp().tolist()
    for question, found, self_eval in zip(some, answers, verdicts, strict=True):
        prediction = predictions[question.id]
        given = prediction["withheld_answer"] if prediction["abstained"] else prediction["answer"]
        same(f"prediction for {question.id}", given, found[0].text)
        close(f"likelihood for {question.id}", abs(prediction["log_likelihood"] - found[0].log_likelihood), 1e-4)
        close(f"P(z_c) for {question.id}", abs(prediction["self_eval"] - self_eval), 1e-4)
    validation = peer.questions[Split.VALIDATION]
    judged = plain.judge(peer.tokenizer, validation, peer.answer(validation, theta_p), peer.config)
    with torch.no_grad():
        losses = [plain.verdict_loss(peer.model, peer.verdict_tokens, one, theta_p, theta_s) for one in judged]
    logged = [line["validation_loss"] for line in _read(directory / "log.jsonl") if line["stage"] == "stage 3"]
    close("validation loss of stage 3", abs(min(logged) - float(torch.stack(losses).mean())), 1e-3)


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _drawn(model: PreTrainedModel, seed: int) -> Tensor:
    """Soft tokens to begin with: embeddings of random words."""
    generator = torch.Generator().manual_seed(seed)
    weight = model.get_input_embeddings().weight
    return weight[torch.randint(len(weight), (SOFT_TOKENS,), generator=generator)].detach().clone()
