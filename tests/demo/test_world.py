"""The synthetic encyclopedia: determinism, names, and questions whose references mean what they say."""

import calendar
import hashlib
import random
import re
from collections import Counter

import pytest

from aspire_llm.demo import demo_questions
from aspire_llm.demo.templates import WORDINGS, Relation
from aspire_llm.demo.world import Fact, Kind, World, build_world, questions

MONTH_NUMBERS = {name: number for number, name in enumerate(calendar.month_abbr) if name}
DIGEST_OF_THE_SHIPPED_QUESTIONS = "82f2bc52ff4ea09c2b62d121bb863ff82d1364ec9b25d52dcab86b1adbaba748"


def rouge_l(reference: str, answer: str) -> float:
    """Rouge-L F by the textbook recursion on lower-case words."""
    left, right = (re.findall(r"[a-z0-9]+", text.lower()) for text in (reference, answer))
    row = [0] * (len(right) + 1)
    for word in left:
        previous = row
        row = [0]
        for position, other in enumerate(right):
            row.append(previous[position] + 1 if word == other else max(previous[position + 1], row[position]))
    return 2 * row[-1] / (len(left) + len(right))


def facts_by_relation(world: World) -> dict[Relation, list[tuple[str, Fact]]]:
    facts: dict[Relation, list[tuple[str, Fact]]] = {relation: [] for relation in Relation}
    for entity in world.entities:
        for fact in entity.facts:
            facts[fact.relation].append((entity.name, fact))
    return facts


def test_rouge_l_of_the_tests_by_hand() -> None:
    # Common words in order: "march 1954" of 3 and 3.
    assert rouge_l("12 March 1954", "13 March 1954") == pytest.approx(2 / 3)
    # LCS 2 ("1 metres" or "200 metres") of 3 and 2 words.
    assert rouge_l("1,200 metres", "200 metres") == pytest.approx(0.8)


def test_a_seed_gives_one_world_and_another_seed_another() -> None:
    assert build_world(5) == build_world(5)
    assert questions(build_world(5)) == questions(build_world(5))
    names_of_5 = {entity.name for entity in build_world(5).entities}
    names_of_6 = {entity.name for entity in build_world(6).entities}
    assert len(names_of_5 & names_of_6) < 30


def test_the_shipped_world_has_not_changed_under_its_model() -> None:
    """The model in the package learned these facts; a changed generator would make it wrong about everything."""
    lines = [f"{question.id}|{question.question}|{question.references}" for question in demo_questions()]
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == DIGEST_OF_THE_SHIPPED_QUESTIONS


def test_sizes(world: World) -> None:
    assert Counter(entity.kind for entity in world.entities) == {Kind.PERSON: 1200, Kind.COMPANY: 100, Kind.CITY: 80}
    assert Counter((entity.kind, len(entity.facts)) for entity in world.entities) == {
        (Kind.PERSON, 8): 1200,
        (Kind.COMPANY, 4): 100,
        (Kind.CITY, 4): 80,
    }
    assert sorted(entity.rank for entity in world.entities) == list(range(1380))


def test_names_and_ids_are_unique(world: World) -> None:
    for attribute in ("id", "name", "short_name"):
        assert len({getattr(entity, attribute) for entity in world.entities}) == 1380
    # No name stands inside another one, else a question about one entity would name the other.
    words = Counter(word for entity in world.entities for word in {entity.short_name, *entity.name.split()[1:]})
    suffixes = {"Corporation", "Group", "Industries", "Works"}
    assert [word for word, count in words.items() if count > 1 and word not in suffixes] == []


def test_the_order_of_entities_says_nothing_about_rank_or_kind(world: World) -> None:
    first_half = world.entities[:690]
    assert 0.4 < sum(entity.rank < 690 for entity in first_half) / 690 < 0.6
    assert 550 < sum(entity.kind is Kind.PERSON for entity in first_half) < 650


def test_questions_have_stable_unique_ids_and_the_entity_as_group(world: World) -> None:
    asked = demo_questions()
    assert len(asked) == 1200 * 8 + 100 * 4 + 80 * 4
    assert len({question.id for question in asked}) == len(asked)
    by_id = {entity.id: entity for entity in world.entities}
    for question in asked:
        entity_id, relation = question.id.split("/")
        assert question.group == entity_id
        assert by_id[entity_id].name in question.question
        assert question.references[0] == by_id[entity_id].fact(Relation(relation)).forms[0]
        assert question.context is None


def test_no_question_is_asked_twice() -> None:
    assert len({question.question for question in demo_questions()}) == 10_320


def test_every_relation_but_the_product_has_several_references() -> None:
    fewest: dict[str, int] = {}
    for question in demo_questions():
        relation = question.id.split("/")[1]
        assert len(set(question.references)) == len(question.references)
        fewest[relation] = min(fewest.get(relation, 9), len(question.references))
    assert {relation for relation, count in fewest.items() if count == 1} == {"product"}
    assert len(fewest) == 16


def test_dates_agree_in_all_their_forms() -> None:
    dates = [question.references for question in demo_questions() if question.id.endswith("/birth_date")]
    assert len(dates) == 1200
    for references in dates:
        parsed = set()
        for text in references:
            (month,) = re.findall(r"[A-Z][a-z]+", text)
            parsed.add((MONTH_NUMBERS[month[:3]], *sorted(int(digits) for digits in re.findall(r"\d+", text))))
        assert len(parsed) == 1
        assert re.fullmatch(r"\d{1,2} [A-Z][a-z]+ 19\d\d", references[0])


def test_heights_agree_in_all_their_forms() -> None:
    heights = [question.references for question in demo_questions() if question.id.endswith("/elevation")]
    for references in heights:
        number = int(references[0].removesuffix(" metres").replace(",", ""))
        assert set(references) == {f"{number:,} metres", f"{number:,} m", f"{number} metres"}


@pytest.mark.parametrize("relation", Relation)
def test_a_wrong_value_is_never_taken_for_the_right_one(world: World, relation: Relation) -> None:
    """No form of one value reaches Rouge-L 0.7 against any form of another value of the same relation."""
    values = list({fact.forms for _, fact in facts_by_relation(world)[relation]})
    rng = random.Random(0)
    for _ in range(400):
        right, wrong = rng.sample(values, 2)
        worst = max(rouge_l(reference, answer) for reference in right for answer in wrong)
        assert worst <= 0.7, (right, wrong)


@pytest.mark.parametrize("relation", Relation)
def test_a_full_sentence_is_never_taken_for_the_bare_answer(world: World, relation: Relation) -> None:
    rng = random.Random(0)
    for name, fact in rng.sample(facts_by_relation(world)[relation], 50):
        for template in WORDINGS[relation].statements:
            sentence = template.format(name=name, forms=fact.forms)
            assert max(rouge_l(reference, sentence) for reference in fact.forms) <= 0.7, sentence


@pytest.mark.parametrize("relation", Relation)
def test_every_question_names_the_entity_and_every_statement_names_it_before_the_value(relation: Relation) -> None:
    wording = WORDINGS[relation]
    for template in wording.questions:
        assert template.count("{name}") == 1
        assert "{forms" not in template
    for template in wording.statements:
        assert template.count("{name}") == template.count("{forms[") == 1
        assert template.index("{name}") < template.index("{forms[")
