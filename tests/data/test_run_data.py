"""The questions of a run: groups by text, splits as they are asked for, files of their own for splits."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest
from conftest import SHARED

from aspire_llm.cli import main
from aspire_llm.config_files import parse_config
from aspire_llm.data import hub, load_questions, load_splits
from aspire_llm.errors import DataError
from aspire_llm.records import Question, Split

SQUAD = SHARED / "data" / "squad_dev_v1.1.json"


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def rows(name: str, groups: int, each: int = 1) -> list[dict[str, Any]]:
    return [
        {"id": f"{name}{g}-{i}", "question": f"What of {name}{g}-{i}?", "answer": "x", "group": f"{name}{g}"}
        for g in range(groups)
        for i in range(each)
    ]


def splits_of(seed: int = 0, **data: Any) -> dict[Split, tuple[Question, ...]]:
    return load_splits(parse_config({"data": data, "seed": seed}))[0]


def sizes(splits: Mapping[Split, tuple[Question, ...]]) -> tuple[int, ...]:
    return tuple(len(splits[split]) for split in Split)


def num_groups(splits: Mapping[Split, tuple[Question, ...]]) -> tuple[int, ...]:
    groups = [{question.group for question in splits[split]} for split in Split]
    assert sum(map(len, groups)) == len(set().union(*groups)), "a group stands in two splits"
    return tuple(map(len, groups))


WHOLE = {"train": 500, "validation": 100, "calibration": 100, "test": 700}


@pytest.fixture
def squad() -> str:
    if not SQUAD.exists():
        pytest.skip(f"{SQUAD} is not on this machine")
    return str(SQUAD)


@pytest.mark.parametrize("seed", range(5))
def test_squad_splits_by_default(squad: str, seed: int) -> None:
    """48 articles of 96 to 810 questions; half, a tenth, a tenth and three tenths of 10,570."""
    splits = splits_of(seed, path=squad)
    for count, wanted in zip(sizes(splits), (5285, 1057, 1057, 3171), strict=True):
        assert 0.98 * wanted <= count <= wanted + 1
    for count, wanted in zip(num_groups(splits), (24, 4.8, 4.8, 14.4), strict=True):
        assert abs(count - wanted) <= 2


@pytest.mark.parametrize("limit", [None, 1400])
@pytest.mark.parametrize("seed", range(3))
def test_whole_numbers_are_exact_and_a_splits_articles_are_like_its_questions(
    squad: str, seed: int, limit: int | None
) -> None:
    splits = splits_of(seed, path=squad, limit=limit, splits=WHOLE)
    assert sizes(splits) == (500, 100, 100, 700)
    for count, wanted in zip(num_groups(splits), (48 * 5 / 14, 48 / 14, 48 / 14, 48 / 2), strict=True):
        assert abs(count - wanted) <= 1
    for own in splits.values():  # evenly: no article that has enough gives two more than another
        counts = Counter(question.group for question in own).values()
        assert max(counts) - min(counts) <= 1


def test_a_limit_below_what_is_asked_is_refused_with_the_numbers(tmp_path: Path, capsys) -> None:
    data = write(tmp_path / "d.jsonl", rows("a", 300, 8))
    arguments = ["run", "--data", data, "--set", "data.limit=1000", "--set", f"data.splits={json.dumps(WHOLE)}"]
    assert main([*arguments, "--output", str(tmp_path / "r")]) == 2
    expected = "asks for 500 train + 100 validation + 100 calibration + 700 test = 1400 of 1000 questions"
    assert f"{expected} (data.limit, of 2400)" in capsys.readouterr().err


def test_what_groups_cannot_give_is_refused_with_the_numbers_that_can(tmp_path: Path) -> None:
    """125 groups of 8: 500, 100, 100 and 300 would take 63 + 13 + 13 + 38 = 127 of them."""
    data = write(tmp_path / "d.jsonl", rows("a", 125, 8))
    with pytest.raises(DataError, match=r"496 train \+ 100 validation \+ 100 calibration \+ 296 test can be had$"):
        splits_of(path=data, splits=WHOLE | {"test": 300})


@pytest.mark.parametrize("seed", range(3))
def test_passages_of_8_by_default(tmp_path: Path, seed: int) -> None:
    passages = [
        {"question": f"Fact {q} of {p}?", "answer": "x", "context": f"Passage {p}."}
        for p in range(125)
        for q in range(8)
    ]
    splits = splits_of(seed, path=write(tmp_path / "d.jsonl", passages))
    assert sizes(splits) == (496, 100, 100, 296)
    assert num_groups(splits) == (62, 13, 13, 37)


@pytest.mark.parametrize("seed", range(3))
def test_one_big_group(tmp_path: Path, seed: int) -> None:
    """A group of more than half of all questions; the other 60 are for the other splits."""
    data = write(tmp_path / "d.jsonl", rows("big", 1, 400) + rows("a", 60, 6))
    splits = splits_of(seed, path=data)
    assert sizes(splits)[0] == 380
    assert sizes(splits)[1:] == (72, 72, 216)  # of 6 each: 360 questions for 380
    num_groups(splits)


def test_one_passage_for_all(tmp_path: Path) -> None:
    own = [row | {"context": "The handbook."} for row in rows("a", 40)]
    grouped = write(tmp_path / "d.jsonl", own)
    assert sizes(splits_of(path=grouped)) == (20, 4, 4, 12)
    for row in own:
        del row["group"]
    with pytest.raises(
        DataError, match=r"40 questions in 1 groups leave none for validation.* unless each has a 'group'$"
    ):
        splits_of(path=write(tmp_path / "e.jsonl", own))


def test_the_order_of_the_rows_changes_nothing_and_the_seed_does(tmp_path: Path) -> None:
    own = rows("a", 100, 3)
    forth, back = write(tmp_path / "d.jsonl", own), write(tmp_path / "e.jsonl", own[::-1])
    assert splits_of(3, path=forth) == splits_of(3, path=back)
    assert splits_of(3, path=forth) != splits_of(4, path=forth)


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
@pytest.mark.parametrize("with_context", [False, True])
def test_one_question_in_several_rows_stands_in_one_split(tmp_path: Path, suffix: str, with_context: bool) -> None:
    spellings = ["Who made clock {}?", "who  made clock {}", "WHO MADE CLOCK {} ?", '"Who made clock {}?"']
    own = [
        {"question": spellings[i // 15].format(i % 15), "answer": f"Maker {i}"}
        | ({"context": f"{' ' * (i // 15)}Clock {i % 15} ticks."} if with_context else {})
        for i in range(60)
    ]
    path = tmp_path / f"d.{suffix}"
    if suffix == "csv":
        pd.DataFrame(own).to_csv(path)
    else:
        write(path, own)
    for seed in range(3):
        splits = splits_of(seed, path=str(path))
        assert sum(num_groups(splits)) == 15
        clocks = [{question.question.casefold().strip(' ?"') for question in chosen} for chosen in splits.values()]
        clocks = [{" ".join(text.split()) for text in own} for own in clocks]
        assert sum(map(len, clocks)) == len(set().union(*clocks)) == 15
    assert len({question.id for question in load_questions(path)}) == 60


def test_training_takes_what_the_others_leave(tmp_path: Path) -> None:
    data = write(tmp_path / "d.jsonl", rows("a", 100))
    assert sizes(splits_of(path=data)) == (50, 10, 10, 30)
    assert sizes(splits_of(path=data, splits={"test": 10})) == (70, 10, 10, 10)
    assert sizes(splits_of(path=data, splits={"train": 0.2})) == (20, 10, 10, 30)
    with pytest.raises(DataError, match="100 questions leave none for train"):
        splits_of(path=data, splits={"validation": 50, "test": 50})


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """A file for each split, of other sizes and other suffixes."""
    given = {"train": 200, "validation": 20, "calibration": 30, "test": 40}
    return {name: write(tmp_path / f"{name}.jsonl", rows(name, count, 2)) for name, count in given.items()}


def test_every_split_from_its_own_file(files: dict[str, str]) -> None:
    splits = splits_of(**files)
    assert sizes(splits) == (400, 40, 60, 80)
    assert splits[Split.TEST] == tuple(load_questions(files["test"]))
    for split, own in splits.items():
        assert all(question.id.startswith(split) for question in own)


@pytest.mark.parametrize("key", ["path", "train"])
def test_what_has_no_file_is_cut_from_the_training_file(files: dict[str, str], key: str) -> None:
    splits = splits_of(**{key: files["train"]}, test=files["test"])
    assert sizes(splits) == (320, 40, 40, 80)
    num_groups(splits)
    splits = splits_of(**{key: files["train"]}, test=files["test"], calibration=files["calibration"], limit=50)
    assert sizes(splits) == (45, 5, 50, 50)


def test_seeds_vary_the_training_questions_and_not_the_official_test(files: dict[str, str]) -> None:
    for size in (0.3, 30):
        one, other = (
            splits_of(seed, train=files["train"], test=files["test"], splits={"test": size}) for seed in (0, 1)
        )
        assert one[Split.TEST] == other[Split.TEST]
        assert one[Split.TRAIN] != other[Split.TRAIN]
    assert len({question.group for question in one[Split.TEST]}) == 30  # of 40 groups of 2, evenly
    with pytest.raises(DataError, match=r"data\.splits\.test asks for 81 of the 80 questions of data\.test"):
        splits_of(train=files["train"], test=files["test"], splits={"test": 81})


def test_a_group_in_two_files_stays_in_the_test(tmp_path: Path, capsys) -> None:
    train = write(tmp_path / "train.jsonl", rows("a", 20, 2) + rows("shared", 3, 2))
    validation = write(tmp_path / "validation.jsonl", rows("b", 5) + rows("shared", 2))
    test = write(tmp_path / "test.jsonl", rows("c", 5) + rows("shared", 1))
    splits = splits_of(train=train, validation=validation, test=test)
    num_groups(splits)
    assert {question.group for question in splits[Split.TEST]} >= {"shared0"}
    assert sizes(splits)[1:] == (6, 4, 6)  # validation keeps shared1; calibration is a tenth of what training has left
    assert capsys.readouterr().err.splitlines() == [
        "data.validation: 1 questions left out, whose groups stand in data.test too",
        "data.train: 4 questions left out, whose groups stand in data.test, data.validation too",
    ]
    with pytest.raises(DataError, match=r"data\.train: every group of it stands in another split's source too"):
        splits_of(train=test, test=test)


def test_one_question_in_two_files_without_groups(tmp_path: Path, capsys) -> None:
    train = write(tmp_path / "a.jsonl", [{"question": f"Who made clock {i}?", "answer": "x"} for i in range(30)])
    test = write(tmp_path / "b.jsonl", [{"question": f"who made clock {i}", "answer": "x"} for i in range(25, 40)])
    splits = splits_of(train=train, test=test)
    assert sizes(splits) == (21, 2, 2, 15)
    assert "data.train: 5 questions left out" in capsys.readouterr().err


def test_equal_ids_in_two_files_are_told_apart(tmp_path: Path) -> None:
    def numbered(name: str) -> list[dict[str, Any]]:
        return [row | {"id": i} for i, row in enumerate(rows(name, 20))]

    (tmp_path / "x").mkdir()
    train, test = write(tmp_path / "d.jsonl", numbered("a")), write(tmp_path / "x" / "d.jsonl", numbered("b"))
    splits = splits_of(train=train, validation=write(tmp_path / "v.jsonl", numbered("c")), test=test)
    assert [question.id for question in splits[Split.TEST]] == [str(i) for i in range(20)]
    assert {question.id for question in splits[Split.VALIDATION]} == {f"validation:{i}" for i in range(20)}
    ids = [question.id for own in splits.values() for question in own]
    assert len(ids) == len(set(ids))


def test_an_id_may_look_like_one_of_another_source(tmp_path: Path) -> None:
    own = [row | {"id": id} for row, id in zip(rows("a", 10), ["5", "train:5", *"abcdefgh"], strict=True)]
    train = write(tmp_path / "a.jsonl", own)
    test = write(tmp_path / "b.jsonl", [row | {"id": id} for row, id in zip(rows("b", 2), ("5", "z"), strict=True)])
    ids = [question.id for own in splits_of(train=train, test=test).values() for question in own]
    assert len(ids) == 12
    assert len(set(ids)) == 12


def test_names_and_hub_splits_as_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setitem(hub.HUB_NAMES, "nq_open", "hf:owner/nq")
    for name, count in (("train", 100), ("validation", 20)):
        path = tmp_path / "owner" / "nq" / f"{name}-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        own = [{"question": f"{name} {i}", "answer": ["x"]} for i in range(count)]
        datasets.Dataset.from_list(own).to_parquet(path)
    for test in ("nq_open:validation", "hf:owner/nq::validation", "name:hf:owner/nq:default:validation"):
        splits = splits_of(name="nq_open", test=test)
        assert sizes(splits) == (80, 10, 10, 20)
        assert all(question.question.startswith("validation") for question in splits[Split.TEST])
    assert sizes(splits_of(train="facts", test="nq_open:validation", limit=100))[3] == 20


def test_a_run_with_files_of_its_own(files: dict[str, str], model_folder: Path, tmp_path: Path, capsys) -> None:
    """The whole of it through the command line: run, resume, another test file refused, evaluate by name."""
    output = tmp_path / "run"
    settings = ["stage1={num_soft_tokens: 2, epochs: 1}", "stage2={num_beams: 2, max_new_tokens: 3}"]
    settings += ["stage3={num_soft_tokens: 2, epochs: 1}", "data.splits={train: 20}"]
    arguments = ["run", "--model", str(model_folder), "--output", str(output)]
    for setting in [*settings, *(f"data.{name}={file}" for name, file in files.items())]:
        arguments += ["--set", setting]
    assert main(arguments) == 0
    lines = (output / "predictions.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == [q.id for q in load_questions(files["test"])]
    facts = json.loads((output / "provenance.json").read_text())["data"]
    assert facts["questions"] == {"train": 20, "validation": 40, "calibration": 60, "test": 80}
    assert facts["source"].startswith(f"train {files['train']}, validation {files['validation']}")
    assert main(arguments) == 0
    assert main([*arguments, "--set", f"data.test={files['calibration']}"]) == 2
    assert "data.test" in capsys.readouterr().err
    assert main(["evaluate", str(output), "--data", files["calibration"]]) == 0
    assert main(["evaluate", str(output), "--data", "name:nothing"]) == 2
    assert "no data set of this name" in capsys.readouterr().err


def test_seeds_on_an_official_test(files: dict[str, str], model_folder: Path, tmp_path: Path, capsys) -> None:
    output = tmp_path / "run"
    arguments = ["run", "--model", str(model_folder), "--output", str(output), "--seeds", "2"]
    arguments += ["--set", "stage1={num_soft_tokens: 2, epochs: 1}", "--set", "stage3={num_soft_tokens: 2, epochs: 1}"]
    arguments += ["--set", "stage2={num_beams: 2, max_new_tokens: 3}"]
    arguments += ["--set", "data.splits={train: 8, validation: 8, calibration: 8, test: 8}"]
    for name in ("train", "test"):
        arguments += ["--set", f"data.{name}={files[name]}"]
    assert main(arguments) == 0
    assert "data.test: the seeds share it" in capsys.readouterr().err

    def ids(file: str) -> list[list[str]]:
        folders = (output, output / "seeds" / "1")
        return [[json.loads(line)["id"] for line in (own / file).read_text().splitlines()] for own in folders]

    one, other = ids("predictions.jsonl")
    assert one == other
    assert len(one) == 8
    one, other = ids("samples.jsonl")
    assert one != other
    # Whoever reads the spread is told what it leaves out.
    assert json.loads((output / "seeds.json").read_text())["shares_test"] is True
    shown = [output / "report.html", *(output / "tables").glob("*.md")]
    said = [path.stem for path in shown if "The test questions are the same for every seed" in path.read_text()]
    assert said[0] == "report"
    assert len(said) > 1


def test_references_that_are_cut_are_counted_at_the_start(model_folder: Path, tmp_path: Path, capsys) -> None:
    own = [row | {"answer": "Paris " * 9 if i % 3 == 0 else "Paris"} for i, row in enumerate(rows("a", 30))]
    output = tmp_path / "run"
    settings = ["stage1={num_soft_tokens: 2, epochs: 1}", "stage2={num_beams: 2, max_new_tokens: 6}"]
    settings += ["stage3={num_soft_tokens: 2, epochs: 1}"]
    arguments = ["run", "--model", str(model_folder), "--data", write(tmp_path / "d.jsonl", own)]
    for setting in settings:
        arguments += ["--set", setting]
    assert main([*arguments, "--output", str(output)]) == 0
    said = "references cut to stage2.max_new_tokens where they are learned from: 10 of 30"
    assert capsys.readouterr().err.splitlines().count(said) == 1
