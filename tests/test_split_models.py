"""A model that several processes have split computes what the whole one does, and each holds no more than its part."""

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from families import FAMILIES
from several_processes import ANSWERS, assert_same, end_of, launched, lines, losses, write_questions
from transformers import PreTrainedTokenizerFast

from aspire_llm.cli import main
from aspire_llm.config_files import parse_config
from aspire_llm.errors import ConfigError, ModelError
from aspire_llm.lm.out_of_memory import smaller_after
from aspire_llm.processes import Processes

TRAINING = "num_soft_tokens: 4, lora_rank: 2, learning_rate: 0.03, epochs: 2"
CASES = [
    ("llama", "tensor", "soft_prompt"),
    ("llama", "fsdp", "soft_prompt"),
    ("llama", "fsdp", "lora"),
    ("qwen2", "tensor", "soft_prompt"),
    ("gpt2", "fsdp", "lora"),
]


@pytest.fixture(scope="module")
def folder_of(tokenizer: PreTrainedTokenizerFast, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a tiny model of a family."""
    known: dict[str, Path] = {}

    def folder(model_type: str) -> Path:
        if model_type not in known:
            known[model_type] = tmp_path_factory.mktemp(model_type)
            family = next(own for own in FAMILIES if own.model_type == model_type)
            if model_type == "qwen2":  # as its small ones are
                family = replace(family, changes={"tie_word_embeddings": True})
            model = family.model(len(tokenizer))
            model.generation_config.pad_token_id = 0
            model.save_pretrained(known[model_type])
            tokenizer.save_pretrained(known[model_type])
        return known[model_type]

    return folder


@pytest.fixture(scope="module")
def arguments_of(
    folder_of: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str], list[str]]:
    """Of `aspire-llm run` with a model and an adapter, all but the output."""
    questions = write_questions(tmp_path_factory.mktemp("data") / "questions.jsonl")

    def arguments(model_type: str, adapter: str) -> list[str]:
        settings = {
            "device": "cpu",  # NCCL wants a GPU for each process
            "data.splits": "{train: 40, validation: 10, calibration: 30, test: 37}",
            "stage1": f"{{adapter: {adapter}, {TRAINING}, batch_size: 7}}",
            "stage2": "{num_beams: 3, max_new_tokens: 6, batch_size: 5}",
            "stage3": f"{{adapter: {adapter}, {TRAINING}}}",
            "rivals.num_samples": "2",
        }
        changes = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
        return ["run", "--model", str(folder_of(model_type)), "--data", str(questions), *changes]

    return arguments


@pytest.fixture(scope="module")
def by_one(
    arguments_of: Callable[[str, str], list[str]], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str], Path]:
    """The run of one process, which has the whole model."""
    known: dict[tuple[str, str], Path] = {}

    def run(model_type: str, adapter: str) -> Path:
        if (model_type, adapter) not in known:
            folder = tmp_path_factory.mktemp("one") / "run"
            assert main([*arguments_of(model_type, adapter), "--output", str(folder)]) == 0
            known[model_type, adapter] = folder
        return known[model_type, adapter]

    return run


_PARTS = """
import sys, torch
from torch.distributed.tensor import DTensor
from aspire_llm.config import TrainingConfig
from aspire_llm.lm.adapter_optimizer import AdapterOptimizer
from aspire_llm.lm.adapters import new_adapter
from aspire_llm.lm.loading import load_backbone
from aspire_llm.processes import joined, processes

def held(backbone):
    own = [p.to_local() if isinstance(p, DTensor) else p for layer in backbone.layers for p in layer.parameters()]
    return sum(p.untyped_storage().nbytes() for p in own)

def step(backbone, adapter):
    torch.manual_seed(0)
    soft, tokens = new_adapter(backbone, "task", TrainingConfig(adapter=adapter), seed=0), torch.arange(12).view(2, 6)
    for parameter in soft.parameters():
        parameter.data.add_(0.01)
    with soft.active():
        before = soft.soft_tokens().expand(2, -1, -1)
        given = torch.cat([before, backbone.embed(tokens)], dim=1)
        loss = backbone.model(inputs_embeds=given, use_cache=False).logits.log_softmax(-1)[..., 3].mean()
        loss.backward()
    gradients = [p.grad.clone() for p in soft.parameters()]
    if processes().index == 1:
        soft.parameters()[0].grad += 1e-3  # as if it rounded otherwise
    optimizer = AdapterOptimizer(soft.parameters(), TrainingConfig(adapter=adapter))
    optimizer.share_gradient(loss.detach())
    optimizer.step(0, 10)
    return gradients, [p.detach() for p in soft.parameters()]

def loaded():
    return load_backbone(sys.argv[1], device="cpu", speed="plain")

whole, tokens = loaded(), torch.arange(20).view(2, 10)
with torch.no_grad():
    expected, embedded = whole.model(tokens).logits, whole.embed(tokens)
full = held(whole)
alone = {adapter: step(loaded(), adapter)[0] for adapter in ("soft_prompt", "lora")}
for sharding, adapters in (("tensor", ["soft_prompt"]), ("fsdp", ["soft_prompt", "lora"])):
    with joined(sharding):
        together = processes()
        assert (together.count, together.shares, together.sharding) == (2, 1, sharding)
        assert together.share([1, 2], str) == ["1", "2"] and together.stripe([1, 2]) == [1, 2]
        own = torch.full((2, 3), float(together.index)).T
        together.agree([own])
        assert (own == 0).all() and together.least(5 - together.index) == 4
        assert together.once(lambda: together.index) == 0
        part = load_backbone(sys.argv[1], device="cpu", sharding=sharding)
        assert 0.5 <= held(part) / full < 0.52, held(part) / full
        assert part.num_parameters == whole.num_parameters and part.fast is None
        assert (part.device, part.dtype, part.width) == (whole.device, whole.dtype, whole.width)
        with torch.no_grad():
            torch.testing.assert_close(part.model(tokens).logits, expected, atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(part.embed(tokens), embedded)
        assert held(part) / full < 0.52  # it fell apart behind the pass
        for adapter in adapters:
            gradients, stepped = step(part, adapter)
            of_main = [parameter.clone() for parameter in stepped]
            together.agree(of_main)
            assert all(map(torch.equal, stepped, of_main)), "the processes learn different adapters"
            torch.testing.assert_close(gradients, alone[adapter], atol=1e-6, rtol=1e-4)
print("seen")
"""


def test_each_process_holds_its_part_and_computes_the_whole(folder_of: Callable[[str], Path], tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(_PARTS)
    assert end_of(launched(2, folder_of("llama"), program=[str(program)])).count("seen") == 2


@pytest.mark.slow
@pytest.mark.parametrize(("model_type", "sharding", "adapter"), CASES)
def test_they_train_and_answer_as_one_does(
    arguments_of: Callable[[str, str], list[str]],
    by_one: Callable[[str, str], Path],
    tmp_path: Path,
    model_type: str,
    sharding: str,
    adapter: str,
) -> None:
    one, run, same_adapters = by_one(model_type, adapter), tmp_path / "run", tmp_path / "same"
    split = [*arguments_of(model_type, adapter), "--set", f"sharding={sharding}"]
    said = end_of(launched(2, *split, "--output", run))
    assert said.count("Report:") == said.count("stage 2: done (50)") == 1
    assert losses(run) == pytest.approx(losses(one), abs=1e-4)
    assert {path.name for path in run.iterdir()} == {path.name for path in one.iterdir()}
    for name in ANSWERS:
        assert_same(lines(run / name), lines(one / name), 1e-3)

    shutil.copytree(one, same_adapters, ignore=lambda _folder, names: [name for name in names if name in ANSWERS])
    end_of(launched(2, *split, "--output", same_adapters))
    assert lines(same_adapters / "log.jsonl") == lines(one / "log.jsonl")  # nothing was trained
    for name in ANSWERS:
        assert_same(lines(same_adapters / name), lines(one / name), 1e-5)

    asked, answers = split[split.index("--data") + 1], tmp_path / "answers.jsonl"
    end_of(launched(2, "predict", same_adapters, "--input", asked, "--output", answers))
    assert main(["predict", str(one), "--input", asked, "--output", str(tmp_path / "alone.jsonl")]) == 0
    assert len(lines(answers)) == 120
    assert_same(lines(answers), lines(tmp_path / "alone.jsonl"), 1e-5)


@pytest.mark.slow
def test_folds_and_methods_that_take_passes(arguments_of: Callable[[str, str], list[str]], tmp_path: Path) -> None:
    arguments = [*arguments_of("llama", "lora"), "--set", "stage2.folds=2", "--methods", "all"]
    assert main([*arguments, "--output", str(tmp_path / "one")]) == 0
    end_of(launched(2, *arguments, "--output", tmp_path / "run", "--set", "sharding=fsdp"))
    assert losses(tmp_path / "run") == pytest.approx(losses(tmp_path / "one"), abs=1e-4)
    names = {path.name for path in (tmp_path / "one" / "scores").iterdir()}
    assert "p_true.json" in names
    assert {path.name for path in (tmp_path / "run" / "scores").iterdir()} == names


@pytest.mark.slow
@pytest.mark.parametrize("sharding", ["tensor", "fsdp"])
def test_a_killed_process_ends_the_run_with_a_line_and_any_number_goes_on(
    arguments_of: Callable[[str, str], list[str]], by_one: Callable[[str, str], Path], tmp_path: Path, sharding: str
) -> None:
    run = tmp_path / "run"
    arguments = [*arguments_of("llama", "soft_prompt"), "--output", str(run), "--set", "stage2.batch_size=1"]
    process = launched(2, *arguments, "--set", f"sharding={sharding}")
    begun = run / "samples.jsonl"
    while not (begun.is_file() and begun.stat().st_size):
        assert process.poll() is None
        time.sleep(0.001)
    ranks = {own.environ()["RANK"]: own for own in psutil.Process(process.pid).children()}
    ranks["1"].kill()
    _, err = process.communicate(timeout=90)
    assert process.returncode != 0
    assert err.decode().count("with any number of processes") == 1, err.decode()
    assert not (run / "metrics.json").exists()
    if sharding == "fsdp":
        end_of(launched(3, *arguments, "--set", "sharding=fsdp"))
    else:
        assert main(arguments) == 0  # by one process, which has the whole model
    one = by_one("llama", "soft_prompt")
    assert losses(run) == pytest.approx(losses(one), abs=1e-4)
    assert_same(lines(run / "samples.jsonl"), lines(one / "samples.jsonl"), 1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model_type", "count", "said"),
    [
        ("gpt2", 2, "'gpt2' models have no plan for sharding: tensor; use sharding: fsdp"),
        ("llama", 4, "sharding: tensor cannot share 2 heads (num_key_value_heads) among 4 processes"),
    ],
)
def test_what_cannot_be_split_by_matrices_says_so(
    arguments_of: Callable[[str, str], list[str]], tmp_path: Path, model_type: str, count: int, said: str
) -> None:
    arguments = [*arguments_of(model_type, "soft_prompt"), "--set", "sharding=tensor", "--output", tmp_path / "run"]
    process = launched(count, *arguments)
    _, err = process.communicate(timeout=90)
    assert process.returncode == 1
    assert [said in line for line in err.decode().splitlines() if line.startswith("aspire-llm:")] == [True]
    assert not (tmp_path / "run").exists()


def test_one_process_has_nothing_to_split_with(
    arguments_of: Callable[[str, str], list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*arguments_of("llama", "soft_prompt"), "--set", "sharding=fsdp"]
    assert main([*arguments, "--output", str(tmp_path / "run")]) == 2
    assert capsys.readouterr().err.startswith("aspire-llm: sharding: fsdp needs several processes; start with torchrun")
    assert not (tmp_path / "run").exists()


def test_lora_is_not_split_by_matrices() -> None:
    with pytest.raises(ConfigError, match="sharding: tensor works with soft prompts only"):
        parse_config({"sharding": "tensor", "stage3": {"adapter": "lora"}})


def test_a_split_model_does_not_go_on_where_memory_ran_out(monkeypatch: pytest.MonkeyPatch) -> None:
    together = Processes()
    together.sharding = "fsdp"
    monkeypatch.setattr("aspire_llm.lm.out_of_memory.processes", lambda: together)
    with pytest.raises(ModelError, match="out of memory, and a model that is split"):
        smaller_after(RuntimeError("CUDA out of memory."), 8)
