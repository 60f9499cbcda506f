"""docs/adding_a_method.md as it stands: the file and the line that it shows make a method."""

import re
import sys
from pathlib import Path

import pytest

import aspire_llm.methods
from aspire_llm import run
from aspire_llm.config import RunConfig
from aspire_llm.methods.catalogue import METHODS, Family, Method, Needs, in_order
from aspire_llm.report import results_table
from aspire_llm.results.predictions import PREDICTIONS
from aspire_llm.results.scores import scores_file

DOC = Path(__file__).resolve().parents[2] / "docs" / "adding_a_method.md"


def test_a_file_and_a_line_make_a_method(
    config: RunConfig, unscored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, line = re.findall(r"```python\n(.*?)```", DOC.read_text(encoding="utf-8"), re.DOTALL)
    method: Method = eval(line, {"Method": Method, "Family": Family, "Needs": Needs})
    (tmp_path / f"{method.name}.py").write_text(code, encoding="utf-8")
    monkeypatch.setattr(aspire_llm.methods, "__path__", [*aspire_llm.methods.__path__, str(tmp_path)])
    monkeypatch.setitem(METHODS, method.name, method)
    metrics = run(config, unscored, methods=method.name)
    monkeypatch.delitem(sys.modules, f"aspire_llm.methods.{method.name}")
    assert set(metrics.methods) == {"aspire", method.name}
    assert metrics.origins[method.name].source == "control"
    expected = tuple(-own.sampled.num_tokens for own in PREDICTIONS.read(unscored))
    assert scores_file(method.name).read(unscored).scores == expected
    assert f"aspire - {method.name}" in metrics.differences
    assert "Short answers" in results_table(metrics)
    assert "Short answers" in (unscored / "report.html").read_text(encoding="utf-8")


def test_every_entry_has_its_module_and_its_place() -> None:
    folder = Path(aspire_llm.methods.__file__).parent
    for name, method in METHODS.items():
        assert name == method.name
        assert (folder / f"{name}.py").is_file(), name
    families = [METHODS[name].family for name in in_order(METHODS)]
    assert families == sorted(families, key=list(Family).index)
    assert in_order(["zebra", "sar_untuned", "sar", "aspire"]) == ["aspire", "sar", "sar_untuned", "zebra"]
