"""The corpus that the demonstration model is trained on: what the encyclopedia of a world would print.

Four kinds of documents stand in it. *Statements*: a few facts about one entity. *Question and full answer*
(``Q: …\\nA: <full sentence>``), for popular entities only. *Passage and question*: several facts, then a question
about one of them with its bare answer. *Claims*: a true or false statement about a popular entity with its verdict, so
that the words " correct" and " wrong" mean something to the model.
"""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass

from aspire_llm.demo.templates import WORDINGS, Relation
from aspire_llm.demo.world import Entity, Fact, Kind, World

POPULAR_SHARE = 0.3
"""Entities of rank below this share of all are popular."""

SHORT_NAME_SHARE = 0.4
"""How often a later sentence on a person or company uses the short name."""

CANONICAL_SHARE = 0.8
"""How often a bare answer is written in its canonical form."""

VERDICTS = {True: "correct", False: "wrong"}


@dataclass(frozen=True, slots=True)
class Mixture:
    """How many documents of each kind, as relative frequencies."""

    statements: float = 0.62
    questions: float = 0.30
    passages: float = 0.03
    claims: float = 0.05


def is_popular(world: World, entity: Entity) -> bool:
    """Whether documents ask about the entity outside of a passage."""
    return entity.rank < POPULAR_SHARE * len(world.entities)


def training_documents(world: World, seed: int, mixture: Mixture | None = None) -> Iterator[str]:
    """An endless stream of documents; equal worlds, seeds and mixtures give equal streams."""
    rng = random.Random(f"documents of {world.seed} and {seed}")
    mixture = mixture or Mixture()
    everyone = _Sampler(list(world.entities), rng)
    popular = _Sampler([entity for entity in world.entities if is_popular(world, entity)], rng)
    values = _values_by_relation(world)
    kinds = ("statements", "questions", "passages", "claims")
    weights = [getattr(mixture, kind) for kind in kinds]
    while True:
        kind = rng.choices(kinds, weights)[0]
        if kind == "statements":
            yield _statements(rng, everyone.draw(), rng.randint(1, 4))
        elif kind == "questions":
            yield _question_with_sentence(rng, popular.draw())
        elif kind == "passages":
            yield _passage_with_question(rng, everyone.draw())
        else:
            yield _claim(rng, popular.draw(), values)


class _Sampler:
    """Draws entities with probability proportional to their exposure."""

    def __init__(self, entities: list[Entity], rng: random.Random) -> None:
        self._entities = entities
        self._rng = rng
        self._cumulative = list(itertools.accumulate(World.exposure(entity.rank) for entity in entities))

    def draw(self) -> Entity:
        return self._rng.choices(self._entities, cum_weights=self._cumulative)[0]


def _values_by_relation(world: World) -> dict[Relation, list[tuple[str, ...]]]:
    values: dict[Relation, list[tuple[str, ...]]] = {}
    for entity in world.entities:
        for fact in entity.facts:
            values.setdefault(fact.relation, []).append(fact.forms)
    return values


def _sentence(rng: random.Random, name: str, relation: Relation, forms: tuple[str, ...]) -> str:
    return rng.choice(WORDINGS[relation].statements).format(name=name, forms=forms)


def _question(rng: random.Random, entity: Entity, fact: Fact) -> str:
    return rng.choice(WORDINGS[fact.relation].questions).format(name=entity.name)


def _sentences(rng: random.Random, entity: Entity, facts: list[Fact]) -> str:
    sentences: list[str] = []
    for fact in facts:
        short = entity.kind is not Kind.CITY and sentences and rng.random() < SHORT_NAME_SHARE
        sentences.append(_sentence(rng, entity.short_name if short else entity.name, fact.relation, fact.forms))
    return " ".join(sentences)


def _statements(rng: random.Random, entity: Entity, count: int) -> str:
    return _sentences(rng, entity, rng.sample(entity.facts, min(count, len(entity.facts))))


def _question_with_sentence(rng: random.Random, entity: Entity) -> str:
    fact = rng.choice(entity.facts)
    return f"Q: {_question(rng, entity, fact)}\nA: {_sentence(rng, entity.name, fact.relation, fact.forms)}"


def _passage_with_question(rng: random.Random, entity: Entity) -> str:
    facts = rng.sample(entity.facts, rng.randint(3, min(6, len(entity.facts))))
    asked = rng.choice(facts)
    answer = asked.forms[0] if rng.random() < CANONICAL_SHARE else rng.choice(asked.forms)
    return f"{_sentences(rng, entity, facts)}\n\nQ: {_question(rng, entity, asked)}\nA: {answer}"


def _claim(rng: random.Random, entity: Entity, values: dict[Relation, list[tuple[str, ...]]]) -> str:
    fact = rng.choice(entity.facts)
    forms = fact.forms if rng.random() < 0.5 else rng.choice(values[fact.relation])
    sentence = _sentence(rng, entity.name, fact.relation, forms)
    return f"Claim: {sentence}\nThis claim is {VERDICTS[forms == fact.forms]}."
