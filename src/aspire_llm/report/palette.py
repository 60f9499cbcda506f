"""Every colour of the page, by role, for light and for dark; the methods of one family share a hue in a few shades."""

from collections.abc import Mapping

from aspire_llm.methods.catalogue import Family

Colours = Mapping[str, str]
SHADES = 3


def _mix(colour: str, other: str, share: float) -> str:
    """`colour` with a share of `other`, channel by channel."""
    pairs = zip(bytes.fromhex(colour[1:]), bytes.fromhex(other[1:]), strict=True)
    return "#" + "".join(f"{round((1 - share) * a + share * b):02x}" for a, b in pairs)


def _with_shades(roles: dict[str, str], hues: Mapping[Family, str]) -> Colours:
    """The roles and ``<family>-<shade>``: the hue itself, then nearer to the ink, then nearer to the ground."""
    shades = [(roles["ink"], 0.0), (roles["ink"], 0.38), (roles["card"], 0.28)]
    assert len(shades) == SHADES
    return roles | {
        f"{family}-{place}": _mix(hue, toward, share)
        for family, hue in hues.items()
        for place, (toward, share) in enumerate(shades, start=1)
    }


LIGHT = _with_shades(
    {
        "page": "#f6f7f9",
        "card": "#ffffff",
        "edge": "#e1e5eb",
        "ink": "#1d2430",
        "muted": "#5b6676",
        "grid": "#e4e8ee",
        "accent": "#1660c4",
        "accent-soft": "#e9f0fb",
        "right": "#2a6fbb",
        "wrong": "#b9541a",
        "right-soft": "#e8f0f9",
        "wrong-soft": "#fbeee5",
    },
    {
        Family.ASPIRE: "#1660c4",
        Family.LIKELIHOOD: "#c8601d",
        Family.SAMPLING: "#1f7d64",
        Family.ASKING: "#7a4cb8",
        Family.SUPERVISED: "#b8336f",
        Family.OTHER: "#807b6d",
    },
)
DARK = _with_shades(
    {
        "page": "#11151b",
        "card": "#181d25",
        "edge": "#2a323e",
        "ink": "#e6eaf0",
        "muted": "#9aa6b6",
        "grid": "#28303b",
        "accent": "#75aef5",
        "accent-soft": "#1a2a40",
        "right": "#74aef2",
        "wrong": "#ee9a62",
        "right-soft": "#1a2a3e",
        "wrong-soft": "#38261a",
    },
    {
        Family.ASPIRE: "#75aef5",
        Family.LIKELIHOOD: "#ee9a62",
        Family.SAMPLING: "#5fc7a7",
        Family.ASKING: "#bb97ee",
        Family.SUPERVISED: "#f07fb0",
        Family.OTHER: "#aba693",
    },
)
