"""The snippets of docs/serving.md and of the README against a server, as printed but for its address."""

import argparse
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from serving.live import Live, live
from test_readme import ROOT, snippets

from aspire_llm.cli import _parser
from aspire_llm.commands import calibrate
from aspire_llm.selection import RiskTarget

PRINTED = "http://127.0.0.1:8000"
PAGE = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # it asks the network at its import otherwise


@pytest.fixture(scope="module")
def demo(certified: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A server where the snippets expect that of `make demo`, with the target that they ask for."""
    folder = tmp_path_factory.mktemp("runs") / "demo"
    shutil.copytree(certified, folder)
    calibrate(folder, [RiskTarget(0.3, 0.05)], None)
    with live([folder]) as own:
        yield own


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def commands(text: str, program: str) -> list[str]:
    """Shell commands of a program, each in one piece with its continued lines."""
    lines = "\n".join(blocks(text, "sh")).replace("\\\n", " ").splitlines()
    return [line for line in lines if line.startswith(f"{program} ")]


def in_python(text: str) -> list[str]:
    return [own for own in blocks(text, "python") if PRINTED in own]


_PYTHON = [*in_python(PAGE), *in_python(README)]
_CURL = [*commands(PAGE, "curl"), *commands(README, "curl")]


def test_there_are_snippets() -> None:
    assert set(in_python(PAGE)) <= set(snippets(ROOT / "docs" / "serving.md"))
    assert len(in_python(PAGE)) >= 5
    assert len(in_python(README)) == 1
    assert len(commands(PAGE, "curl")) >= 3
    assert len(commands(README, "curl")) == 1


@pytest.mark.parametrize("place", range(len(_PYTHON)))
@pytest.mark.filterwarnings("ignore")  # of other clients, about themselves
def test_a_snippet_in_python(place: int, demo: Live, capsys: pytest.CaptureFixture[str]) -> None:
    own = _PYTHON[place]
    for program in ("litellm", "langchain_openai"):
        if f"import {program}" in own or f"from {program}" in own:
            pytest.importorskip(program, reason=f"{program} is not installed")
    exec(compile(own.replace(PRINTED, demo.url), "serving.md", "exec"), {})
    assert capsys.readouterr().out.strip()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("place", range(len(_CURL)))
def test_a_snippet_with_curl(place: int, demo: Live) -> None:
    command = _CURL[place].replace(PRINTED, demo.url)
    found = subprocess.run(["bash", "-c", f"{command} --fail-with-body"], capture_output=True, text=True, check=True)
    assert re.search(r'"(choices|answers|data)"', found.stdout)


@pytest.mark.filterwarnings("ignore")
def test_the_configuration_of_litellm_routes(demo: Live) -> None:
    litellm = pytest.importorskip("litellm", reason="litellm is not installed")
    (config,) = [own for own in blocks(PAGE, "yaml") if "model_list" in own]
    router = litellm.Router(**yaml.safe_load(config.replace(PRINTED, demo.url)))
    for name, risk in (("demo", None), ("careful", 0.3)):
        found = router.completion(name, [{"role": "user", "content": "Where was piano 7 built?"}])
        guarantee = found.choices[0].provider_specific_fields["aspire"]["guarantee"]
        assert (guarantee and guarantee["target_risk"]) == risk


def test_its_commands_are_understood() -> None:
    own = [*commands(PAGE, "aspire-llm"), *commands(README, "aspire-llm serve")]
    own += re.findall(r"`(aspire-llm serve [^`]*)`", PAGE)
    assert len(own) > 3
    for command in own:
        _parser().parse_args(shlex.split(command, comments=True)[1:])


def test_its_options_exist() -> None:
    jobs = next(own for own in _parser()._actions if isinstance(own, argparse._SubParsersAction))
    known = {name for job in jobs.choices.values() for own in job._actions for name in own.option_strings}
    said = set(re.findall(r"`(--[a-z-]+)", PAGE))
    assert said
    assert said <= known


def test_its_tables_name_what_there_is(demo: Live) -> None:
    api: dict[str, Any] = demo.client.get("/openapi.json").json()
    assert all(path.replace("{name}", "NAME") in PAGE for path in api["paths"])
    statuses = api["paths"]["/v1/chat/completions"]["post"]["responses"]
    assert all(f"| {status} |" in PAGE for status in statuses if status != "200")
    series = {line.split()[2] for line in demo.client.get("/metrics").text.splitlines() if line.startswith("# TYPE")}
    assert all(own.removesuffix("_created") in PAGE for own in series)
