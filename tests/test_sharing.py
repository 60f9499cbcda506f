"""Runs that are exported answer as they did, say what they are, and hold nothing that was not to be shared."""

import json
import os
import re
import shutil
import subprocess
import sys
from ast import literal_eval
from dataclasses import replace
from pathlib import Path

import pytest
from hub_stand_in import StandIn, hub

from aspire_llm import Prediction, SelectivePredictor, run
from aspire_llm.commands import calibrate
from aspire_llm.config import RunConfig
from aspire_llm.config_files import with_changes
from aspire_llm.errors import ConfigError, RunDirectoryError
from aspire_llm.results.calibration import CALIBRATION
from aspire_llm.rundir.directory import RunDirectory
from aspire_llm.rundir.provenance import PROVENANCE
from aspire_llm.selection import RiskTarget
from aspire_llm.sharing import export_run, import_run

QUESTIONS = ["Where was piano 3 built?", "What is far?"]


@pytest.fixture(scope="module")
def certified(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certified") / "whole"
    shutil.copytree(finished, folder)
    calibrate(folder, [RiskTarget(0.1, 0.05)], None)
    return folder


@pytest.fixture(scope="module")
def exported(certified: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_run(certified, tmp_path_factory.mktemp("exported") / "shared")


def answers(run: Path) -> list[Prediction]:
    return SelectivePredictor.load(run).predict(QUESTIONS)


def size(folder: Path) -> int:
    return sum(own.stat().st_size for own in folder.rglob("*") if own.is_file())


def test_an_exported_run_answers_as_it_did_with_its_promises(exported: Path, certified: Path) -> None:
    assert answers(exported) == answers(certified)
    ours, theirs = (SelectivePredictor.load(run).guarantee(0.1) for run in (exported, certified))
    assert ours == theirs


def test_half_is_smaller_and_nearly_the_same(certified: Path, exported: Path, tmp_path: Path) -> None:
    half = export_run(certified, tmp_path / "half", half=True)
    assert size(half) < size(exported) < size(certified)
    for own, its in zip(answers(half), answers(certified), strict=True):
        assert own.sampled.text == its.sampled.text
        assert own.scored.selection_score == pytest.approx(its.scored.selection_score, abs=0.01)  # 11 bits


def test_no_question_and_no_place_of_this_machine_is_in_it(
    certified: Path, exported: Path, data_file: Path, model_folder: Path, tmp_path: Path
) -> None:
    question = json.loads((certified / "calibration_predictions.jsonl").read_text().splitlines()[0])["question"]

    def texts(folder: Path) -> str:
        return "".join(own.read_bytes().decode("utf-8", "replace") for own in folder.rglob("*") if own.is_file())

    assert question not in texts(exported)
    assert str(data_file.parent) not in texts(exported)
    assert question in texts(export_run(certified, tmp_path / "whole", with_questions=True))


def test_where_the_calibration_questions_lay_is_nobody_s_concern(certified: Path, tmp_path: Path) -> None:
    run = shutil.copytree(certified, tmp_path / "run")
    CALIBRATION.write(run, replace(CALIBRATION.read(run), source="/of/my/own/patients.jsonl"))
    shared = export_run(run, tmp_path / "shared")
    assert CALIBRATION.read(shared).source == "patients.jsonl"
    assert all(b"/of/my/own" not in own.read_bytes() for own in shared.rglob("*") if own.is_file())


@pytest.mark.parametrize("model", ["./none", "~/none", "/none/there"])
def test_a_model_that_is_not_where_it_is_said_to_be(exported: Path, tmp_path: Path, model: str) -> None:
    with pytest.raises(ConfigError, match="no file or folder of that name"):
        import_run(str(exported), tmp_path / "new", model=model)
    assert not (tmp_path / "new").exists()


def test_an_import_finds_its_model_from_any_folder(
    exported: Path, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(model_folder.parent)
    taken = import_run(str(exported), tmp_path / "taken", model=model_folder.name)
    assert RunDirectory.open(taken).config.model == str(model_folder)


def test_the_card_says_what_it_is_with_its_figures_and_promises(exported: Path, config: RunConfig) -> None:
    card = (exported / "README.md").read_text(encoding="utf-8")
    metrics = json.loads((exported / "metrics.json").read_text())
    assert card.startswith("---\nlibrary_name: aspire-llm\n")
    assert f"Of {metrics['n']} test questions {100 * metrics['accuracy']:.1f}%" in card
    low, high = metrics["accuracy_ci"]
    assert f"[{100 * low:.1f}, {100 * high:.1f}]" in card
    assert f"{100 * metrics['methods']['aspire']['auacc']:.1f}" in card
    (promise,) = json.loads((exported / "calibration.json").read_text())["guarantees"]
    assert f"- {promise['sentence']}" in card
    assert json.loads((exported / "provenance.json").read_text())["model"]["sha256"] in card
    assert "40 train, 10 validation, 30 calibration, 30 test" in card


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"path": "/of/mine/a.jsonl"}, "a.jsonl"),
        ({"name": "hf:rajpurkar/squad:plain"}, "hf:rajpurkar/squad:plain"),
        ({"train": "/of/mine/a.jsonl", "test": "/of/mine/b.csv"}, "train a.jsonl, test b.csv"),
        (
            {"train": "hf:rajpurkar/squad", "test": "name:squad:validation"},
            "train hf:rajpurkar/squad, test name:squad:validation",
        ),
    ],
)
def test_it_says_what_it_learned_from_and_not_where_that_was(
    certified: Path, tmp_path: Path, data: dict[str, str], said: str
) -> None:
    folder = shutil.copytree(certified, tmp_path / "run")
    config = with_changes(
        RunDirectory.open(folder).config, [("data.path", None), *((f"data.{k}", v) for k, v in data.items())]
    )
    (folder / "config.yaml").write_text(config.to_yaml(), encoding="utf-8")
    provenance = PROVENANCE.read(folder)
    PROVENANCE.write(folder, replace(provenance, data=replace(provenance.data, source=config.data.source)))
    shared = export_run(folder, tmp_path / "shared")
    assert PROVENANCE.read(shared).data.source == said
    assert f"questions like those of `{said}`" in (shared / "README.md").read_text(encoding="utf-8")
    assert RunDirectory.open(shared).config.data.source == said
    assert all(b"/of/mine" not in own.read_bytes() for own in shared.rglob("*") if own.is_file())


def test_an_import_is_a_run_wherever_its_model_is(
    exported: Path, certified: Path, model_folder: Path, tmp_path: Path
) -> None:
    assert answers(import_run(str(exported), tmp_path / "here")) == answers(certified)
    moved = shutil.copytree(model_folder, tmp_path / "moved")
    there = import_run(str(exported), tmp_path / "there", model=str(moved))
    assert f"model: {moved}" in (there / "config.yaml").read_text()
    assert answers(there) == answers(certified)
    (moved / "config.json").write_text((moved / "config.json").read_text().replace("48", "48 "))
    with pytest.raises(RunDirectoryError, match="has changed since"):
        import_run(str(exported), tmp_path / "elsewhere", model=str(moved))
    assert not (tmp_path / "elsewhere").exists()


def test_an_import_takes_what_a_run_has_and_nothing_else(exported: Path, tmp_path: Path) -> None:
    bag = shutil.copytree(exported, tmp_path / "bag")
    secret = tmp_path / "secret"
    secret.write_text("of this machine")
    (bag / "metrics.json").unlink()
    (bag / "metrics.json").symlink_to(secret)
    (bag / "run.py").write_text("raise SystemExit")
    (bag / "task_adapter" / "more.bin").write_bytes(b"\x80")
    taken = import_run(str(bag), tmp_path / "taken")
    names = {str(own.relative_to(taken)) for own in taken.rglob("*") if own.is_file()}
    assert names.isdisjoint({"run.py", "task_adapter/more.bin", "metrics.json"})


@pytest.mark.parametrize("config", ["lora"], indirect=True)
def test_a_chat_template_is_shared_with_its_run(config: RunConfig, tmp_path: Path) -> None:
    template = tmp_path / "mine.jinja"
    template.write_text(
        "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}<|endoftext|>\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}\n",
        encoding="utf-8-sig",
        newline="\r\n",  # as other systems end lines; the run knows the file by its bytes
    )
    own = with_changes(config, [("prompts.format", "chat"), ("prompts.template", str(template))])
    run(own, tmp_path / "run")
    before, shared = answers(tmp_path / "run"), export_run(tmp_path / "run", tmp_path / "shared")
    template.unlink()  # as on another machine
    assert str(template) not in (shared / "config.yaml").read_text()
    assert answers(shared) == before
    taken = import_run(str(shared), tmp_path / "taken", model=config.model)
    shutil.rmtree(shared)
    assert answers(taken) == before
    (taken / "chat_template" / "mine.jinja").unlink()
    with pytest.raises(ConfigError, match=r"prompts\.template .*mine\.jinja: cannot read it"):
        import_run(str(taken), tmp_path / "again")
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("place", ["../secret", "task_adapter/../../secret", "chat_template/../../secret", "run.py"])
def test_no_template_is_taken_from_beside_the_run(exported: Path, tmp_path: Path, place: str) -> None:
    bag = shutil.copytree(exported, tmp_path / "bags" / "bag")
    for name in (bag / "run.py", bag.parent / "secret"):
        name.write_text("of this machine")
    config = (bag / "config.yaml").read_text().replace("template: null", f"template: {place}")
    (bag / "config.yaml").write_text(config.replace("format: plain", "format: chat"))
    with pytest.raises(ConfigError, match="cannot read it"):
        import_run(str(bag), tmp_path / "taken")


def test_what_cannot_be_shared_is_one_line_and_leaves_nothing(certified: Path, exported: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is there already"):
        export_run(certified, exported)
    with pytest.raises(RunDirectoryError, match="no run here"):
        export_run(tmp_path, tmp_path / "new")
    with pytest.raises(ConfigError, match="OWNER/NAME"):
        export_run(certified, tmp_path / "new", push="../x")
    with pytest.raises(RunDirectoryError, match="no exported run"):
        import_run(str(tmp_path / "nowhere"), tmp_path / "new")
    half = shutil.copytree(exported, tmp_path / "half")
    (half / "task_adapter" / "adapter_model.safetensors").unlink()
    for unfinished in (lambda: export_run(half, tmp_path / "new"), lambda: import_run(str(half), tmp_path / "new")):
        with pytest.raises(RunDirectoryError, match=r"adapter_model\.safetensors is missing"):
            unfinished()
    broken = shutil.copytree(exported, tmp_path / "broken")
    (broken / "calibration.json").write_text("{")
    with pytest.raises(RunDirectoryError):
        import_run(str(broken), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def command(server: StandIn, place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line, to which the stand-in is the hub."""
    environment = {**os.environ, "HF_ENDPOINT": server.url, "HF_TOKEN": "hf_test", "HF_HOME": str(place / "cache")}
    return subprocess.run(
        [sys.executable, "-m", "aspire_llm.cli", *arguments], env=environment, capture_output=True, text=True
    )


@pytest.mark.parametrize("config", ["lora"], indirect=True)
def test_the_hub_takes_an_export_and_gives_it_back(certified: Path, exported: Path, tmp_path: Path) -> None:
    with hub() as server:
        pushed = command(server, tmp_path, "export", str(certified), str(tmp_path / "shared"), "--push", "us/shared")
        assert pushed.returncode == 0, pushed.stderr
        assert {"README.md", "config.yaml", "task_adapter/adapter_model.safetensors"} <= set(server.files)
        fetched = command(server, tmp_path, "import", "hf:us/shared", str(tmp_path / "fetched"))
        assert fetched.returncode == 0, fetched.stderr
        server.refuses = "no right to write"
        refused = command(server, tmp_path, "export", str(certified), str(tmp_path / "again"), "--push", "us/shared")
    assert answers(tmp_path / "fetched") == answers(certified)
    assert refused.returncode == 2
    assert "did not take it" in refused.stderr
    assert (tmp_path / "again" / "README.md").is_file()


def test_a_merged_model_answers_in_a_plain_pipeline(
    exported: Path,
    certified: Path,
    config: RunConfig,
    model_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The snippet of docs/sharing.md as printed, but for the name of the model."""
    if config.stage1.adapter != "lora":
        pytest.skip("a soft prompt is no change of the weights")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(exported, "shared")
    text = (Path(__file__).resolve().parents[1] / "docs" / "sharing.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    snippet = snippet.replace("path/or/hub-id/of/the/base/model", str(model_folder))
    exec(
        compile(
            snippet.replace("max_new_tokens=8, num_beams=10", "max_new_tokens=6, num_beams=3"), "sharing.md", "exec"
        ),
        {},
    )
    (given,) = literal_eval(capsys.readouterr().out)
    (expected,) = SelectivePredictor.load(certified).predict(["Where was the old piano built?"])
    assert given["generated_text"].strip() == expected.sampled.text
