"""The files of the page: its colours, its texts, and nothing that a strict policy would refuse."""

import re

import pytest
from serving.page_server import PAGE

from aspire_llm.records import Reason
from aspire_llm.report.palette import DARK, LIGHT

SCRIPTS = "\n".join(path.read_text(encoding="utf-8") for path in sorted(PAGE.glob("*.js")))
MARKUP = (PAGE / "index.html").read_text(encoding="utf-8")


def texts(language: str) -> dict[str, str]:
    """The texts of a language by key, as they are written."""
    source = (PAGE / f"texts_{language}.js").read_text(encoding="utf-8")
    return dict(re.findall(r"^  (\w+):\s(.+?),?$", source, re.MULTILINE | re.DOTALL)) if source else {}


def test_colours_are_those_of_the_report() -> None:
    style = (PAGE / "style.css").read_text(encoding="utf-8")
    colours = {
        role: (light, dark) for role, light, dark in re.findall(r"--([\w-]+): light-dark\((#\w+), (#\w+)\)", style)
    }
    shared = colours.keys() & LIGHT.keys() - {"wrong"}
    assert shared >= {"page", "card", "edge", "ink", "muted", "grid", "accent", "accent-soft", "wrong-soft"}
    assert {role: colours[role] for role in shared} == {role: (LIGHT[role], DARK[role]) for role in shared}


def test_both_languages_have_every_text() -> None:
    english, korean = texts("en"), texts("ko")
    assert english.keys() == korean.keys()
    parameters = {key: re.match(r"\(.*?\) =>", text) for key, text in english.items()}
    for key, found in parameters.items():
        assert (found and found[0]) == ((other := re.match(r"\(.*?\) =>", korean[key])) and other[0]), key


def test_every_text_is_used_and_every_used_text_is_there() -> None:
    keys = texts("en").keys()
    used = set(re.findall(r"\bt\(\"(\w+)\"", SCRIPTS)) | set(
        re.findall(r"data-(?:text|label|title|placeholder)=\"(\w+)\"", MARKUP)
    )
    assert used <= keys
    named = {key for key in keys if re.search(rf"\"{key}\"", SCRIPTS + MARKUP)}
    by_the_server = {str(reason) for reason in Reason} | {"fused", "aspire"}
    by_status = {f"error{status}" for status in (0, 400, 401, 413, 422, 503, 504)}
    assert keys - named - by_the_server - by_status - {"given", "withheld", "failed"} == set()


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_its_sentence(reason: Reason) -> None:
    assert str(reason) in texts("en")


def test_nothing_is_inline_absolute_or_from_elsewhere() -> None:
    assert not re.search(r"\sstyle=|\son\w+=|<style|<script(?![^>]*\ssrc=)", MARKUP)
    addresses = re.findall(r"(?:src|href)=\"([^\"]+)\"", MARKUP)
    files = [address.removeprefix("page/") for address in addresses if not address.startswith("data:")]
    imported = re.findall(r"from \"\./([^\"]+)\"", SCRIPTS)
    assert {path.name for path in PAGE.iterdir()} == {"index.html", *files, *imported}
    assert "innerHTML" not in SCRIPTS
    assert "http" not in SCRIPTS.replace("http://www.w3.org/2000/svg", "")
