"""A finished run as others use it: what it answers questions with and a card, in a folder or on the hub."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from aspire_llm.config import RunConfig
from aspire_llm.config_files import parse_config, paths_of, read_yaml, with_changes
from aspire_llm.data import without_folder
from aspire_llm.demo import find_run
from aspire_llm.errors import ConfigError, RunDirectoryError, first_line
from aspire_llm.lm.model_files import check_model, read_template
from aspire_llm.report.model_card import model_card
from aspire_llm.results.calibration import CALIBRATION, caveats, stored_rule
from aspire_llm.results.fitted import Fitted
from aspire_llm.results.fused import FUSED
from aspire_llm.results.metrics import METRICS
from aspire_llm.results.novelty import NOVELTY
from aspire_llm.results.predictions import CALIBRATION_PREDICTIONS, LABELLED_PREDICTIONS, VALIDATION_PREDICTIONS
from aspire_llm.results.questions import EXAMPLES
from aspire_llm.results.states import STATES
from aspire_llm.rundir.directory import RunDirectory
from aspire_llm.rundir.own import CONFIG, MARKER, TEMPLATES, check_output_folder, is_own_template, is_run
from aspire_llm.rundir.provenance import PROVENANCE
from aspire_llm.rundir.writing import new_folder, write_text
from aspire_llm.selection import Part

CARD = "README.md"
HUB = "hf:"
_WEIGHTS, _ABOUT = "adapter_model.safetensors", "adapter_config.json"
_ADAPTERS = ("task_adapter", "self_eval_adapter")
_FITTED = (EXAMPLES.name, CALIBRATION.name, FUSED.name, NOVELTY.name, STATES.name, METRICS.name)
_ANSWERS = (CALIBRATION_PREDICTIONS.name, LABELLED_PREDICTIONS.name, VALIDATION_PREDICTIONS.name)
_NEEDED = (CONFIG, PROVENANCE.name, CALIBRATION.name, f"task_adapter/{_WEIGHTS}", f"task_adapter/{_ABOUT}")
_SHARED = (
    *(CARD, MARKER, CONFIG, PROVENANCE.name, *_FITTED, *_ANSWERS),
    *(f"{adapter}/{name}" for adapter in _ADAPTERS for name in (_WEIGHTS, _ABOUT)),
)
_REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


def export_run(
    run: Path, folder: Path, *, half: bool = False, with_questions: bool = False, push: str | None = None
) -> Path:
    """Make a folder that `SelectivePredictor.load` and `aspire-llm serve` take: adapters, calibration, card.

    θs is left out where the run's score does without it. No question of the data is in it, but for few-shot examples.

    Args:
        run: A finished run.
        folder: Must not be there yet.
        half: Keep adapters in float16: half the size, and scores that differ by about a thousandth.
        with_questions: Also the calibration and validation questions with their answers: a server then certifies more
            targets, and notices drift.
        push: ``OWNER/NAME`` on the hub, where the folder is put, too.

    Returns:
        The folder.

    Raises:
        ConfigError: The folder is there, or the name is none of the hub.
        RunDirectoryError: There is no run, it was not finished, or the hub does not take it.
    """
    if push is not None and not _REPOSITORY.fullmatch(push):
        raise ConfigError(f"--push {push}: give OWNER/NAME")
    directory = RunDirectory.open(run := find_run(run))
    if missing := [name for name in _NEEDED if not (run / name).is_file()]:
        raise RunDirectoryError(f"{run} is not finished ({missing[0]} is missing); aspire-llm run goes on with it")
    needs = stored_rule(run, directory.config).scoring.needs
    with _appearing(folder) as new:
        for name in (*_FITTED, *(_ANSWERS if with_questions else ())):
            if (run / name).is_file():
                shutil.copyfile(run / name, new / name)
        for adapter in _ADAPTERS if Part.VERDICT in needs else _ADAPTERS[:1]:
            _copy_adapter(run / adapter, new / adapter, directory.config.model, half=half)
        changes: list[tuple[str, object]] = [
            ("stage3.enabled", Part.VERDICT in needs),
            ("states.enabled", Part.STATES in needs),
        ]
        changes += _copy_template(directory.config, new)
        config = _without_places(with_changes(directory.config, changes))
        (new / CONFIG).write_text(config.to_yaml(), encoding="utf-8")
        provenance = PROVENANCE.read(run)
        PROVENANCE.write(new, replace(provenance, data=replace(provenance.data, source=config.data.source)))
        if (calibrated := CALIBRATION.read(run)).source is not None:
            CALIBRATION.write(new, replace(calibrated, source=without_folder(calibrated.source)))
        write_text(new / CARD, _card(new, folder.name, config))
    if push is not None:
        _push(folder, push)
    return folder


def import_run(source: str, folder: Path, *, model: str | None = None) -> Path:
    """Make a run of an exported one.

    Args:
        source: The folder of an exported run, or ``hf:OWNER/NAME``.
        folder: Must not be there yet.
        model: Where its base model is here, if not where it was.

    Returns:
        The folder.

    Raises:
        ConfigError: The folder is there, or the chat template or the model is not.
        RunDirectoryError: The source is no exported run, or another model is given than it was made with.
    """
    with _fetched(source) as found:
        if missing := [name for name in _NEEDED if not (found / name).is_file()]:
            raise RunDirectoryError(f"{source} is no exported run ({missing[0]} is missing)")
        config = parse_config(read_yaml(found / CONFIG))
        if model is not None:
            config = _with_model(config, model)
        with _appearing(folder) as new:
            template = config.prompts.template
            for name in (*_SHARED, *([str(template)] if is_own_template(template) else [])):
                if (found / name).is_file() and (found / name).resolve().is_relative_to(found.resolve()):
                    (new / name).parent.mkdir(exist_ok=True)
                    shutil.copyfile(found / name, new / name)
            (new / CONFIG).write_text(config.to_yaml(), encoding="utf-8")
            own = RunDirectory.open(new).config
            if own.prompts.template is not None:
                read_template(own.prompts.template)
            if model is not None:
                check_model(new, own)
            Fitted.read(new, own)  # whatever is broken is found now
    return folder


def _with_model(config: RunConfig, model: str) -> RunConfig:
    """With the base model where it is here, whatever folder a command is given in later."""
    given = with_changes(config, [("model", model)])
    whole = paths_of(given).get("model", model)
    if os.path.isabs(whole) and not os.path.exists(whole):
        raise ConfigError(f"--model {model}: there is no file or folder of that name; say where the model is")
    return with_changes(given, [("model", whole)])


@contextmanager
def _appearing(folder: Path) -> Iterator[Path]:
    """A new folder with the mark of a run, whole or not there."""
    if folder.exists():
        raise ConfigError(f"{folder} is there already; give another folder")
    check_output_folder(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with new_folder(folder) as new:
        (new / MARKER).touch()
        yield new


def _copy_adapter(source: Path, target: Path, model: str, *, half: bool) -> None:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file, save_file

    target.mkdir()
    try:
        tensors = load_file(source / _WEIGHTS)
        about = {**json.loads((source / _ABOUT).read_text(encoding="utf-8")), "base_model_name_or_path": model}
    except (ValueError, TypeError, RecursionError, SafetensorError) as error:
        raise RunDirectoryError(f"{source}: not a complete adapter folder ({error}); train it again") from error
    if half:
        save_file({name: own.astype("float16") for name, own in tensors.items()}, target / _WEIGHTS)
    else:
        shutil.copyfile(source / _WEIGHTS, target / _WEIGHTS)
    (target / _ABOUT).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def _copy_template(config: RunConfig, folder: Path) -> list[tuple[str, object]]:
    """Put a chat template of the user's into the folder; what changes in the settings by that."""
    template = config.prompts.template
    if template is None:
        return []
    read_template(template)
    (folder / TEMPLATES).mkdir()
    # Byte for byte: the digest of the run is of its bytes.
    shutil.copyfile(os.path.expanduser(template), folder / TEMPLATES / template.name)
    return [("prompts.template", f"{TEMPLATES}/{template.name}")]


def _without_places(config: RunConfig) -> RunConfig:
    """The same without where the data, and what answering takes no more, were on the machine that it was made on."""
    data = config.data
    places = {name: getattr(data, name) for name in ("path", "train", "validation", "calibration", "test")}
    changes = [(f"data.{name}", without_folder(place)) for name, place in places.items() if place is not None]
    answering = [("offload_folder", None), ("rivals.judge", None), ("rivals.nli_model", None)]
    return with_changes(config, [*changes, *answering])


def _card(folder: Path, name: str, config: RunConfig) -> str:
    fitted = Fitted.read(folder, config)
    assert fitted.calibrated is not None
    metrics = METRICS.read(folder) if METRICS.exists(folder) else None
    clauses = caveats(fitted.rule, fitted.novelty)
    return model_card(name, config, PROVENANCE.read(folder), fitted.calibrated, metrics, clauses)


def _push(folder: Path, repository: str) -> None:
    from huggingface_hub import HfApi

    try:
        hub = HfApi()
        hub.create_repo(repository, exist_ok=True)
        hub.upload_folder(repo_id=repository, folder_path=folder, commit_message="An exported run of aspire-llm")
    except Exception as error:  # the hub, the network and the files each raise errors of their own
        raise RunDirectoryError(
            f"{folder} is made, but {repository} on the hub did not take it: {first_line(error)}"
        ) from error


@contextmanager
def _fetched(source: str) -> Iterator[Path]:
    """The folder of an exported run, for as long as it is read."""
    if not source.startswith(HUB):
        if not is_run(Path(source)):
            raise RunDirectoryError(f"{source} is no exported run; give its folder, or {HUB}OWNER/NAME")
        yield Path(source)
        return
    repository = source.removeprefix(HUB)
    if not _REPOSITORY.fullmatch(repository):
        raise ConfigError(f"{source}: give {HUB}OWNER/NAME")
    from huggingface_hub import snapshot_download

    with TemporaryDirectory() as place:
        try:
            snapshot_download(repository, local_dir=place, allow_patterns=[*_SHARED, f"{TEMPLATES}/*"])
        except Exception as error:  # the hub, the network and the cache each raise errors of their own
            raise RunDirectoryError(f"{source} cannot be fetched: {first_line(error)}") from error
        yield Path(place)
