"""A path is a path and a name is a name, at every entrance: `data check`, `run`, `evaluate`, the API."""

import json
from pathlib import Path

import pytest

from aspire_llm.cli import main
from aspire_llm.commands import resolve_run
from aspire_llm.config_files import load_config
from aspire_llm.data import load_questions, load_splits
from aspire_llm.data.hub import HUB_NAMES
from aspire_llm.data.sources import _EMBEDDED
from aspire_llm.data_config import DATA_NAMES
from aspire_llm.demo import demo_questions
from aspire_llm.demo.facts import facts_questions
from aspire_llm.errors import ConfigError, DataError
from aspire_llm.records import Split

ROWS = [{"question": f"Who built clock {i}?", "answer": "Ada"} for i in range(40)]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with a file and folders named like data sets."""
    monkeypatch.chdir(tmp_path)
    for name in ("demo", "facts", "squad"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (tmp_path / "coqa").write_text("")
    (tmp_path / "squad:validation").write_text("")
    return tmp_path


def complaint(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line of a command that is refused."""
    assert main(arguments) == 2
    captured = capsys.readouterr()
    lines = (captured.out + captured.err).splitlines()
    assert not any(line.startswith("Traceback") for line in lines)
    return lines[0].removeprefix("aspire-llm: ")


@pytest.mark.parametrize(
    ("name", "kind"),
    [("demo", "folder"), ("facts", "folder"), ("squad", "folder"), ("coqa", "file"), ("squad:validation", "file")],
)
def test_what_is_both_is_refused_with_both_ways_to_say_it(
    here: Path, name: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ways = f"write ./{name} for the {kind}, name:{name} for the data set"
    expected = f"{name}: is the name of a data set and a {kind} here; {ways}"
    assert complaint(capsys, "data", "check", name) == expected
    assert complaint(capsys, "run", "--data", name, "--output", "r") == expected
    with pytest.raises(DataError) as caught:
        load_questions(name)
    assert str(caught.value) == expected
    config = load_config(None, [("data.train", "./squad"), ("data.test", name)])
    with pytest.raises(DataError) as caught:
        load_splits(config)
    assert str(caught.value) == expected
    assert not (here / "r").exists()


@pytest.mark.parametrize("source", ["./demo", "demo/d.jsonl", "demo/", "../{name}/facts"])
def test_a_path_is_a_path(here: Path, source: str, capsys: pytest.CaptureFixture[str]) -> None:
    source = source.format(name=here.name)
    assert main(["data", "check", source]) == 0
    assert "question rows, 40 questions" in capsys.readouterr().out
    config, *_ = resolve_run(None, model="m", data=source)
    assert config.data.name is None
    assert sum(map(len, load_splits(config)[0].values())) == 40


def test_the_keys_path_and_name_say_what_is_meant(here: Path) -> None:
    path = load_config(None, [("data.path", "demo")])
    assert sum(map(len, load_splits(path)[0].values())) == 40
    name = load_config(None, [("data.name", "demo"), ("data.limit", 50)])
    assert sum(map(len, load_splits(name)[0].values())) == 50
    assert load_questions(Path("facts"))[0].question == "Who built clock 0?"
    unknown = load_config(None, [("data.name", "demo/d.jsonl")])
    with pytest.raises(DataError, match=r"no data set of this name; .*for a file or folder give its path$"):
        load_splits(unknown)


@pytest.mark.parametrize(("name", "questions"), [("demo", demo_questions), ("facts", facts_questions)])
def test_embedded_data_sets_load_by_name(name: str, questions, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    expected = questions()
    assert load_questions(name) == load_questions(f"name:{name}") == expected
    assert main(["data", "check", name]) == 0
    assert f"{len(expected)} questions" in capsys.readouterr().out
    config, *_ = resolve_run(None, model="m", data=name)
    assert (config.data.name, config.data.path) == (name, None)
    splits, _ = load_splits(config)
    assert {question.id for own in splits.values() for question in own} <= {question.id for question in expected}
    assert "has no splits of its own" in complaint(capsys, "data", "check", f"{name}:train")


def test_a_home_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "d.jsonl").write_text(json.dumps(ROWS[0]))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len(load_questions("~/d.jsonl")) == 1


def test_data_on_the_command_line_replace_all_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("data: {name: squad, test: 'squad:validation', validation: other.jsonl}")
    config, *_ = resolve_run(tmp_path / "c.yaml", data="facts")
    assert config.data.sources == {Split.TRAIN: "name:facts"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("{path: a, name: b}", "path and name are both set"),
        ("{name: a, train: b}", "name and train are both set"),
        ("{test: a}", "test is set and nothing to learn from"),
    ],
)
def test_sources_that_contradict_each_other(tmp_path: Path, settings: str, message: str) -> None:
    (tmp_path / "c.yaml").write_text(f"data: {settings}")
    with pytest.raises(ConfigError, match=message):
        load_config(tmp_path / "c.yaml")


def test_names_of_data_sets() -> None:
    assert set(DATA_NAMES) == {*HUB_NAMES, *_EMBEDDED}


def test_hidden_files_of_a_folder_are_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "dev.jsonl").write_text(json.dumps(ROWS[0]))
    (folder / "._dev.jsonl").write_bytes(b"\x00\x05\x16\x07\x00\x02")
    (folder / ".dev.csv").write_text("not data")
    (folder / "~$dev.csv").write_text("not data")
    assert main(["data", "check", str(folder)]) == 0
    assert len(load_questions(folder, split="validation")) == 1
    capsys.readouterr()
    (folder / "dev.jsonl").unlink()
    assert "holds no data file" in complaint(capsys, "data", "check", str(folder))
