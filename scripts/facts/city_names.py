"""Cities whose names say which place is meant, for `make_facts.py`; and names as they are compared."""

import math
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from scripts.facts.facts_by_hand import (
    CONFUSABLE,
    COUNTRIES,
    DISPUTED_CITIES,
    DISPUTED_TIMEZONES,
    HOME_NATIONS,
    NOT_A_CITY,
)

Json = dict[str, Any]

# A namesake counts from these shares of a city's own population. Other names of a place are many, in many languages.
NAMESAKE_SHARE, NAMESAKE_SHARE_OF_OTHER_NAMES = 0.02, 0.1

# Letters of words as they are written, not of scholarly transliterations ("Ar Ramādī").
_CITY_NAME = re.compile(r"[A-Za-zÀ-ÖØ-öø-ÿĂăĄąĆćČčĎďĐđĘęĚěĞğİıŁłŃńŇňŐőŒœŘřŚśŞşŠšŢţŤťŮůŰűŹźŻżŽžȘșȚț' .-]{4,}")
_WITHOUT_DECOMPOSITION = str.maketrans(
    {"Æ": "Ae", "æ": "ae", "Đ": "D", "đ": "d", "ı": "i", "Ł": "L", "ł": "l", "Ø": "O", "ø": "o", "ß": "ss", "œ": "oe"}
)


def unmistakable_cities(
    cities: Iterable[Json],
    places: Iterable[Json],
    *,
    regions: Iterable[tuple[str, str]],
    other_names: Iterable[str],
) -> list[Json]:
    """The cities whose name says which place is meant, largest first.

    Left out: names of, or with, a country, US state or chemical element; names of another country's region; names of
    another place that is not negligible beside the city; names that are rarely written so; disputed places.
    """
    cities = list(cities)
    minimum = NAMESAKE_SHARE_OF_OTHER_NAMES * min(city["population"] for city in cities)
    namesakes: dict[str, list[tuple[int, int, bool]]] = defaultdict(list)
    for place in places:
        own = folded(place["name"])
        others = place["alternatenames"] if place["population"] >= minimum else []
        for name in {own, *map(folded, others)}:
            namesakes[name].append((place["geonameid"], place["population"], name == own))
    region_countries: dict[str, set[str]] = defaultdict(set)
    for region, code in regions:
        region_countries[folded(region)].add(code)
    taken = [name for names in COUNTRIES.values() for name in names] + [*HOME_NATIONS.values(), *other_names]
    words = {f" {folded(name).removeprefix('the ')} " for name in taken}

    def is_unmistakable(city: Json) -> bool:
        name, population = folded(city["name"]), city["population"]
        return not (
            city["countrycode"] not in COUNTRIES
            or city["countrycode"] in CONFUSABLE
            or not _CITY_NAME.fullmatch(city["name"])
            or city["timezone"] in DISPUTED_TIMEZONES
            or city["name"] in DISPUTED_CITIES
            or any(word in f" {name} " for word in words)
            or not set(NOT_A_CITY).isdisjoint(name.split())
            or region_countries[name] - {city["countrycode"]}
            or any(
                other_population >= population * (NAMESAKE_SHARE if is_own else NAMESAKE_SHARE_OF_OTHER_NAMES)
                for geoname, other_population, is_own in namesakes[name]
                if geoname != city["geonameid"]
            )
        )

    return sorted(filter(is_unmistakable, cities), key=lambda city: (-city["population"], city["geonameid"]))


def distance(latitude: float, longitude: float, other_latitude: float, other_longitude: float) -> float:
    """Along the great circle, in km, by the haversine formula; angles in degrees."""
    phi, other_phi = math.radians(latitude), math.radians(other_latitude)
    half_lambda = math.radians(other_longitude - longitude) / 2
    haversine = math.sin((other_phi - phi) / 2) ** 2 + math.cos(phi) * math.cos(other_phi) * math.sin(half_lambda) ** 2
    return 2 * 6371.0 * math.asin(math.sqrt(haversine))


def folded(name: str) -> str:
    """A name without case, accents, punctuation and abbreviation of "Saint": equal for equal spoken names."""
    bare = re.sub(r"['’ʻ‘`]", "", without_accents(name).casefold())
    words = re.findall(r"\w+", bare)
    return " ".join("saint" if word == "st" else word for word in words)


def without_accents(text: str) -> str:
    """The text in plain letters: "Chișinău" is "Chisinau", "Łódź" is "Lodz"."""
    if text.isascii():
        return text
    decomposed = unicodedata.normalize("NFKD", text.translate(_WITHOUT_DECOMPOSITION))
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))
