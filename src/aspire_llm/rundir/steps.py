"""What each output of a run is made from: the one table of what depends on what.

From it follow what a resumed run computes, what a changed setting makes again, what a sweep shares with its run, and
which keys forbid a resume. Whatever follows from stored answers in seconds (labels, selection scores, confidence,
metrics, report) is made again in every run, so no row says when.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# How results are computed, not what they are: a change moves them by rounding, and makes nothing again.
HOW = (
    "device",
    "sharding",
    "device_map",
    "max_memory",
    "offload_folder",
    "speed",
    "tracking",
    "stage1.tokens_per_pass",
    "stage1.recompute_layers",
    "stage2.batch_size",
    "stage3.tokens_per_pass",
    "stage3.recompute_layers",
    "stage3.kept_prefixes",
)
# What turns stored answers into figures.
DECISIONS = ("score", "correctness.eval_threshold")
# What is said instead of a withheld answer; nothing is stored of it.
SAID = ("abstention",)
CUT_CONTEXTS = "cut contexts"


@dataclass(frozen=True, slots=True)
class Output:
    """Something that a run makes and keeps.

    Attributes:
        name: The file or folder, a pattern of file names, or what a row stands for that has no file of its own.
        made_from: Names of other outputs.
        keys: Configuration keys, or whole sections of them, but for those of `HOW`.
        step: The step that makes it, as the log and the provenance of a run call it; empty for what has no file.
        trains: Whether making it is a training.
    """

    name: str
    made_from: tuple[str, ...]
    keys: tuple[str, ...]
    step: str = ""
    trains: bool = False


_BEAMS = ("stage2.num_beams", "stage2.max_new_tokens", "stage2.length_penalty")
_DRAWS = ("rivals.num_samples", "rivals.temperature", "stage2.max_new_tokens")
_READ = ("prompts", CUT_CONTEXTS)
_TUNING = ("stage1", "stage2.max_new_tokens", "data.max_train")
_JUDGED = ("self_eval_adapter", "states.safetensors", "novelty.safetensors")
_LABELS = ("correctness.measure", "correctness.train_threshold")
_DATA = (
    "data.path",
    "data.name",
    "data.train",
    "data.validation",
    "data.calibration",
    "data.test",
    "data.limit",
    "data.splits",
    "data.num_examples",
)

OUTPUTS = (
    Output("prompts", (), ("model", "dtype", "quantization", "seed", "prompts", *_DATA)),
    # How much room a prompt has; where every context fits, that changes nothing.
    Output(
        CUT_CONTEXTS,
        (),
        (
            "stage1.adapter",
            "stage1.num_soft_tokens",
            "stage2.max_new_tokens",
            "stage3.adapter",
            "stage3.num_soft_tokens",
        ),
    ),
    Output("task_adapter", _READ, (*_TUNING, "stage2.held_out"), "stage1", trains=True),
    Output("task_[0-9]*_adapter", _READ, (*_TUNING, "stage2.folds"), "stage2", trains=True),
    Output("samples.jsonl", ("task_adapter", "task_[0-9]*_adapter"), ("stage2",), "stage2"),
    Output("states.safetensors", ("samples.jsonl",), ("states", *_LABELS), "states"),
    Output("self_eval_adapter", ("samples.jsonl",), ("stage3", *_LABELS), "stage3", trains=True),
    Output("predictions_untuned.jsonl", _READ, (*_BEAMS, "rivals.untuned"), "prediction"),
    Output("novelty.safetensors", ("task_adapter",), (), "prediction"),
    Output("calibration_predictions.jsonl", _JUDGED, _BEAMS, "prediction"),
    Output("labelled_predictions*.jsonl", _JUDGED, _BEAMS, "calibrate"),
    Output("predictions.jsonl", _JUDGED, _BEAMS, "prediction"),
    Output("validation_predictions.jsonl", _JUDGED, _BEAMS, "evaluation"),
    Output("rival_samples.jsonl", ("task_adapter",), _DRAWS, "evaluation"),
    Output("rival_samples_untuned.jsonl", _READ, _DRAWS, "evaluation"),
)


def stale(
    changed: Iterable[str], outputs: Sequence[Output] = OUTPUTS, *, contexts_cut: bool = True
) -> tuple[Output, ...]:
    """The outputs that other settings make anew, each after those it is made from.

    Args:
        changed: Dotted configuration keys.
        outputs: The table; a row stands after those it is made from.
        contexts_cut: Whether the room for a prompt matters, because some context does not fit.
    """
    keys, found = [key for key in changed if not _covers(HOW, key)], dict[str, Output]()
    for output in outputs:
        if output.name == CUT_CONTEXTS and not contexts_cut:
            continue
        if any(name in found for name in output.made_from) or any(_covers(output.keys, key) for key in keys):
            found[output.name] = output
    return tuple(found.values())


def training_keys(changed: Iterable[str]) -> list[str]:
    """Those of the changed keys that would train an adapter again."""
    return [key for key in changed if any(output.trains for output in stale([key]))]


def changes_figures(changed: Iterable[str]) -> bool:
    """Whether figures that were drawn from several runs (seeds, sweeps) no longer belong to this one."""
    return any(not _covers((*HOW, *SAID), key) for key in changed)


def _covers(keys: Sequence[str], key: str) -> bool:
    return any(key == own or key.startswith(f"{own}.") for own in keys)


def as_markdown(outputs: Sequence[Output]) -> str:
    """The table for readers: a row per output, with what a change of each key costs."""
    rows = ["| output | made from | configuration keys | training |", "|---|---|---|---|"]
    for output in outputs:
        made_from = ", ".join(output.made_from) or "–"
        keys = ", ".join(f"`{key}`" for key in output.keys) or "–"
        rows.append(f"| {output.name} | {made_from} | {keys} | {'yes' if output.trains else ''} |")
    decisions = ", ".join(f"`{key}`" for key in DECISIONS)
    rows.append(f"| labels, scores, confidence, metrics, report | the answers above | {decisions} | |")
    rows.append(f"| nothing: how it is computed | | {', '.join(f'`{key}`' for key in HOW)} | |")
    rows.append(f"| nothing: what is said | | {', '.join(f'`{key}`' for key in SAID)} | |")
    return "\n".join(rows)
