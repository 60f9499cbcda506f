"""What ships of a finished run answers as the run does, and `demo` means the one in the package."""

from pathlib import Path

import pytest

from aspire_llm import SelectivePredictor
from aspire_llm.demo import find_run
from scripts.ship_run import ship


def test_a_shipped_run_answers_as_the_run_does(finished: Path, tmp_path: Path) -> None:
    shipped = tmp_path / "shipped"
    ship(finished, shipped)
    questions = ["Where does Ana come from?", "What is far?"]
    ours, theirs = (SelectivePredictor.load(folder).predict(questions) for folder in (shipped, finished))
    for own, its in zip(ours, theirs, strict=True):
        assert own.sampled.text == its.sampled.text
        # Adapters in float16 have 11 bits.
        assert own.scored.selection_score == pytest.approx(its.scored.selection_score, abs=0.01)
    size = {
        folder: sum(own.stat().st_size for own in folder.rglob("*") if own.is_file()) for folder in (shipped, finished)
    }
    assert size[shipped] < size[finished]


def test_demo_is_the_run_of_the_package_unless_a_folder_of_that_name_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_run("demo").parent.name == "demo"
    assert find_run(Path("demo")) == find_run("demo")
    assert find_run("./demo") == Path("demo")  # as everywhere: with a separator it is a path
    (tmp_path / "demo").mkdir()
    assert find_run("demo") == Path("demo")
