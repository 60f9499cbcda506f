"""Several processes compute what one computes, and nothing is lost when one of them is killed."""

import shutil
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch
from several_processes import ANSWERS, assert_same, end_of, launched, lines, losses, write_questions

from aspire_llm.cli import main
from aspire_llm.lm.memory import free_memory
from aspire_llm.processes import process_index_here, processes_here
from aspire_llm.results.samples import SAMPLES
from aspire_llm.results.states import STATES
from aspire_llm.selection import Infeasible

_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")


@pytest.mark.parametrize(
    ("variables", "here", "index", "share"),
    [
        ({}, 1, 0, 8000),
        ({"RANK": 3, "WORLD_SIZE": 4, "LOCAL_RANK": 1, "LOCAL_WORLD_SIZE": 2}, 2, 1, 4000),
        ({"RANK": 3, "WORLD_SIZE": 4}, 4, 3, 2000),
        ({"RANK": 3, "WORLD_SIZE": 4, "LOCAL_RANK": 1}, 4, 1, 2000),
        ({"RANK": 3, "WORLD_SIZE": 4, "LOCAL_WORLD_SIZE": 2}, 2, 1, 4000),
    ],
)
def test_memory_is_shared_with_all_that_may_be_on_the_machine(
    variables: dict[str, int], here: int, index: int, share: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=8000))
    assert (processes_here(), process_index_here()) == (here, index)
    assert free_memory(torch.device("cpu")) == share


_SETTINGS = {
    "data.splits": "{train: 40, validation: 10, calibration: 30, test: 37}",
    "stage1": "{num_soft_tokens: 4, learning_rate: 0.03, epochs: 2, batch_size: 7}",
    "stage2": "{num_beams: 3, max_new_tokens: 6, batch_size: 5}",
    "stage3": "{adapter: lora, lora_rank: 2, learning_rate: 0.03, epochs: 2}",
    "rivals.num_samples": "2",
}


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_questions(tmp_path_factory.mktemp("data") / "questions.jsonl")


@pytest.fixture(scope="module")
def arguments(model_folder: Path, questions: Path) -> list[str]:
    """Of `aspire-llm run`, all but the output."""
    settings = [part for key, value in _SETTINGS.items() for part in ("--set", f"{key}={value}")]
    return ["run", "--model", str(model_folder), "--data", str(questions), *settings]


@pytest.fixture(scope="module")
def by_one(arguments: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one process."""
    folder = tmp_path_factory.mktemp("one") / "run"
    assert main([*arguments, "--output", str(folder)]) == 0
    return folder


@pytest.mark.parametrize("count", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_they_train_as_one_does(arguments: list[str], by_one: Path, tmp_path: Path, count: int) -> None:
    run = tmp_path / "run"
    said = end_of(launched(count, *arguments, "--output", run))
    assert said.count("Report:") == said.count("stage 2: done (50)") == 1
    assert losses(run) == pytest.approx(losses(by_one), abs=1e-4)
    assert {path.name for path in run.iterdir()} == {path.name for path in by_one.iterdir()}
    for name in ANSWERS:
        assert_same(lines(run / name), lines(by_one / name), 1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
def test_behind_the_same_adapters_they_answer_as_one_does(
    arguments: list[str], by_one: Path, tmp_path: Path, count: int
) -> None:
    same_adapters, answers = tmp_path / "same", tmp_path / "answers.jsonl"
    shutil.copytree(by_one, same_adapters, ignore=lambda _folder, names: [name for name in names if name in ANSWERS])
    end_of(launched(count, *arguments, "--output", same_adapters))
    for name in ANSWERS:
        assert_same(lines(same_adapters / name), lines(by_one / name), 1e-5)
    assert lines(same_adapters / "log.jsonl") == lines(by_one / "log.jsonl")  # nothing was trained

    asked = arguments[arguments.index("--data") + 1]
    end_of(launched(count, "predict", by_one, "--input", asked, "--output", answers))
    assert main(["predict", str(by_one), "--input", asked, "--output", str(tmp_path / "alone.jsonl")]) == 0
    assert len(lines(answers)) == 120
    assert_same(lines(answers), lines(tmp_path / "alone.jsonl"), 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
@pytest.mark.parametrize("at", ["stage 1", "stage 2"])
def test_a_killed_process_ends_the_run_with_a_line_and_any_number_goes_on(
    arguments: list[str], by_one: Path, tmp_path: Path, killed: int, at: str
) -> None:
    run = tmp_path / "run"
    process = launched(2, *arguments, "--output", run, "--set", "stage2.batch_size=1")
    begun = run / ("log.jsonl" if at == "stage 1" else "samples.jsonl")
    while not (begun.is_file() and begun.stat().st_size):
        assert process.poll() is None
        time.sleep(0.001)
    ranks = {own.environ()["RANK"]: own for own in psutil.Process(process.pid).children()}
    ranks[str(killed)].kill()
    _, err = process.communicate(timeout=60)
    assert process.returncode != 0
    if killed == 1:
        assert err.decode().count("with any number of processes") == 1
    assert not (run / "metrics.json").exists()
    if at == "stage 2":  # as if it had been killed within a write
        with (run / "samples.jsonl").open("ab") as file:
            file.write(b'{"id": "q')
    end_of(launched(3, *arguments, "--output", run, "--set", "stage2.batch_size=1"))
    assert losses(run) == pytest.approx(losses(by_one), abs=1e-4)
    found, expected = lines(run / "samples.jsonl"), lines(by_one / "samples.jsonl")
    assert_same(found, expected, 1e-4)


_FAILING = """
import sys
from aspire_llm.cli import main
from aspire_llm.processes import process_index
from aspire_llm.stages import stage2_answer_sampling

def fails(*_, **__):
    raise OSError(28, "No space left on device")

if process_index() == int(sys.argv[1]):
    stage2_answer_sampling.decode = fails
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("failing", [0, 1])
def test_an_error_of_one_process_ends_all_with_its_message(arguments: list[str], tmp_path: Path, failing: int) -> None:
    program = tmp_path / "program.py"
    program.write_text(_FAILING)
    process = launched(2, failing, *arguments, "--output", tmp_path / "run", program=[str(program)])
    _, err = process.communicate(timeout=90)
    assert process.returncode == 1
    assert err.decode().count("No space left on device") == 1
    assert "OSError" not in err.decode()  # nothing but the line


_READ_OUT = """
import sys
from pathlib import Path
from aspire_llm.pipeline import Pipeline
from aspire_llm.processes import joined, processes
from aspire_llm.rundir.directory import RunDirectory
from aspire_llm.stages import states_readout

by_length = states_readout.by_length

def read(lengths, *others, **options):
    found = by_length(lengths, *others, **options)
    assert len(found) == (len(lengths) if processes().is_main else 0), len(found)
    return found

states_readout.by_length = read
with joined():
    Pipeline(RunDirectory.open(Path(sys.argv[1]))).learning.learn_states()
"""


@pytest.mark.slow
def test_the_main_process_alone_holds_the_states_that_it_learns_from(by_one: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(_READ_OUT)
    samples = [  # of so small a run, all are wrong
        replace(own, answers=(replace(own.answers[0], correct=i % 2 == 0), *own.answers[1:]))
        for i, own in enumerate(SAMPLES.read(by_one))
    ]
    for count in (1, 2):
        run = tmp_path / str(count)
        shutil.copytree(by_one, run)
        SAMPLES.write(run, samples)
        (run / STATES.name).unlink()
        end_of(launched(count, run, program=[str(program)]))
    assert not isinstance(STATES.read(tmp_path / "2"), Infeasible)
    assert (tmp_path / "2" / STATES.name).read_bytes() == (tmp_path / "1" / STATES.name).read_bytes()


_OWN_PREDICTORS = """
import sys
from aspire_llm import SelectivePredictor
from aspire_llm.processes import process_index

questions = [f"Where was piano {i} built?" for i in range(5 + 8 * process_index())]
found = SelectivePredictor.load(sys.argv[1]).predict(questions)
assert [own.question.question for own in found] == questions
"""


def test_in_a_program_of_several_processes_each_has_a_predictor(by_one: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(_OWN_PREDICTORS)
    end_of(launched(2, by_one, program=[str(program)]))


def test_what_takes_one_process_says_so(by_one: Path) -> None:
    process = launched(2, "ask", by_one, "Where was piano 1 built?")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, b"")
    said = [line for line in err.decode().splitlines() if line.startswith("aspire-llm")]
    assert said == ["aspire-llm: only run and predict take several processes; start it without a launcher"]


_CAUGHT = """
from aspire_llm.errors import AspireError, ModelError
from aspire_llm.processes import joined, process_index, processes

def fails_in_one(item):
    if processes().index == 1:
        raise ModelError("no memory")
    return item

for work in (fails_in_one, str):
    try:
        with joined():
            processes().once(lambda: None)
            processes().share(range(4), work)
    except AspireError as error:
        print(f"{process_index()} {work.__name__}: {error}", flush=True)
"""


@pytest.mark.slow
def test_an_error_that_a_program_catches_leaves_no_process_waiting(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(_CAUGHT)
    said = end_of(launched(2, program=[str(program)])).splitlines()
    assert "1 fails_in_one: no memory" in said
    assert any(line.startswith("0 fails_in_one: another process of this command has ended") for line in said)
    for index in (0, 1):
        assert any(line.startswith(f"{index} str: earlier work of these processes ended by an error") for line in said)
