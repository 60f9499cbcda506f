"""What runs when nothing is named, with and without the package of the real model."""

from pathlib import Path

import pytest

from aspire_llm import demonstration as module
from aspire_llm.cli import main
from aspire_llm.commands import resolve_run
from aspire_llm.config_files import load_config
from aspire_llm.demonstration import FACTS, WORLD, demonstration
from aspire_llm.lm import model_files


class Found:
    """Stands for the preset's package."""

    install = "pip install it"

    def __init__(self, place: Path | str) -> None:
        self.place = place

    def locate(self) -> Path | str:
        return self.place


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(model_files.PRESETS, "smollm2", Found(tmp_path / "model.gguf"))
    monkeypatch.setattr(module, "find_spec", lambda name: name)


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(model_files.PRESETS, "smollm2", Found("hub/id"))


@pytest.mark.usefixtures("installed")
def test_the_real_model_where_it_is_installed() -> None:
    assert demonstration() == (FACTS, None)
    config, folder, _ = resolve_run(None)
    assert (config.model, config.data.name, folder) == ("smollm2", "facts", Path("runs/demo"))
    assert resolve_run(None, model="demo")[0].data.name == "demo"


@pytest.mark.usefixtures("missing")
def test_the_invented_world_where_it_is_not() -> None:
    found, note = demonstration()
    assert found is WORLD
    assert note is not None
    assert "pip install it" in note
    config, folder, said = resolve_run(None)
    assert (config.model, config.data.name, folder) == ("demo", "demo", Path("runs/demo"))
    assert note in said
    assert resolve_run(None, model="smollm2")[0].data.name == "facts"  # asked for by name; the hub may have it


@pytest.mark.usefixtures("installed")
def test_a_package_that_cannot_be_read_is_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    found, note = demonstration()
    assert found is WORLD
    assert "aspire-llm[gguf]" in (note or "")


@pytest.mark.usefixtures("installed")
def test_the_time_is_said_before_a_run_and_not_of_one_that_is_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "_products_a_second", lambda: FACTS.work / 240.0)
    assert resolve_run(None, output=tmp_path / "new")[2] == ("this takes about 4 minutes on this machine",)
    assert resolve_run(None, output=tmp_path)[2] == ()


@pytest.mark.usefixtures("installed")
def test_whatever_names_a_model_data_or_settings_is_no_demonstration(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("model: demo\ndata: {name: demo}\n")
    plain = load_config(None, [("data.name", "facts")])
    assert resolve_run(None, data="facts")[0] == plain
    assert resolve_run(own)[0] == load_config(own)
    assert resolve_run(None, model="org/name")[0].model == "org/name"


def test_the_settings_of_both_fit() -> None:
    for shown in (FACTS, WORLD):
        assert load_config(shown.config).data.name in ("facts", "demo")
        assert shown.minutes() > 0.0


@pytest.mark.usefixtures("missing")
@pytest.mark.parametrize("seeds", ["1", "2"])
def test_what_cannot_begin_says_why_in_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path, seeds: str) -> None:
    (tmp_path / "thesis.txt").write_text("precious", encoding="utf-8")
    assert main(["run", "--output", str(tmp_path), "--seeds", seeds]) == 2
    error = capsys.readouterr().err
    assert "holds no run" in error
    assert error.count("\n") == 1
