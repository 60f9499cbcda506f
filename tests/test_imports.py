"""What is quick stays quick: commands that need no model import no model library."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "transformers", "peft", "datasets")


def modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport sys\nprint(*sys.modules, file=sys.stderr)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return set(done.stderr.split())


@pytest.mark.parametrize(
    "statement",
    [
        "from aspire_llm.cli import main",
        "import aspire_llm.pipeline",
        "import aspire_llm.commands",
        "import aspire_llm.report",
        "import aspire_llm.methods.catalogue, aspire_llm.methods.scoring, aspire_llm.methods.aspire",
        "import aspire_llm.selection, aspire_llm.results.metrics",
    ],
)
def test_no_model_library_is_imported(statement: str) -> None:
    assert not modules_after(statement) & set(HEAVY)


def test_data_check_imports_no_model_library(data_file: Path) -> None:
    statement = f"from aspire_llm.cli import main\nassert main(['data', 'check', {str(data_file)!r}]) == 0"
    assert not modules_after(statement) & {*HEAVY, "sklearn", "scipy"}
