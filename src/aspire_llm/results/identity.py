"""Which trained run it is that says something: tells its words from those of another."""

import hashlib
from pathlib import Path

from aspire_llm.results.calibration import CALIBRATION
from aspire_llm.results.fused import FUSED
from aspire_llm.results.novelty import NOVELTY
from aspire_llm.results.questions import EXAMPLES
from aspire_llm.results.states import STATES
from aspire_llm.rundir.directory import RunDirectory


def digest_of_run(run: Path) -> str:
    """SHA-256 over settings, adapters and whatever else decides what a run predicts."""
    directory = RunDirectory.open(run)
    digest = hashlib.sha256(directory.config.to_yaml().encode())
    names = (EXAMPLES.name, CALIBRATION.name, FUSED.name, NOVELTY.name, STATES.name)
    decides = [directory.path / name for name in names]
    for path in sorted([*directory.path.glob("*_adapter/*"), *decides]):
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()
