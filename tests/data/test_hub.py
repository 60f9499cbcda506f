"""Hub data sets, through `datasets` itself: it takes a local folder where it would take a name on the hub."""

import hashlib
from pathlib import Path

import datasets
import pyarrow as pa
import pytest
from pyarrow import parquet

from aspire_llm.data import check_data, hub, load_questions
from aspire_llm.errors import DataError
from aspire_llm.records import Question


@pytest.fixture
def hub_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for the hub: ``owner/name`` is looked up here, and nothing touches the network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    return tmp_path


def publish(folder: Path, name: str, rows: list[dict[str, object]], split: str = "train") -> None:
    """Save rows as the Parquet file of a hub repository."""
    path = folder / name / f"{split}-00000-of-00001.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    datasets.Dataset.from_list(rows).to_parquet(path)


PASSAGE = "Oil rose in 1973."
STORY_GROUP = f"passage-{hashlib.sha256(b'ann has a cat').hexdigest()[:16]}"
WHO_GROUP = f"question-{hashlib.sha256(b'who').hexdigest()[:16]}"
# Rows in the columns of the hub, and the questions they state.
PUBLISHED = {
    "squad_v2": (
        [
            {"id": "a", "title": "Oil", "context": PASSAGE, "question": "When?",
             "answers": {"text": ["1973", "1973", "in 1973"], "answer_start": [12, 12, 9]}},
            {"id": "b", "title": "Oil", "context": PASSAGE, "question": "Who?",
             "answers": {"text": [], "answer_start": []}},
        ],
        [
            Question("a", "When?", ("1973", "in 1973"), PASSAGE, (), "Oil"),
            Question("b", "Who?", (), PASSAGE, (), "Oil", answerable=False),
        ],
    ),
    "triviaqa": (
        [
            {"question": "Who?", "question_id": "tc_1", "question_source": "x", "entity_pages": {"title": ["t"]},
             "answer": {"value": "Lewis", "aliases": ["Sinclair Lewis", "Lewis"], "normalized_value": "lewis"}},
        ],
        [Question("tc_1", "Who?", ("Lewis", "Sinclair Lewis"), group=WHO_GROUP)],
    ),
    "nq_open": (
        [{"question": "who", "answer": ["Bob", "Rob"]}],
        [Question("owner/nq_open/train:1", "who", ("Bob", "Rob"), group=WHO_GROUP)],
    ),
    "coqa": (
        [
            {"source": "wiki", "story": "Ann has a cat.", "questions": ["What?", "Whose?"],
             "answers": {"input_text": ["a cat", "Ann's"], "answer_start": [8, 0], "answer_end": [13, 3]}},
        ],
        [
            Question("owner/coqa/train:1:1", "What?", ("a cat",), "Ann has a cat.", (), STORY_GROUP),
            Question("owner/coqa/train:1:2", "Whose?", ("Ann's",), "Ann has a cat.", (("What?", "a cat"),),
                     STORY_GROUP),
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_hub_rows_by_name_and_by_address(name: str, hub_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, questions = PUBLISHED[name]
    publish(hub_folder, f"owner/{name}", rows)
    assert load_questions(f"hf:owner/{name}") == questions
    monkeypatch.setitem(hub.HUB_NAMES, name, f"hf:owner/{name}")
    assert load_questions(name) == questions
    assert check_data(name).problems == ()


def test_splits_and_configurations(hub_folder: Path) -> None:
    publish(hub_folder, "owner/own", [{"question": "a?", "answer": "1"}])
    publish(hub_folder, "owner/own", [{"question": "b?", "answer": "2"}] * 2, split="validation")
    assert [question.question for question in load_questions("hf:owner/own")] == ["a?"]
    assert len(load_questions("hf:owner/own:default", split="validation")) == 2
    assert len(load_questions("hf:owner/own", split="validation", limit=1)) == 1
    assert len(load_questions("hf:owner/own:default:validation")) == 2
    assert len(load_questions("hf:owner/own::validation")) == 2
    with pytest.raises(DataError, match=r"names the split 'validation', and 'train' was asked for"):
        load_questions("hf:owner/own::validation", split="train")
    with pytest.raises(DataError, match=r"^hf:owner/own \(dev\): cannot be loaded: Unknown split"):
        load_questions("hf:owner/own", split="dev")
    with pytest.raises(DataError, match=r"^hf:owner/own:other \(train\): cannot be loaded: .*other"):
        load_questions("hf:owner/own:other")


def test_unpublished_answers_are_no_answers(hub_folder: Path) -> None:
    row = {"question": "a?", "question_id": "t", "answer": {"value": "<unk>", "aliases": []}}
    publish(hub_folder, "owner/trivia", [row, {**row, "question_id": "u"}], split="test")
    questions = load_questions("hf:owner/trivia", split="test", require_answers=False)
    assert [question.references for question in questions] == [(), ()]
    assert [problem.row for problem in check_data("hf:owner/trivia", split="test").problems] == [1, 2]


def test_a_data_set_that_is_not_there(hub_folder: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_questions("hf:owner/absent")
    message = str(caught.value)
    assert message.startswith("hf:owner/absent (train): cannot be loaded: ")
    assert message.endswith("check the name, the configuration, the split and the network, or name a local file")
    assert "\n" not in message


@pytest.mark.parametrize("source", ["hf:", "hf:squad", "hf:a/b:c:d:e", "squad:a:b", "squad:a b"])
def test_malformed_addresses(source: str) -> None:
    with pytest.raises(DataError, match=r"expected hf:OWNER/NAME\[:CONFIG\[:SPLIT\]\]"):
        load_questions(source)


def test_a_time_beyond_python_stops_no_reading(hub_folder: Path) -> None:
    rows = [{"question": f"{number}?", "answer": ["x"], "rank": number} for number in range(30)]
    publish(hub_folder, "owner/times", rows)
    (path,) = (hub_folder / "owner" / "times").iterdir()
    times = pa.array([2**62 if number == 20 else number for number in range(30)]).cast(pa.timestamp("us"))
    parquet.write_table(parquet.read_table(path).append_column("at", times), path)
    questions = load_questions("hf:owner/times")
    assert [(own.question, own.metadata["rank"]) for own in questions] == [(f"{n}?", n) for n in range(30)]
