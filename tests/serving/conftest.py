"""One server for all tests that leave it as it is, and the page of a stand-in in one tab."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import tiny_config
from serving.live import Live, live
from serving.page_server import StandIn, stand_in
from serving.watched import WIDE, Watched, open_tab

from aspire_llm.commands import calibrate
from aspire_llm.config import RunConfig
from aspire_llm.selection import RiskTarget


@pytest.fixture(scope="session")
def config(model_folder: Path, data_file: Path) -> RunConfig:
    """With LoRA, of which two runs on one model are told apart by name."""
    return tiny_config("lora", model_folder, data_file)


@pytest.fixture(scope="session")
def finished(config: RunConfig, run_of: Callable[[RunConfig], Path]) -> Path:
    """Of these settings alone: that of all tests is kept for whoever asks next, in other folders, too."""
    return run_of(config)


@pytest.fixture(scope="session")
def certified(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny finished run with a target that nothing can keep, and one that anything keeps."""
    folder = tmp_path_factory.mktemp("certified") / "whole"
    shutil.copytree(finished, folder)
    calibrate(folder, [RiskTarget(0.01, 0.05), RiskTarget(0.99, 0.05)], None)
    return folder


@pytest.fixture(scope="session")
def served(certified: Path) -> Iterator[Live]:
    """Of it."""
    with live([certified]) as own:
        yield own


@pytest.fixture(scope="module")
def server() -> Iterator[StandIn]:
    with stand_in() as server:
        yield server


@pytest.fixture(scope="module")
def tab(chromium: Any, server: StandIn) -> Watched:
    """One tab of an English browser for all tests: a tab takes longer to open than a page."""
    return open_tab(chromium, server, "en-US")


@pytest.fixture
def watched(tab: Watched) -> Iterator[Watched]:
    """The page, opened anew; any error or request to elsewhere fails the test at its end."""
    tab.server.reset()
    tab.expected = "none"
    tab.page.set_viewport_size({"width": WIDE, "height": 900})
    tab.page.emulate_media(color_scheme="light")
    tab.open()
    yield tab
    tab.page.unroute_all()
    tab.page.evaluate("localStorage.clear()")
    problems, tab.problems = tab.problems, []
    assert problems == []
