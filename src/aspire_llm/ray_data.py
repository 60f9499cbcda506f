"""Answers to any number of questions by Ray Data: Parquet out, on one machine or a cluster, from any storage to any.

Ray reads, schedules, restarts workers that die, and remembers which rows are written, so that a command that was
stopped goes on; a worker is a predictor that stays loaded.
"""

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aspire_llm.answering import FileSummary
from aspire_llm.data import Problem, read_row
from aspire_llm.data.arrow_rows import arrow_records
from aspire_llm.data.hash_set import HashSet
from aspire_llm.demo import find_run
from aspire_llm.errors import AspireError, ConfigError, DataError, first_line
from aspire_llm.lm.model_files import check_model
from aspire_llm.methods.answer_set import BATCHES_AT_ONCE
from aspire_llm.processes import process_count
from aspire_llm.records import Question, Unread
from aspire_llm.results.calibration import caveats
from aspire_llm.results.chosen_fields import Layout, with_candidates
from aspire_llm.results.fitted import Fitted
from aspire_llm.results.identity import digest_of_run
from aspire_llm.results.predictions import Outcome, outcome_file
from aspire_llm.rundir.directory import RunDirectory
from aspire_llm.rundir.own import check_output_folder

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.fs

_ID = "id"
_READERS_AND_WRITERS = 2
_PARTS_A_FILE = 8  # as many are answered again where one is lost
_READERS = {".parquet": "read_parquet", ".jsonl": "read_json", ".csv": "read_csv"}
_COLUMNS = {
    "answer": "string",
    "abstained": "bool",
    "confidence": "float64",
    "selection_score": "float64",
    "reason": "string",
    "error": "string",
}
LINE = "line"  # the column of all that a line of `predict` holds, as JSON


def predict_with_ray(
    run: Path,
    source: str,
    output: str,
    target_risk: float | None = None,
    per: str | None = None,
    layout: Layout | None = None,
    *,
    workers: int = 1,
) -> FileSummary:
    """Answer questions into a folder of Parquet files; rows of an earlier try that are there stay.

    What is written beside the folder, under `OUTPUT.DIGEST.checkpoint`, tells a later try which rows those are. The
    digest is of the run, the target, the layout and the files of the source: no answer is taken for another's.

    Args:
        run: A finished run, where every machine of the cluster finds it.
        source: A file or a folder of Parquet, JSON Lines or CSV, local or of a storage that pyarrow knows (``s3://…``).
            Rows are questions, each with an ``id`` that no other has.
        output: The folder, likewise.
        target_risk, per: As of `predict_file`.
        layout: What of a line is written in the column `LINE`.
        workers: Predictors that answer at the same time; each takes a GPU where the cluster has one.

    Raises:
        ConfigError: Ray is not installed, the target was not certified, or the folder holds something else or lies in
            that of the questions, or in a run.
        DataError: The rows cannot be read, or one has no id, or that of another; or Ray or a storage gave up.
    """
    if find_spec("ray") is None:
        raise ConfigError("--engine ray needs a package; pip install 'aspire-llm[ray]'")
    if process_count() > 1:
        raise ConfigError("--engine ray starts its own processes; start it without a launcher")
    source, output = _whole(source), _whole(output)
    _check_apart(output, source)
    import ray

    run, layout = find_run(run).absolute(), layout or Layout()
    config = RunDirectory.open(run).config
    fitted = Fitted.read(run, config, target_risk, per)
    check_model(run, config)
    files = _files(source)
    made_from = (digest_of_run(run), target_risk, per, sorted(layout.fields or ()), layout.candidates, files)
    checkpoint = f"{output}.{hashlib.sha256(repr(made_from).encode()).hexdigest()[:8]}.checkpoint"
    if _holds(output) and not _holds(checkpoint):
        raise ConfigError(f"--output {output} is not empty, and not of this run and input; give another folder")
    if not _holds(output):
        _remove(checkpoint)  # of answers that were taken away
    _join(workers)
    names = [name for name, *_ in files]
    with _in_one_line(f"{source}: cannot be read"):
        _check_ids(source, _read(source, names))
    with _remembering(checkpoint), _in_one_line(f"{output}: the answers ended, and go on with the same command"):
        size = BATCHES_AT_ONCE * config.stage2.batch_size
        rows = _read(source, names).repartition(target_num_rows_per_block=_PARTS_A_FILE * size)
        answered = rows.map_batches(
            _Worker,
            fn_constructor_args=(run, target_risk, per, layout),
            batch_format="pyarrow",
            batch_size=size,
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_gpus=1 if ray.cluster_resources().get("GPU") else None,
        )
        answered.write_parquet(output)
    return _summary(output, caveats(fitted.rule, fitted.novelty))


def _join(workers: int) -> None:
    """Join the cluster that the environment names or that runs here, or start one on this machine."""
    import ray

    settings = {"log_to_driver": False, "logging_level": logging.ERROR, "ignore_reinit_error": True}
    try:
        ray.init(address="auto", **settings)
    except ConnectionError:
        # Workers hold their CPU; rows are read and written by others.
        ray.init(num_cpus=max(os.cpu_count() or 1, workers + _READERS_AND_WRITERS), **settings)
    found = ray.cluster_resources()
    if not found.get("GPU") and workers + 1 > found.get("CPU", 0):
        raise ConfigError(
            f"--workers {workers} takes {workers + 1} CPUs with one to read; the cluster has {found.get('CPU', 0):g}"
        )


class _Worker:
    """A predictor that stays loaded, and answers one batch after the other."""

    def __init__(self, run: Path, target_risk: float | None, per: str | None, layout: Layout) -> None:
        from aspire_llm.predictor import SelectivePredictor

        self._predictor = SelectivePredictor.load(run, target_risk=target_risk, per=per)
        plain = outcome_file("")
        lines = with_candidates(plain, self._predictor.rule.scoring) if layout.candidates else plain
        self._layout, self._to_json = layout, lines.to_json

    def __call__(self, rows: "pa.Table") -> "pa.Table":
        import pyarrow as pa

        lines = [self._to_json(outcome) for outcome in self._outcomes(arrow_records(rows))]
        columns = {name: pa.array([line.get(name) for line in lines], kind) for name, kind in _COLUMNS.items()}
        texts = [json.dumps(self._layout.select(line), ensure_ascii=False, allow_nan=False) for line in lines]
        return pa.table({_ID: rows[_ID], **columns, LINE: pa.array(texts, "string")})

    def _outcomes(self, rows: Sequence[dict[str, Any]]) -> list[Outcome]:
        read = [read_row(row, fallback_id=str(row[_ID])) for row in rows]
        answered = iter(self._predictor.predict_each([own for own in read if isinstance(own, Question)]))
        return [Unread(own.id, own.message) if isinstance(own, Problem) else next(answered) for own in read]


def _files(source: str) -> list[tuple[str, int | None, int | None]]:
    """The files of a source: name, bytes, and when each was last changed."""
    import pyarrow.fs

    storage, path = _storage(source)
    found = storage.get_file_info(path)
    if found.type == pyarrow.fs.FileType.NotFound:
        raise DataError(f"{source}: no such file or folder")
    parts = [found] if found.is_file else storage.get_file_info(pyarrow.fs.FileSelector(path, recursive=True))
    return sorted((own.path, own.size, own.mtime_ns) for own in parts if own.is_file)


def _read(source: str, names: Sequence[str]) -> Any:
    """The rows, as a data set of Ray's."""
    import pyarrow as pa
    import pyarrow.csv
    import ray

    kinds = {kind for kind in _READERS if any(name.endswith(kind) for name in names)}
    if len(kinds) != 1:
        known = ", ".join(_READERS)
        raise DataError(f"{source}: expected files of one kind of {known}, got {', '.join(sorted(kinds)) or 'none'}")
    kind, options = kinds.pop(), {}
    if kind == ".csv":  # 007 is no 7
        options["convert_options"] = pyarrow.csv.ConvertOptions(column_types={_ID: pa.string()})
    rows = getattr(ray.data, _READERS[kind])(source, **options)
    schema = rows.schema()
    of_ids = dict(zip(schema.names, schema.types, strict=True)).get(_ID) if schema else None
    allowed = (pa.types.is_integer, pa.types.is_string, pa.types.is_large_string)
    if of_ids is None or not any(own(of_ids) for own in allowed):
        found = "there is none" if of_ids is None else f"its type is {of_ids}"
        raise DataError(f"{source}: every row needs an {_ID!r} by which it is known, a text or a whole number; {found}")
    return rows


@contextmanager
def _remembering(checkpoint: str) -> Iterator[None]:
    """What is written meanwhile is noted in this folder, and what is noted there already is not answered again."""
    import ray

    context = ray.data.DataContext.get_current()
    context.checkpoint_config = ray.data.checkpoint.CheckpointConfig(
        id_column=_ID, checkpoint_path=checkpoint, delete_checkpoint_on_success=False
    )
    try:
        yield
    finally:
        context.checkpoint_config = None


@contextmanager
def _in_one_line(what: str) -> Iterator[None]:
    """What Ray, pyarrow and storages raise, each errors of its own, as one of ours; of a worker, what it met there."""
    try:
        yield
    except Exception as error:
        cause = error
        while isinstance(inner := getattr(cause, "cause", None), Exception):
            cause = inner
        if isinstance(cause, AspireError):
            raise cause from error
        raise DataError(f"{what} ({type(cause).__name__}: {first_line(cause)})") from error


def _check_ids(source: str, rows: Any) -> None:
    """That each row has an id of its own: one that is written is known by it alone."""
    met = HashSet()
    for batch in rows.select_columns([_ID]).iter_batches(batch_format="pyarrow"):
        for own in batch[_ID].to_pylist():
            if own is None:
                raise DataError(f"{source}: every row needs an {_ID!r} by which it is known; one has none")
            if not met.add(str(own)):
                raise DataError(f"{source}: the id {own!r} stands on two rows; ids must be unique")


def _whole(place: str) -> str:
    """A place as a URI or an absolute path."""
    return place if "://" in place else str(Path(place).absolute())


def _check_apart(output: str, source: str) -> None:
    """No answer may come to stand among the questions, all of whose folders are read, or among the files of a run."""
    (storage, folder), (other, asked) = (_located(place) for place in (output, source))
    if storage == other and f"{folder}/".startswith(f"{asked}/"):
        raise ConfigError(f"--output {output} would be read with --input {source}; give a folder that lies elsewhere")
    if storage.type_name == "local":
        check_output_folder(Path(folder))


def _located(place: str) -> "tuple[pyarrow.fs.FileSystem, str]":
    """The storage of a place and the path there, through links."""
    storage, path = _storage(place)
    return storage, os.path.realpath(path) if storage.type_name == "local" else path.rstrip("/")


def _storage(place: str) -> "tuple[pyarrow.fs.FileSystem, str]":
    """The storage of a place, and the path there."""
    import pyarrow as pa
    import pyarrow.fs

    try:
        storage, path = pyarrow.fs.FileSystem.from_uri(place)
    except pa.ArrowException as error:
        raise ConfigError(f"{place}: no storage that pyarrow knows ({first_line(error)})") from error
    return storage, path


def _holds(place: str) -> bool:
    """Whether a folder is there with something in it."""
    import pyarrow.fs

    files, path = _storage(place)
    return bool(files.get_file_info(pyarrow.fs.FileSelector(path, allow_not_found=True)))


def _remove(place: str) -> None:
    """A folder, where there is one."""
    import pyarrow.fs

    files, path = _storage(place)
    if files.get_file_info(path).type == pyarrow.fs.FileType.Directory:
        files.delete_dir(path)


def _summary(output: str, caveats: tuple[str, ...]) -> FileSummary:
    """What became of all rows, those of earlier tries among them."""
    import pyarrow.dataset

    rows = pyarrow.dataset.dataset(output, format="parquet").to_table(columns=["abstained", "error"])
    summary = FileSummary(caveats)
    for abstained, error in zip(rows["abstained"].to_pylist(), rows["error"].to_pylist(), strict=True):
        summary.questions += 1
        summary.errors += error is not None
        summary.answered += error is None and not abstained
    return summary
