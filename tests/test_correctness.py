"""Rouge-L, exact match and F1: numbers derived by hand, and what must hold for any text."""

import doctest
import unicodedata
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from aspire_llm import correctness
from aspire_llm.correctness import Measure, exact_match, f1, is_correct, is_same_answer, label, rouge_l
from aspire_llm.errors import DataError
from aspire_llm.records import LabelledAnswer, Question, SampledAnswer


@pytest.mark.parametrize(
    ("answer", "reference", "expected"),
    [
        # LCS / tokens of the answer = P, LCS / tokens of the reference = R, F = 2PR / (P + R).
        ("the cat sat", "the cat", 0.8),  # 2/3, 2/2
        ("b a", "a b", 0.5),  # order counts: LCS 1 of 2 and 2
        ("running dogs", "run dog", 0.0),  # no stemming
        ("The-Cat!", "the cat", 1.0),
        ("Paris", "London", 0.0),
        ("수도는 서울 입니다", "대한민국의 수도는 서울", 2 / 3),  # Korean by word: 2 of 3 and 3
        ("서울특별시", "서울", 0.0),  # other words
        ("Η Αθήνα", "αθήνα", 2 / 3),  # Greek: 1/2, 1/1
        ("ΛΌΓΟΣ", "λόγος", 1.0),  # final sigma folds
        ("café à Zürich", "cafe\u0301 a Zu\u0308rich", 2 / 3),  # composed = decomposed, à ≠ a
        ("STRASSE", "straße", 1.0),
        ("東京都", "東京", 0.8),  # by character: 2/3, 2/2
        ("とうきょう", "とうきよう", 0.8),  # 4 of 5 and 5
        ("ﾄﾖﾀ自動車", "トヨタ", 2 / 3),  # half width = full width: 3/6, 3/3
        ("データ", "デタ", 0.8),  # the long-vowel mark is a character of its own: 2/3, 2/2
        ("GPT東京2", "gpt 東 2", 6 / 7),  # gpt 東 京 2 against gpt 東 2: 3/4, 3/3
        ("ครับ", "ครู", 0.4),  # Thai by letter with its marks: ค รั บ against ค รู: 1/3, 1/2
        ("हिन्दी भाषा", "हिन्दी", 2 / 3),  # marks do not break a word
        ("می\u200cخواهم", "میخواهم", 1.0),  # a joiner is invisible
        ("１９７３", "1973", 1.0),
        # Nothing left but symbols: equal texts or nothing.
        ("%", "%", 1.0),
        (" 🚁 ", "🚁", 1.0),
        ("🚁", "%", 0.0),
        ("🚁", "helicopter", 0.0),
        ("helicopter", "🚁", 0.0),
        ("5", "%", 0.0),
        # Variation selectors choose a form of a character and are none themselves; marks alone are no word.
        ("❤\ufe0f", "☎\ufe0f", 0.0),
        ("❤\ufe0f", "❤", 1.0),
        ("❤\ufe0e", "❤\ufe0f", 1.0),
        ("❤\ufe0f Paris", "Paris", 1.0),
        ("1\ufe0f", "1", 1.0),
        ("葛\U000e0100", "葛", 1.0),
        ("葛\U000e0100城", "葛", 2 / 3),
        ("👍🏽", "👍🏿", 0.0),  # skin tones are characters
        ("🇫🇷", "🇩🇪", 0.0),
        ("👨\u200d👩\u200d👧", "👨\u200d👩", 0.0),
        ("\u0301", "\u0308", 0.0),
        ("% \u0301", "% \u0308", 0.0),
        ("´", "¨", 0.0),  # in compatibility form a space and a mark
        ("\u3164", "\u115f", 0.0),  # fillers: letters of no shape
        ("?!", "?!", 1.0),
        ("?!", "!?", 0.0),
        ("...", "…", 1.0),
        ("?!", "what", 0.0),
        ("what?!", "what", 1.0),
        ("\ufe0f", "❤\ufe0f", 0.0),
        ("", "Paris", 0.0),
        ("", "%", 0.0),
        ("", "", 0.0),
        (" ", " ", 0.0),
    ],
)
def test_rouge_l_by_hand(answer: str, reference: str, expected: float) -> None:
    assert rouge_l(answer, [reference]) == pytest.approx(expected, abs=1e-12)
    assert rouge_l(reference, [answer]) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("answer", "reference", "em", "f"),
    [
        # SQuAD's normal form drops ASCII punctuation, then the words a, an, the.
        ("the U.S.", "US", True, 1.0),
        ("A  cat", "cat", True, 1.0),
        ("well-known", "well known", False, 0.0),  # wellknown / well known
        ("the cat sat", "a cat", False, 2 / 3),  # cat sat / cat: 1/2, 1/1
        ("y y x", "z y y", False, 2 / 3),  # a bag: 2 of 3 and 3, in any order
        ("cat the dog", "dog cat", False, 1.0),
        ("theatre", "atre", False, 0.0),  # an article is a whole word
        ("서울", "서울", True, 1.0),
        ("The", "the", True, 1.0),  # vanishes, so the texts are compared
        ("The", "a", False, 0.0),
        ("%", "%", True, 1.0),
        ("%", "$", False, 0.0),
        ("", "the", False, 0.0),
        ("", "", False, 0.0),
    ],
)
def test_exact_match_and_f1_by_hand(answer: str, reference: str, em: bool, f: float) -> None:
    assert exact_match(answer, [reference]) is em
    assert f1(answer, [reference]) == pytest.approx(f, abs=1e-12)
    assert exact_match(reference, [answer]) is em


def test_the_best_reference_counts_and_none_is_zero() -> None:
    references = ["London", "the city of Paris", "in Paris France"]
    assert rouge_l("in Paris", references) == pytest.approx(0.8)  # 2/2, 2/3
    assert f1("in Paris", references) == pytest.approx(0.8)
    assert not exact_match("in Paris", references)
    assert exact_match("in Paris", [*references, "In Paris."])
    assert (rouge_l("x", ()), f1("x", ()), exact_match("x", ())) == (0.0, 0.0, False)


def answer_of(text: str) -> SampledAnswer:
    return SampledAnswer(text, token_ids=(1, 2), log_likelihood=-0.5, num_tokens=3)


def test_the_threshold_is_strict() -> None:
    question = Question("1", "?", ("the cat",))
    answer = answer_of("the cat sat")
    score = rouge_l("the cat sat", ["the cat"])
    assert label(answer, question, threshold=score) == LabelledAnswer(answer, score, correct=False)
    assert label(answer, question, threshold=0.79) == LabelledAnswer(answer, score, correct=True)


@pytest.mark.parametrize("measure", [Measure.ROUGE_L, Measure.F1])
@pytest.mark.parametrize("tenths", range(1, 10))
def test_an_agreement_of_exactly_the_threshold_does_not_pass_it(measure: Measure, tenths: int) -> None:
    """By hand: of m and n words in which l are common, 2 l / (m + n) agree; floats may come out above it."""
    for total in range(10, 100, 10):
        common = total * tenths // 20
        if common * 20 != total * tenths:
            continue
        for length in range(common, total - common + 1):
            shared = [f"w{i}" for i in range(common)]
            answer = " ".join(shared + [f"x{i}" for i in range(length - common)])
            reference = " ".join(shared + [f"y{i}" for i in range(total - length - common)])
            question = Question("0", "?", (reference,))
            assert not label(SampledAnswer(answer, (), 0.0, 1, True), question, tenths / 10, measure).correct


@pytest.mark.parametrize(
    ("measure", "text", "threshold", "correct"),
    [
        (Measure.ROUGE_L, "the Eiffel tower", 0.7, True),  # 2·(2/3)·1 / (2/3 + 1) = 0.8
        (Measure.ROUGE_L, "the Eiffel tower", 0.9, False),
        (Measure.EXACT_MATCH, "the Eiffel tower.", 0.9, True),
        (Measure.EXACT_MATCH, "the Eiffel tower in Paris", 0.0, False),
        (Measure.EXACT_MATCH, "Eiffel tower", 1.0, False),  # strictly above
        (Measure.F1, "tower Eiffel", 0.9, True),  # a bag of words
        (Measure.F1, "the Eiffel tower in Paris", 0.6, True),  # 2·(2/4)·1 / (2/4 + 1) = 2/3
        (Measure.F1, "the Eiffel tower in Paris", 0.7, False),
    ],
)
def test_the_measure_decides_and_rouge_l_is_kept(measure: Measure, text: str, threshold: float, correct: bool) -> None:
    question = Question("1", "?", ("Eiffel tower",))
    found = label(answer_of(text), question, threshold, measure)
    assert found == LabelledAnswer(answer_of(text), rouge_l(text, question.references), correct)
    unanswerable = replace(question, answerable=False)
    assert not is_correct(text, unanswerable, 0.0, 0.0, measure)


def test_answers_that_are_the_same() -> None:
    assert is_same_answer(" Ulm\n", "Ulm")
    assert is_same_answer("the Ulm.", "ulm")
    assert is_same_answer("", " ")
    assert not is_same_answer("Ulm", "")
    assert not is_same_answer("Ulm", "Neu-Ulm")


def test_an_exact_answer_passes_the_training_threshold() -> None:
    """F must be exactly 1.0 whatever the length: 0.9 leaves no room for rounding to matter, 1.0 would."""
    for length in range(1, 40):
        text = " ".join(f"w{i}" for i in range(length))
        assert label(answer_of(text), Question("1", "?", (text,)), threshold=0.9).rouge_l == 1.0


def test_every_answer_to_an_unanswerable_question_is_wrong() -> None:
    question = Question("1", "?", ("Paris",), answerable=False)
    assert label(answer_of("Paris"), question, threshold=0.0) == LabelledAnswer(answer_of("Paris"), 0.0, False)


def test_a_question_without_references_cannot_be_judged() -> None:
    with pytest.raises(DataError, match="the question '1' has no reference answer to judge by"):
        label(answer_of("Paris"), Question("1", "?"), threshold=0.7)


texts = st.text(max_size=25)
word_texts = st.lists(st.sampled_from(["a", "the", "cat", "서울", "東京", "é", "%", "x1"]), max_size=6).map(" ".join)
any_text = texts | word_texts


@given(answer=any_text, references=st.lists(any_text, max_size=4), data=st.data())
def test_bounds_order_and_maximum(answer: str, references: list[str], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(references))
    for score in (rouge_l, f1, exact_match):
        value = score(answer, references)
        assert 0.0 <= value <= 1.0
        assert value == score(answer, shuffled)
        assert value == max((score(answer, [reference]) for reference in references), default=0)


@given(one=any_text, other=any_text)
def test_symmetry(one: str, other: str) -> None:
    for score in (rouge_l, f1, exact_match):
        assert score(one, [other]) == pytest.approx(score(other, [one]), abs=1e-12)


@given(text=any_text)
def test_a_text_agrees_with_itself(text: str) -> None:
    assume(text.strip())
    assert rouge_l(text, [text]) == f1(text, [text]) == 1.0
    assert exact_match(text, [text])


symbols = st.text("❤☎🚁👍🏽🇫🇷%?!…5aé東\ufe0f\ufe0e\u200d\u0301\u0308\u20e3 ", max_size=6)


def letters(text: str) -> str:
    """All letters and digits in compatibility form, and nothing else."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return "".join(character for character in folded if unicodedata.category(character)[0] in "LN")


@given(one=any_text | symbols, other=any_text | symbols)
def test_full_agreement_is_of_the_same_letters_or_else_of_the_same_symbols(one: str, other: str) -> None:
    assert rouge_l(one, [other]) == pytest.approx(rouge_l(other, [one]), abs=1e-12)
    if rouge_l(one, [other]) == 1.0 and not set(one + other) & set("\u115f\u1160\u3164\uffa0"):
        assert letters(one) == letters(other)
        if not letters(one):
            folded = (unicodedata.normalize("NFKC", text.casefold()).strip() for text in (one, other))
            selectors = dict.fromkeys((*range(65024, 65040), *range(917760, 918000), *range(6155, 6160)))
            assert len({text.translate(selectors).strip() for text in folded}) == 1


@given(text=symbols)
def test_symbols_agree_with_themselves(text: str) -> None:
    assume(text.strip())
    assert rouge_l(text, [text]) == rouge_l(f" {text}\n", [text]) == 1.0


@given(one=any_text, other=any_text)
def test_exact_match_implies_full_f1(one: str, other: str) -> None:
    if exact_match(one, [other]):
        assert f1(one, [other]) == 1.0


ascii_text = st.lists(st.text(st.characters(max_codepoint=126, min_codepoint=32), max_size=6), max_size=6).map(" ".join)


@given(answer=ascii_text, reference=ascii_text)
def test_ascii_text_scores_as_in_rouge_score(answer: str, reference: str) -> None:
    assume(any(map(str.isalnum, answer)) and any(map(str.isalnum, reference)))
    expected = RougeScorer(["rougeL"]).score(reference, answer)["rougeL"].fmeasure
    assert rouge_l(answer, [reference]) == expected


short = st.lists(st.sampled_from("abc"), min_size=1, max_size=6)


@given(answer=short, reference=short)
def test_rouge_l_is_what_its_definition_says(answer: list[str], reference: list[str]) -> None:
    """Against every subsequence of the answer, tried one by one."""

    def is_subsequence(part: tuple[str, ...], whole: list[str]) -> bool:
        rest = iter(whole)
        return all(token in rest for token in part)

    lengths = range(len(answer), -1, -1)
    lcs = next(n for n in lengths if any(is_subsequence(part, reference) for part in combinations(answer, n)))
    expected = 2 * lcs / (len(answer) + len(reference))
    assert rouge_l(" ".join(answer), [" ".join(reference)]) == pytest.approx(expected, abs=1e-12)


def test_docstring_examples() -> None:
    assert doctest.testmod(correctness) == (0, 3)
