"""The weights are part of a run's identity, and a run means the same files wherever it is read."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from aspire_llm import SelectivePredictor
from aspire_llm.cli import main
from aspire_llm.config import MODEL_NAMES
from aspire_llm.config_files import flatten, load_config, parse_config, read_yaml, with_whole_paths
from aspire_llm.demo import MODEL_DIR
from aspire_llm.errors import ConfigError, ModelError, RunDirectoryError
from aspire_llm.lm.model_files import PRESETS, cache_folder, find_model, model_digest

SETTINGS = [
    "data.splits={train: 8, validation: 4, calibration: 4, test: 4}",
    "stage1={num_soft_tokens: 2, epochs: 1}",
    "stage2={num_beams: 2, max_new_tokens: 3}",
    "stage3={num_soft_tokens: 2, epochs: 1}",
]


@pytest.fixture
def home(model_folder: Path, data_file: Path, tmp_path: Path, monkeypatch) -> Path:
    """A home folder with a model and data, in which we are."""
    shutil.copytree(model_folder, tmp_path / "models" / "own")
    shutil.copy(data_file, tmp_path / "q.jsonl")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(model: str, data: str) -> list[str]:
    return ["run", "--model", model, "--data", data, *(f"--set={own}" for own in SETTINGS), "--output", "r"]


def change_one_number(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"][3, 5] += 0.25
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def test_a_changed_model_is_refused(home: Path, capsys) -> None:
    model = home / "models" / "own"
    assert main(command("models/own", "q.jsonl")) == 0
    known = json.loads((home / "r" / "provenance.json").read_text())["model"]["sha256"]
    assert known == model_digest(model)
    assert main(command("~/models/own", "~/q.jsonl")) == 0  # the same files, called otherwise
    files = {path: path.read_bytes() for path in (home / "r").rglob("*.jsonl")}
    change_one_number(model)
    capsys.readouterr()
    for arguments in (
        command("models/own", "q.jsonl"),
        ["ask", "r", "Who?"],
        ["predict", "r", "--input", "q.jsonl", "--output", "p.jsonl"],
        ["evaluate", "r"],
    ):
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert "has changed since this run was made" in error
        assert error.count("\n") == 1
    with pytest.raises(RunDirectoryError, match="has changed"):
        SelectivePredictor.load("r")
    assert files == {path: path.read_bytes() for path in (home / "r").rglob("*.jsonl")}
    assert not (home / "p.jsonl").exists()


def test_a_run_is_read_from_anywhere(home: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    (home / "c.yaml").write_text("model: ~/models/own\ndata: {path: ~/q.jsonl}\n", encoding="utf-8")
    settings = [f"--set={own}" for own in SETTINGS]
    assert main(["run", "c.yaml", *settings, "--output", "r"]) == 0
    config = read_yaml(home / "r" / "config.yaml")
    assert (config["model"], config["data"]["path"]) == (str(home / "models" / "own"), str(home / "q.jsonl"))
    (home / "elsewhere").mkdir()
    monkeypatch.chdir(home / "elsewhere")
    assert main(["ask", "../r", "Where was piano 3 built?"]) == 0


def test_every_path_becomes_whole_and_no_name_does(home: Path) -> None:
    rivals = {"nli_model": "models/own", "judge": "runs/other"}
    config = with_whole_paths(parse_config({"model": "./models/own", "rivals": rivals}))
    assert config.model == config.rivals.nli_model == str(home / "models" / "own")
    assert config.rivals.judge == home / "runs" / "other"
    (home / "demo").mkdir()
    for name in ("demo", "smollm2", "facebook/opt-125m"):
        assert with_whole_paths(parse_config({"model": name, "rivals": {"nli_model": "a/b"}})).model == name
    assert with_whole_paths(parse_config({"model": "./demo"})).model == str(home / "demo")
    assert with_whole_paths(parse_config({"data": {"name": "squad"}})).data.path is None


def test_sources_of_splits_become_whole_and_no_name_does(home: Path) -> None:
    (home / "squad").mkdir()
    (home / "folder").mkdir()
    given = {"train": "q.jsonl", "validation": "folder", "calibration": "~/q.jsonl", "test": "squad:validation"}
    data = with_whole_paths(parse_config({"data": given})).data
    assert (data.train, data.validation) == (str(home / "q.jsonl"), str(home / "folder"))
    assert (data.calibration, data.test) == (str(home / "q.jsonl"), "squad:validation")
    for name in ("squad", "name:squad", "hf:owner/squad", "nowhere.jsonl"):  # the first is refused where it is read
        assert with_whole_paths(parse_config({"data": {"train": "q.jsonl", "test": name}})).data.test == name
    assert with_whole_paths(parse_config({"data": {"train": "q.jsonl", "test": "./squad"}})).data.test == str(
        home / "squad"
    )


def test_a_run_of_relative_paths_is_resumed_where_it_was_made(home: Path, monkeypatch, capsys) -> None:
    """As earlier versions wrote them."""
    arguments = command("models/own", "q.jsonl")
    assert main(arguments) == 0
    path = home / "r" / "config.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace(f"{home}/", ""), encoding="utf-8")
    assert read_yaml(path)["model"] == "models/own"
    (home / "elsewhere").mkdir()
    monkeypatch.chdir(home / "elsewhere")
    elsewhere = [*command(str(home / "models" / "own"), str(home / "q.jsonl")), "--output", str(home / "r")]
    assert main(elsewhere) == 2
    assert "its settings hold relative paths" in capsys.readouterr().err
    monkeypatch.chdir(home)
    before = {own: own.read_bytes() for own in (home / "r").rglob("*.jsonl")}
    assert main(arguments) == 0
    assert {own: own.read_bytes() for own in (home / "r").rglob("*.jsonl")} == before
    assert read_yaml(path)["model"] == str(home / "models" / "own")


@pytest.mark.parametrize("place", ["~nosuchuser/z", "~/z"])
def test_a_home_folder_that_is_not_known(home: Path, place: str, monkeypatch, capsys) -> None:
    """As of a misspelt user, or in a container whose user has neither HOME nor an entry in the passwd file."""
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    paths = ("model", "data.path", "rivals.judge", "rivals.nli_model", "offload_folder", "prompts.template")
    settings = [(key, place) for key in paths]
    config = load_config(None, [*settings, ("prompts.format", "chat"), ("device_map", "auto")])
    assert {str(flatten(with_whole_paths(config).model_dump(mode="json"))[key]) for key in paths} == {str(home / place)}
    for arguments in (
        command(place, "q.jsonl"),
        command("models/own", place),
        [*command("models/own", "q.jsonl"), "--set=prompts.format=chat", f"--set=prompts.template={place}"],
    ):
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert place in error
        assert error.count("\n") == 1, error
        assert not (home / "r").exists()


def test_no_home_folder_to_keep_files_in(monkeypatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    with pytest.raises(ConfigError, match=r"no home folder .* set XDG_CACHE_HOME"):
        cache_folder()


def test_names_of_models() -> None:
    assert set(MODEL_NAMES) == {"demo", *PRESETS}
    assert find_model("demo") == MODEL_DIR
    assert find_model("facebook/opt-125m") == "facebook/opt-125m"
    assert model_digest("nobody/has-this-model") is None


def test_the_digest_notices_every_file_that_is_read(home: Path) -> None:
    model = home / "models" / "own"
    seen = {model_digest(model)}
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (model / name).write_text((model / name).read_text() + "\n")
        seen.add(model_digest(model))
    change_one_number(model)
    seen.add(model_digest(model))
    (model / "README.md").write_text("not read")
    seen.add(model_digest(model))
    assert len(seen) == 5


def test_weights_in_parts(home: Path) -> None:
    model = home / "models" / "own"
    weights = load_file(model / "model.safetensors")
    (model / "model.safetensors").unlink()
    names = sorted(weights)
    parts = {"model-1.safetensors": names[:9], "model-2.safetensors": names[9:]}
    for part, own in parts.items():
        save_file({name: weights[name] for name in own}, model / part, {"format": "pt"})
    index = {name: part for part, own in parts.items() for name in own}
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    whole = model_digest(model)
    save_file({name: torch.zeros_like(weights[name]) for name in names[9:]}, model / "model-2.safetensors")
    assert model_digest(model) != whole
    (model / "model-2.safetensors").unlink()
    with pytest.raises(ModelError, match=r"1 of 2 parts are missing \(model-2.safetensors\)"):
        model_digest(model)
