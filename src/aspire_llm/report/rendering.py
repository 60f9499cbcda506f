"""Pages from their templates: HTML that holds its own style and script, and loads nothing."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from aspire_llm.report import palette
from aspire_llm.report.tables import percent

_FOLDER = Path(__file__).parent


def render(template: str, **values: Any) -> str:
    """The page that a file of `templates/` makes of the values; the same values give the same text, byte for byte.

    Text is escaped, and a name that is not given is an error.
    """
    environment = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"light": palette.LIGHT, "dark": palette.DARK, "source": _source}
    environment.filters["percent"] = percent
    return environment.get_template(template).render(**values)


def _source(name: str) -> Markup:
    """The text of a style sheet or script of ours."""
    return Markup((_FOLDER / name).read_text(encoding="utf-8"))  # noqa: S704 no user has a say in it
