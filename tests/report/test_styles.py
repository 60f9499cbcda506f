"""How methods are drawn: none like another, and the same everywhere."""

from aspire_llm.methods.catalogue import METHODS, family_of
from aspire_llm.report.palette import DARK, LIGHT
from aspire_llm.report.styles import legend, method_style


def test_no_two_known_methods_look_alike() -> None:
    styles = [method_style(name) for name in METHODS]
    assert len({(style.role, style.dashes) for style in styles}) == len(METHODS) == 22
    assert all(style.role in LIGHT and style.role in DARK for style in styles)
    hues = {family_of(name): method_style(name).role.rsplit("-", 1)[0] for name in METHODS}
    assert len(set(hues.values())) == len(hues) == 5
    widths = sorted((style.width, style.series) for style in styles)
    assert {name for width, name in widths if width == widths[-1][0]} == {"aspire", "fused"}


def test_untuned_twins_share_style_and_switch() -> None:
    assert method_style("sar_untuned") == method_style("sar")


def test_a_foreign_name_is_harmless_as_a_switch() -> None:
    assert method_style('a"<b> é').series == "a--b---"


def test_the_legend_shows_those_asked_for_at_first() -> None:
    drawn = legend(["sar", "p_true", "aspire", "perplexity", "sar_untuned"], ("aspire", "perplexity", "sar"))
    assert drawn.shown == {"aspire", "sar", "perplexity"}
    switches = [style.series for _, styles in drawn.families for style in styles]
    assert switches == ["aspire", "perplexity", "sar", "p_true"]
    assert legend(["one", "two"], ("aspire", None)).shown == {"one", "two"}
