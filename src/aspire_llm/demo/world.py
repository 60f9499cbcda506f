"""A synthetic encyclopedia: invented people, companies and cities, and the facts about them.

Everything follows from one seed. Entities differ in how often they are written about (`World.exposure`), so that a
small language model trained on `documents.training_documents` knows some of them well and others hardly at all.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from aspire_llm.demo import names
from aspire_llm.demo.names import NameMaker
from aspire_llm.demo.templates import (
    COMPANY_SUFFIXES,
    INSTRUMENTS,
    MONTHS,
    PRODUCTS,
    PROFESSIONS,
    WORDINGS,
    Relation,
)
from aspire_llm.records import Question

T = TypeVar("T")

NUM_PEOPLE = 1200
NUM_COMPANIES = 100
NUM_CITIES = 80
NUM_COUNTRIES = 12
NUM_RIVERS = 40
NUM_GIVEN_NAMES = 150
NUM_UNIVERSITIES = 30

ZIPF_EXPONENT = 1.2
ZIPF_OFFSET = 30


class Kind(StrEnum):
    """What an entity is."""

    PERSON = "person"
    COMPANY = "company"
    CITY = "city"


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact about an entity.

    Attributes:
        relation: What the fact says.
        forms: The ways to write its value; the first is the canonical one.
    """

    relation: Relation
    forms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entity:
    """A person, a company or a city.

    Attributes:
        id: Unique and stable, e.g. ``person-0007``; says nothing about how well known the entity is.
        kind: What the entity is.
        name: Its full name, unique in the world.
        short_name: The name that running text uses after the first mention; unique in the world too.
        rank: 0 for the entity written about most, 1 for the next, and so on over all kinds.
        facts: One for each relation of its kind.
    """

    id: str
    kind: Kind
    name: str
    short_name: str
    rank: int
    facts: tuple[Fact, ...]

    def fact(self, relation: Relation) -> Fact:
        """The fact of this relation; `KeyError` where the entity's kind has none."""
        for fact in self.facts:
            if fact.relation is relation:
                return fact
        raise KeyError(relation)


@dataclass(frozen=True, slots=True)
class World:
    """All entities, in an order that says nothing about their rank or kind."""

    seed: int
    entities: tuple[Entity, ...]

    @staticmethod
    def exposure(rank: int) -> float:
        """Unnormalised frequency of the entity of this rank in the corpus: (rank + 1 + offset)^(−exponent)."""
        return float((rank + 1 + ZIPF_OFFSET) ** -ZIPF_EXPONENT)


def build_world(seed: int) -> World:
    """The world of a seed: 1,200 people with 8 facts each, 100 companies and 80 cities with 4 each."""
    rng = random.Random(seed)
    maker = NameMaker(rng)
    countries = [maker.draw(names.COUNTRY_ENDINGS) for _ in range(NUM_COUNTRIES)]
    rivers = [maker.draw(names.RIVER_ENDINGS) for _ in range(NUM_RIVERS)]
    cities = [maker.draw(names.CITY_ENDINGS) for _ in range(NUM_CITIES)]
    companies = [(maker.draw(names.COMPANY_ENDINGS), rng.choice(COMPANY_SUFFIXES)) for _ in range(NUM_COMPANIES)]
    given_names = [maker.draw(names.GIVEN_ENDINGS) for _ in range(NUM_GIVEN_NAMES)]
    people = [
        (rng.choice(given_names), maker.draw(names.SURNAME_ENDINGS, rng.choice((1, 1, 2)))) for _ in range(NUM_PEOPLE)
    ]

    country_of = {city: rng.choice(countries) for city in cities}
    ranks = list(range(NUM_PEOPLE + NUM_COMPANIES + NUM_CITIES))
    rng.shuffle(ranks)
    entities = []
    for number, person in enumerate(people):
        facts = _person_facts(rng, person, people, companies, country_of)
        entities.append(Entity(f"person-{number:04d}", Kind.PERSON, " ".join(person), person[1], ranks.pop(), facts))
    for number, company in enumerate(companies):
        facts = _company_facts(rng, people, country_of)
        entities.append(
            Entity(f"company-{number:04d}", Kind.COMPANY, " ".join(company), company[0], ranks.pop(), facts)
        )
    for number, city in enumerate(cities):
        facts = _city_facts(rng, country_of[city], rivers)
        entities.append(Entity(f"city-{number:04d}", Kind.CITY, city, city, ranks.pop(), facts))
    rng.shuffle(entities)
    return World(seed, tuple(entities))


def questions(world: World) -> list[Question]:
    """One question for each fact, entity by entity, in one of the relation's wordings.

    The id is ``<entity id>/<relation>``, the group the entity's id, the references the forms of the fact.
    """
    rng = random.Random(f"questions of {world.seed}")
    return [
        Question(
            id=f"{entity.id}/{fact.relation}",
            question=rng.choice(WORDINGS[fact.relation].questions).format(name=entity.name),
            references=tuple(dict.fromkeys(fact.forms)),  # "3 May 1950" has two equal forms
            group=entity.id,
        )
        for entity in world.entities
        for fact in entity.facts
    ]


def _skewed(rng: random.Random, values: Sequence[T]) -> T:
    """One of the values, the first ones more often, as big cities have more children than small ones."""
    return rng.choices(values, [1 / (position + 10) for position in range(len(values))])[0]


def _person_facts(
    rng: random.Random,
    person: tuple[str, str],
    people: Sequence[tuple[str, str]],
    companies: Sequence[tuple[str, str]],
    country_of: dict[str, str],
) -> tuple[Fact, ...]:
    cities = list(country_of)
    birth_year = rng.randint(1920, 1979)
    birthplace = _skewed(rng, cities)
    company, suffix = _skewed(rng, companies)
    profession, instrument = _skewed(rng, PROFESSIONS), _skewed(rng, INSTRUMENTS)
    mentor = rng.choice([other for other in people if other != person])
    university = _skewed(rng, cities[:NUM_UNIVERSITIES])
    award_year = birth_year + rng.randint(20, 45)
    return (
        Fact(Relation.BIRTH_DATE, _date_forms(rng.randint(1, 28), rng.choice(MONTHS), birth_year)),
        Fact(Relation.BIRTHPLACE, _place_forms(birthplace, country_of[birthplace])),
        Fact(Relation.EMPLOYER, (company, f"{company} {suffix}")),
        Fact(Relation.PROFESSION, (profession, _with_article(profession))),
        Fact(Relation.INSTRUMENT, (instrument, f"the {instrument}")),
        Fact(Relation.MENTOR, _person_forms(mentor)),
        # No form "the University of …": Rouge-L would take the wrong university in it for the right one (F = 0.75).
        Fact(Relation.UNIVERSITY, (f"University of {university}", f"{university} University")),
        Fact(Relation.AWARD_YEAR, _year_forms(award_year)),
    )


def _company_facts(
    rng: random.Random, people: Sequence[tuple[str, str]], country_of: dict[str, str]
) -> tuple[Fact, ...]:
    city = _skewed(rng, list(country_of))
    return (
        Fact(Relation.FOUNDING_YEAR, _year_forms(rng.randint(1850, 1990))),
        Fact(Relation.HEADQUARTERS, _place_forms(city, country_of[city])),
        Fact(Relation.PRODUCT, (_skewed(rng, PRODUCTS),)),
        Fact(Relation.FOUNDER, _person_forms(rng.choice(people))),
    )


def _city_facts(rng: random.Random, country: str, rivers: Sequence[str]) -> tuple[Fact, ...]:
    river = rng.choice(rivers)
    population = f"{rng.randrange(100, 1000, 10)},000"
    # All in the thousands: "200 metres" would pass for "1,200 metres" under Rouge-L (F = 0.8).
    elevation = rng.randrange(1010, 4000, 10)
    return (
        Fact(Relation.COUNTRY, (country, f"Republic of {country}")),
        Fact(Relation.RIVER, (river, f"the {river}", f"the River {river}")),
        Fact(Relation.POPULATION, (population, f"{population} inhabitants", f"{population} people")),
        Fact(Relation.ELEVATION, (f"{elevation:,} metres", f"{elevation:,} m", f"{elevation} metres")),
    )


def _date_forms(day: int, month: str, year: int) -> tuple[str, ...]:
    return f"{day} {month} {year}", f"{month} {day}, {year}", f"{day} {month[:3]} {year}"


def _year_forms(year: int) -> tuple[str, ...]:
    return f"{year}", f"in {year}"


def _place_forms(city: str, country: str) -> tuple[str, ...]:
    return city, f"{city}, {country}", f"{city} in {country}"


def _person_forms(person: tuple[str, str]) -> tuple[str, ...]:
    given_name, surname = person
    return f"{given_name} {surname}", surname, f"{given_name[0]}. {surname}"


def _with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
