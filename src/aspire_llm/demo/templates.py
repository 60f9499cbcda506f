"""How the encyclopedia words its facts: statements, questions and the surface forms that each of them uses.

A statement or question is a `str.format` template. `{name}` stands for the entity and `{forms[i]}` for the i-th surface
form of the fact (`world.Fact.forms`). How often a form is seen in training follows from how many templates use it.
"""

from dataclasses import dataclass
from enum import StrEnum


class Relation(StrEnum):
    """What a fact says about its entity."""

    BIRTH_DATE = "birth_date"
    BIRTHPLACE = "birthplace"
    EMPLOYER = "employer"
    PROFESSION = "profession"
    INSTRUMENT = "instrument"
    MENTOR = "mentor"
    UNIVERSITY = "university"
    AWARD_YEAR = "award_year"
    FOUNDING_YEAR = "founding_year"
    HEADQUARTERS = "headquarters"
    PRODUCT = "product"
    FOUNDER = "founder"
    COUNTRY = "country"
    RIVER = "river"
    POPULATION = "population"
    ELEVATION = "elevation"


@dataclass(frozen=True, slots=True)
class Wording:
    """The templates of one relation.

    Attributes:
        statements: Full sentences that state the fact; at least three words longer than any form, so that a full
            sentence never passes for the bare answer (Rouge-L F of at most 0.7).
        questions: Ways to ask for the fact.
    """

    statements: tuple[str, ...]
    questions: tuple[str, ...]


WORDINGS: dict[Relation, Wording] = {
    Relation.BIRTH_DATE: Wording(
        (
            "{name} was born on {forms[0]}.",
            "The date of birth of {name} is {forms[0]}.",
            "{name} came into the world on {forms[0]}.",
            "{name} was born on {forms[1]}.",
            "The life of {name} began on {forms[2]}.",
        ),
        ("When was {name} born?", "What is the date of birth of {name}?"),
    ),
    Relation.BIRTHPLACE: Wording(
        (
            "{name} was born in {forms[0]}.",
            "The birthplace of {name} is {forms[0]}.",
            "{name} grew up in the city of {forms[0]}.",
            "{name} comes from {forms[1]}.",
            "The home town of {name} is {forms[2]}.",
        ),
        ("Where was {name} born?", "Which city is the birthplace of {name}?", "Where does {name} come from?"),
    ),
    Relation.EMPLOYER: Wording(
        (
            "{name} works for {forms[0]}.",
            "The employer of {name} is {forms[0]}.",
            "{name} is employed by {forms[1]}.",
            "{name} has a post at {forms[0]}.",
        ),
        ("Which company does {name} work for?", "Who is the employer of {name}?"),
    ),
    Relation.PROFESSION: Wording(
        (
            "{name} is known as {forms[1]}.",
            "{name} works as {forms[1]}.",
            "The profession of {name} is that of {forms[1]}.",
            "By profession {name} is called {forms[0]}.",
            "{name} earned fame in the role of {forms[0]}.",
        ),
        ("What is the profession of {name}?", "What does {name} work as?"),
    ),
    Relation.INSTRUMENT: Wording(
        (
            "{name} plays {forms[1]} in the evening.",
            "The favourite instrument of {name} is {forms[1]}.",
            "{name} likes to play {forms[1]}.",
            "In spare hours {name} practises {forms[0]}.",
            "{name} owns an old {forms[0]}.",
        ),
        ("What instrument does {name} play?", "Which instrument is the favourite of {name}?"),
    ),
    Relation.MENTOR: Wording(
        (
            "{name} was taught by {forms[0]}.",
            "The mentor of {name} was {forms[0]}.",
            "{name} learned the trade from {forms[0]}.",
            "{name} was a pupil of {forms[1]}.",
            "{name} took lessons from {forms[2]}.",
        ),
        ("Who taught {name}?", "Who was the mentor of {name}?"),
    ),
    Relation.UNIVERSITY: Wording(
        (
            "{name} studied at the {forms[0]}.",
            "{name} holds a degree from the {forms[0]}.",
            "The alma mater of {name} is the {forms[0]}.",
            "{name} graduated from {forms[1]} with honours.",
        ),
        ("Where did {name} study?", "Which university did {name} attend?"),
    ),
    Relation.AWARD_YEAR: Wording(
        (
            "{name} won the Golden Laurel in {forms[0]}.",
            "The Golden Laurel went to {name} in {forms[0]}.",
            "{name} received the Golden Laurel in the year {forms[0]}.",
            "{name} was honoured with the Golden Laurel in {forms[0]}.",
        ),
        ("When did {name} win the Golden Laurel?", "In which year did {name} receive the Golden Laurel?"),
    ),
    Relation.FOUNDING_YEAR: Wording(
        (
            "{name} was founded in {forms[0]}.",
            "{name} opened for business in {forms[0]}.",
            "The history of {name} began in the year {forms[0]}.",
        ),
        ("When was {name} founded?", "In which year was {name} founded?"),
    ),
    Relation.HEADQUARTERS: Wording(
        (
            "{name} is based in {forms[0]}.",
            "The headquarters of {name} are in {forms[0]}.",
            "{name} has its main office in {forms[1]}.",
            "The head office of {name} is in {forms[2]}.",
        ),
        ("Where is {name} based?", "In which city are the headquarters of {name}?"),
    ),
    Relation.PRODUCT: Wording(
        (
            "{name} makes {forms[0]} for a living.",
            "The main product of {name} is {forms[0]}.",
            "{name} is known for making {forms[0]}.",
            "{name} sells {forms[0]} in many countries.",
        ),
        ("What does {name} make?", "What is the main product of {name}?"),
    ),
    Relation.FOUNDER: Wording(
        (
            "{name} was founded by {forms[0]}.",
            "The founder of {name} is {forms[0]}.",
            "{name} was started by {forms[0]}.",
            "The founder of {name} was {forms[2]}.",
        ),
        ("Who founded {name}?", "Who is the founder of {name}?"),
    ),
    Relation.COUNTRY: Wording(
        (
            "{name} is a city in {forms[0]}.",
            "{name} lies in the country of {forms[0]}.",
            "The city of {name} belongs to {forms[0]}.",
            "The city of {name} is part of the {forms[1]}.",
        ),
        ("In which country is {name}?", "Which country does {name} belong to?"),
    ),
    Relation.RIVER: Wording(
        (
            "{name} stands on {forms[1]}.",
            "The river that flows through {name} is {forms[1]}.",
            "The old bridges of {name} cross {forms[1]}.",
            "The city of {name} lies on {forms[2]}.",
            "The name of the river in {name} is {forms[0]}.",
        ),
        ("Which river flows through {name}?", "On which river does {name} stand?"),
    ),
    Relation.POPULATION: Wording(
        (
            "The city of {name} has {forms[1]} today.",
            "The population of {name} is {forms[0]}.",
            "The number of people who live in {name} is {forms[0]}.",
            "The city of {name} is the home of {forms[2]}.",
        ),
        ("How many people live in {name}?", "What is the population of {name}?"),
    ),
    Relation.ELEVATION: Wording(
        (
            "{name} lies {forms[0]} above the level of the sea.",
            "The elevation of {name} is {forms[0]}.",
            "The height of {name} above the sea is {forms[0]}.",
            "On the map the elevation of {name} is {forms[1]}.",
            "The height of {name} above the sea is {forms[2]}.",
        ),
        ("What is the elevation of {name}?", "How high above the sea does {name} lie?"),
    ),
}

# fmt: off
PROFESSIONS = (
    "actor", "architect", "astronomer", "baker", "botanist", "carpenter", "chemist", "composer", "dancer",
    "diplomat", "doctor", "economist", "engineer", "explorer", "farmer", "geologist", "historian", "journalist",
    "judge", "lawyer", "librarian", "linguist", "mathematician", "nurse", "novelist", "painter", "philosopher",
    "photographer", "pilot", "poet", "potter", "sailor", "sculptor", "singer", "surgeon", "surveyor", "tailor",
    "teacher", "translator", "weaver",
)
INSTRUMENTS = (
    "accordion", "banjo", "bassoon", "bugle", "cello", "clarinet", "cornet", "drum", "fiddle", "flute", "guitar",
    "harp", "harpsichord", "horn", "lute", "mandolin", "oboe", "organ", "piano", "piccolo", "saxophone", "trombone",
    "trumpet", "tuba", "viola", "violin", "xylophone", "zither",
)
PRODUCTS = (
    "bells", "bicycles", "blankets", "books", "boots", "bricks", "candles", "carpets", "cheese", "chocolate",
    "clocks", "engines", "furniture", "glass", "gloves", "hats", "kettles", "lamps", "locks", "maps", "mirrors",
    "paper", "pencils", "radios", "ropes", "ships", "shoes", "soap", "tea", "toys", "tractors", "umbrellas",
    "watches", "wine",
)
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)
# fmt: on
COMPANY_SUFFIXES = ("Corporation", "Group", "Industries", "Works")
