"""`python -m scripts.ship_run RUN FOLDER`: what a finished run answers questions with, in a few megabytes.

Adapters are kept in float16. θs is left out where the run's score does without it.
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file

from aspire_llm.config_files import with_changes
from aspire_llm.lm.adapters import SELF_EVALUATION, TASK
from aspire_llm.lm.tensor_file import write_tensors
from aspire_llm.results.calibration import CALIBRATION, stored_rule
from aspire_llm.results.fused import FUSED
from aspire_llm.results.novelty import NOVELTY
from aspire_llm.results.questions import EXAMPLES
from aspire_llm.results.states import STATES
from aspire_llm.rundir.directory import RunDirectory
from aspire_llm.rundir.own import CONFIG, MARKER
from aspire_llm.rundir.provenance import PROVENANCE
from aspire_llm.selection import Part


def main() -> None:
    """Copy."""
    parser = argparse.ArgumentParser(prog="python -m scripts.ship_run")
    parser.add_argument("run", type=Path)
    parser.add_argument("folder", type=Path, help="must not be there yet")
    options = parser.parse_args()
    ship(options.run, options.folder)


def ship(run: Path, folder: Path) -> None:
    """Make a folder of what a run answers questions with."""
    config = RunDirectory.open(run).config
    needs = stored_rule(run, config).scoring.needs
    folder.mkdir(parents=True)
    (folder / MARKER).touch()
    for name in (PROVENANCE.name, EXAMPLES.name, CALIBRATION.name, FUSED.name, NOVELTY.name, STATES.name):
        if (run / name).is_file():
            shutil.copyfile(run / name, folder / name)
    for adapter in (TASK, *([SELF_EVALUATION] if Part.VERDICT in needs else [])):
        name = f"{adapter}_adapter"
        shutil.copytree(run / name, folder / name)
        weights = folder / name / "adapter_model.safetensors"
        write_tensors(weights, {key: own.to(torch.float16) for key, own in load_file(weights).items()})
        about = folder / name / "adapter_config.json"
        known = json.loads(about.read_text(encoding="utf-8"))
        about.write_text(
            json.dumps(known | {"base_model_name_or_path": config.model}, indent=2) + "\n", encoding="utf-8"
        )
    lean = with_changes(config, [("stage3.enabled", Part.VERDICT in needs), ("states.enabled", Part.STATES in needs)])
    (folder / CONFIG).write_text(lean.to_yaml(), encoding="utf-8")


if __name__ == "__main__":
    main()
