"""Files that people and programs hand over, and what reads them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from aspire_llm.config_files import load_config
from aspire_llm.data import check_data, load_questions
from aspire_llm.errors import AspireError
from aspire_llm.report.run_results import read_run_results
from aspire_llm.results.calibration import CALIBRATION, stored_rule
from aspire_llm.results.novelty import NOVELTY
from aspire_llm.results.questions import EXAMPLES
from aspire_llm.results.samples import SAMPLES
from aspire_llm.results.states import STATES
from aspire_llm.rundir.directory import RunDirectory

_SQUAD = (
    '{"version": "1.1", "data": [{"title": "T", "paragraphs": [{"context": "A piano.", "qas": [{"id": "1", "question": '
    '"What?", "answers": [{"text": "A piano", "answer_start": 0}], "is_impossible": false}]}]}]}'
)
_COQA = (
    '{"version": "1.0", "data": [{"id": "s", "source": "x", "story": "A piano.", "questions": [{"input_text": "What?", '
    '"turn_id": 1}], "answers": [{"input_text": "a piano", "span_text": "A piano", "turn_id": 1}], '
    '"additional_answers": '
    '{"0": [{"input_text": "piano", "turn_id": 1}]}}]}'
)
_ROWS = '{"id": "a", "question": "Who?", "answers": ["x", "y"], "group": "g", "history": [["b?", "c"]]}\n' * 2
_TEXTS = {
    ".json": (_SQUAD, _COQA, f"[{_ROWS.splitlines()[0]}]"),
    ".jsonl": (_ROWS, '{"question": "Who?", "answer": ["x"]}\n'),
    ".csv": ('id,question,answers\n1,Who?,"[""x"", ""y""]"\n2,"What, then?",z\n',),
    ".tsv": ("question\tanswer\nWho?\tx\n", "Who?\t['x', 'y']\nWhat?\t\"['z']\"\n"),
}


@dataclass(frozen=True)
class Target:
    """What reads a file, and good contents of it."""

    path: Path
    good: tuple[bytes, ...]
    read: Callable[[], object]


def data_targets(folder: Path) -> list[Target]:
    """Questions in each format, in a folder."""
    table = folder / "good.parquet"
    parquet.write_table(pa.table({"question": ["a?", "b?"], "answers": [["x"], ["y", "z"]]}), table)
    contents = {name: tuple(text.encode() for text in own) for name, own in _TEXTS.items()}
    contents[".parquet"] = (table.read_bytes(),)

    def reader(path: Path) -> Callable[[], object]:
        def read() -> None:
            if not check_data(path).problems:
                assert load_questions(path)
                return
            load_questions(path)  # which must refuse it, too
            raise AssertionError("problems were reported, and the questions loaded")

        return read

    return [Target(path := folder / f"data{name}", own, reader(path)) for name, own in contents.items()]


def config_target(folder: Path, run: Path) -> Target:
    """Settings in a folder: few, or all of a run's."""
    path = folder / "config.yaml"
    short = b"model: demo\nstage1: {epochs: 3, learning_rate: 1e-3}\nscore: {target_risk: 0.1}\n"
    return Target(path, (short, (run / "config.yaml").read_bytes()), lambda: load_config(path))


def run_targets(folder: Path) -> list[Target]:
    """The files of a finished run, which are written over."""

    def read() -> None:
        config = RunDirectory.open(folder).config
        errors = []
        for part in (
            lambda: read_run_results(folder),
            lambda: (CALIBRATION.read(folder), stored_rule(folder, config)),
            lambda: (NOVELTY.read(folder), STATES.read(folder), EXAMPLES.read(folder)),
            lambda: list(SAMPLES.read(folder)),
        ):
            try:
                part()
            except AspireError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    kept = [own for own in sorted(folder.rglob("*")) if own.is_file() and own.suffix in (".json", ".jsonl", ".yaml")]
    kept += sorted(folder.glob("*.safetensors"))
    return [Target(own, (own.read_bytes(),), read) for own in kept if own.parent.name != "tables"]
