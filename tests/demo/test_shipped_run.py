"""`demo` means the run in the package."""

from pathlib import Path

import pytest

from aspire_llm.demo import find_run


def test_demo_is_the_run_of_the_package_unless_a_folder_of_that_name_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_run("demo").parent.name == "demo"
    assert find_run(Path("demo")) == find_run("demo")
    assert find_run("./demo") == Path("demo")  # as everywhere: with a separator it is a path
    (tmp_path / "demo").mkdir()
    assert find_run("demo") == Path("demo")
