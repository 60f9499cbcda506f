"""Runs that begin with what another one sampled."""

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from aspire_llm.config_files import with_changes
from aspire_llm.results.questions import EXAMPLES
from aspire_llm.results.samples import SAMPLES
from aspire_llm.rundir.directory import RunDirectory
from aspire_llm.rundir.own import CONFIG, MARKER
from aspire_llm.rundir.provenance import PROVENANCE
from aspire_llm.rundir.writing import write_text


def begin_from(
    sampled: Path, folder: Path, adapters: Iterable[str], changes: Sequence[tuple[str, object]] = ()
) -> RunDirectory:
    """Make a run of a folder.

    Args:
        sampled: The run whose questions, samples and settings it has.
        folder: Of the new one; what stands there of an earlier beginning is written again.
        adapters: Names of the adapters that it has, too.
        changes: To its settings.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for file in (MARKER, SAMPLES.name, EXAMPLES.name, PROVENANCE.name):
        shutil.copyfile(sampled / file, folder / file)
    for name in adapters:
        shutil.copytree(sampled / name, folder / name, dirs_exist_ok=True)
    write_text(folder / CONFIG, with_changes(RunDirectory.open(sampled).config, changes).to_yaml())
    return RunDirectory.open(folder)
