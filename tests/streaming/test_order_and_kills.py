"""Files of questions keep their order, and a killed command ends with the file of an uninterrupted one."""

from pathlib import Path
from typing import Any

import pytest
from streamed import FORMATS, RUN, Interrupted, StubPredictor, lines, rows_of, write

from aspire_llm.answering import predict_file
from aspire_llm.data import load_questions
from aspire_llm.results.chosen_fields import Layout


def part_of(output: Path) -> Path:
    (part,) = output.parent.glob(f"{output.name}.*.part")
    return part


@pytest.mark.parametrize("suffix", FORMATS)
def test_questions_keep_their_order_their_ids_and_their_parts(tmp_path: Path, suffix: str) -> None:
    source, output = write(tmp_path / f"in.{suffix}", rows_of(101)), tmp_path / "out.jsonl"
    summary = predict_file(RUN, source, output)
    found = lines(output)
    assert [(line["id"], line["question"]) for line in found] == [
        (own.id, own.question) for own in load_questions(source, require_answers=False)
    ]
    size = int(found[0]["answer"].split()[-1])
    expected = [f"{i % size} of {size if i < 101 // size * size else 101 % size}" for i in range(101)]
    assert [line["answer"] or line["withheld_answer"] for line in found] == expected
    assert (summary.questions, summary.answered, summary.errors, summary.unread) == (101, sum(
        line["answer"] is not None for line in found), 0, 0)  # fmt: skip
    assert {path.name for path in tmp_path.iterdir()} == {source.name, "out.jsonl"}


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("options", [{}, {"candidates": True}, {"fields": frozenset(["id", "answer"])}])
def test_killed_anywhere_it_ends_with_the_file_of_an_uninterrupted_run(
    tmp_path: Path, suffix: str, options: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout, whole, output = Layout(**options), tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    source = write(tmp_path / f"in.{suffix}", rows_of(150))
    with_bad_rows(source)
    expected = predict_file(RUN, source, whole, layout=layout)
    for parts in range(3):
        monkeypatch.setattr(StubPredictor, "parts_left", parts)
        with pytest.raises(Interrupted):
            predict_file(RUN, source, output, layout=layout)
        part = part_of(output)
        assert not output.exists()
        if parts:  # and in the middle of a write
            part.write_bytes(part.read_bytes()[: -40 * parts])
    monkeypatch.setattr(StubPredictor, "parts_left", None)
    assert predict_file(RUN, source, output, layout=layout) == expected
    assert output.read_bytes() == whole.read_bytes()
    assert not list(tmp_path.glob("*.part"))


def with_bad_rows(source: Path) -> None:
    """Break two rows where the format lets one."""
    if source.suffix == ".parquet":
        return
    content = source.read_bytes().splitlines(keepends=True)
    content[8], content[70] = b'{"id": \n' if source.suffix == ".jsonl" else b"a,b,c,d,e\n", b"\xff\n"
    source.write_bytes(b"".join(content))


def test_only_what_was_not_answered_is_answered_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, output = write(tmp_path / "in.jsonl", rows_of(150)), tmp_path / "out.jsonl"
    monkeypatch.setattr(StubPredictor, "parts_left", 2)
    with pytest.raises(Interrupted):
        predict_file(RUN, source, output)
    size, begun = len(lines(part_of(output))) // 2, part_of(output).read_bytes()
    monkeypatch.setattr(StubPredictor, "parts_left", -(-150 // size) - 2)
    assert predict_file(RUN, source, output).questions == 150
    assert output.read_bytes().startswith(begun)


@pytest.mark.parametrize(
    "changed",
    [
        {"id": "other"},
        {"question": "Where is it?"},
        {"context": "Elsewhere."},
        {"answer": "Rome"},
        {"history": [["Who?", "Ada"]]},
        {"group": "of another"},
        {"topic": "another"},
        {"metadata": {"topic": "another"}},
    ],
)
def test_a_part_of_rows_that_were_others_is_not_taken(
    tmp_path: Path, changed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *rest = rows_of(150)
    common = {"group": "g", "topic": "t"}
    source, output = write(tmp_path / "in.jsonl", iter([first | common, *rest])), tmp_path / "out.jsonl"
    monkeypatch.setattr(StubPredictor, "parts_left", 2)
    with pytest.raises(Interrupted):
        predict_file(RUN, source, output)
    monkeypatch.setattr(StubPredictor, "parts_left", None)
    write(source, iter([first | common | changed, *rest]))
    predict_file(RUN, source, output)
    predict_file(RUN, source, tmp_path / "whole.jsonl")
    assert output.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


@pytest.mark.parametrize("fields", [None, frozenset(["id", "answer"])])
def test_killed_before_it_is_published(
    tmp_path: Path, fields: frozenset[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout, whole, output = Layout(fields), tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    source = write(tmp_path / "in.jsonl", rows_of(150))
    predict_file(RUN, source, whole, layout=layout)

    def killed(_source: object, _target: object) -> None:
        raise Interrupted

    with monkeypatch.context() as patched:
        patched.setattr("os.replace", killed)
        with pytest.raises(Interrupted):
            predict_file(RUN, source, output, layout=layout)
    assert not output.exists()
    monkeypatch.setattr(StubPredictor, "parts_left", 1)  # the last one, which is not whole
    predict_file(RUN, source, output, layout=layout)
    assert output.read_bytes() == whole.read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"in.jsonl", "out.jsonl", "whole.jsonl"}


@pytest.mark.parametrize("per", [None, "kind", "topic/area", "../..", "a long name " * 30, "\udcff"])
def test_a_part_is_of_one_target_whatever_its_field_is_called(
    tmp_path: Path, per: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, output = write(tmp_path / "in.jsonl", rows_of(150)), tmp_path / "out.jsonl"
    for risk, field in ((0.1, per), (0.1, f"other {per}"), (0.1000001, per)):
        monkeypatch.setattr(StubPredictor, "parts_left", 1)
        with pytest.raises(Interrupted):
            predict_file(RUN, source, output, risk, field)
    parts = list(tmp_path.glob("out.jsonl.*.part"))
    assert len(parts) == 3
    size = len(lines(parts[0]))
    monkeypatch.setattr(StubPredictor, "parts_left", -(-150 // size) - 1)  # the first is answered
    assert predict_file(RUN, source, output, 0.1, per).questions == 150
    assert len(list(tmp_path.glob("out.jsonl.*.part"))) == 2


@pytest.mark.parametrize("change", ["a question", "a context", "fewer rows", "an id", "a bad row"])
@pytest.mark.parametrize("fields", [None, frozenset(["id", "answer"])])
def test_a_part_of_another_input_is_not_gone_on_with(
    tmp_path: Path, change: str, fields: frozenset[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, output, layout = tmp_path / "in.jsonl", tmp_path / "out.jsonl", Layout(fields)
    write(source, rows_of(150))
    monkeypatch.setattr(StubPredictor, "parts_left", 2)
    with pytest.raises(Interrupted):
        predict_file(RUN, source, output, layout=layout)
    monkeypatch.setattr(StubPredictor, "parts_left", None)
    other = list(rows_of(150))
    match change:
        case "fewer rows":
            other = other[:5]
        case "a bad row":
            other[3] = {"id": "q3"}
        case _:
            name = change.split()[1]
            other[3] = other[3] | {name: "another"}
    write(source, iter(other))
    assert predict_file(RUN, source, output, layout=layout).questions == len(other) - (change == "a bad row")
    anew = tmp_path / "anew.jsonl"
    predict_file(RUN, source, anew, layout=layout)
    assert output.read_bytes() == anew.read_bytes()
