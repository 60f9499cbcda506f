"""What is ours: which folders are runs, which names in them a run writes, and that nothing else is touched."""

import os
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path

from aspire_llm.config import RunConfig
from aspire_llm.config_files import parse_config, paths_of, read_yaml
from aspire_llm.errors import AspireError, ConfigError, RunDirectoryError
from aspire_llm.rundir.log import LOG
from aspire_llm.rundir.provenance import PROVENANCE
from aspire_llm.rundir.steps import OUTPUTS
from aspire_llm.rundir.streams import is_stream
from aspire_llm.rundir.writing import is_temporary

MARKER = ".aspire-run"
CONFIG = "config.yaml"
TEMPLATES = "chat_template"  # a folder, so that the file keeps its name, which the digest of the model knows
# Whatever a run writes at the top of its directory.
_OWN = (
    ".DS_Store",  # made by a file manager that only looks
    *(MARKER, CONFIG, PROVENANCE.name, LOG.name, "few_shot.json", "calibration.json", "fused.json"),
    *("metrics.json", "costs.json"),
    *("report.html", "tables", "scores", "evaluations", "seeds.json", "seeds", "sweep.json", "sweeps", "*.checkpoint"),
    *("tensorboard", "wandb"),  # of trackers
    *(output.name for output in OUTPUTS),
)


def is_own_template(template: Path | None) -> bool:
    """Whether the chat template of a run's settings lies in the run itself."""
    return template is not None and template.parts[:-1] == (TEMPLATES,)


def is_run(path: Path) -> bool:
    """Whether a folder is a run: it has our mark, or what runs had before there was one."""
    if (path / MARKER).is_file():
        return True
    if not (path / CONFIG).is_file() or not PROVENANCE.exists(path):
        return False
    try:
        parse_config(read_yaml(path / CONFIG))
        PROVENANCE.read(path)
    except AspireError:
        return False
    return True


def run_of(folder: Path) -> Path:
    """The run that a folder of results belongs to: itself, or that whose evaluation on other data it is."""
    parent = Path(os.path.realpath(folder)).parent
    return parent.parent if parent.name == "evaluations" and is_run(parent.parent) else folder


def check_is_run(path: Path) -> None:
    """RunDirectoryError unless something may be written into a folder because it is a run."""
    if not is_run(path):
        raise RunDirectoryError(f"{path}: no run here ({MARKER} is missing); make one with aspire-llm run")


def not_ours(path: Path) -> list[str]:
    """Names at the top of a run directory that no run writes."""
    return sorted(
        own.name
        for own in path.iterdir()
        if not is_temporary(own) and not any(fnmatch(own.name, pattern) for pattern in _OWN)
    )


def check_apart(output: Path, inputs: Mapping[str, object]) -> None:
    """What a run is made from may not lie where the run is written, which replaces what lies there.

    Args:
        output: The run directory.
        inputs: By what they are called; whatever is no existing path is passed over.

    Raises:
        ConfigError: One of them lies inside.
    """
    place = Path(os.path.realpath(output))
    for name, value in inputs.items():
        if not isinstance(value, str | Path) or not os.path.exists(value):
            continue
        for found in (os.path.abspath(value), os.path.realpath(value)):
            if place in (Path(found), *Path(found).parents):
                raise ConfigError(f"{name} {value} lies inside the output {output}; choose another --output")


def check_apart_from_inputs(output: Path, config: RunConfig) -> None:
    """ConfigError where data, model or whatever else the settings name as a path lies inside the output."""
    check_apart(output, paths_of(config))


def check_output(path: Path) -> None:
    """What a command writes for the user may not stand among the files of a run.

    Raises:
        ConfigError: It would.
    """
    if is_stream(path):
        return
    place = Path(os.path.realpath(path))
    for folder in place.parents:
        name = place.relative_to(folder).parts[0]
        if any(fnmatch(name, pattern) for pattern in _OWN) and is_run(folder):
            raise ConfigError(f"--output {path} would stand among the run's own files; choose another one")


def check_output_folder(path: Path) -> None:
    """A folder that a command makes for the user, or fills, may be no run nor lie in one, which `--fresh` replaces.

    Raises:
        ConfigError: It is, or does.
    """
    place = Path(os.path.realpath(path))
    for folder in (place, *place.parents):
        if is_run(folder):
            lies = "is a run" if folder == place else f"lies inside the run {folder}"
            raise ConfigError(f"the output {path} {lies}; choose a folder that stands outside of any run")
