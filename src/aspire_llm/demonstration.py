"""What `aspire-llm run` runs when no data are named: a real model on real facts, or the invented world."""

import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from aspire_llm.demo import MODEL_DIR
from aspire_llm.lm.model_files import PRESETS

PRESET = "smollm2"
_PRODUCT = 1024  # width of the square matrices whose product tells how fast the machine is


@dataclass(frozen=True, slots=True)
class Demonstration:
    """Settings that run without a network.

    Attributes:
        config: Their file.
        work: Seconds that the run takes, times the rate of float32 products at which it took them, in flop.
    """

    config: Path
    work: float

    def minutes(self) -> float:
        """How long it will take on this machine, from the rate of its float32 products just now."""
        return self.work / _products_a_second() / 60.0


FACTS = Demonstration(MODEL_DIR.with_name("facts.yaml"), work=5.1e13)
WORLD = Demonstration(MODEL_DIR.with_name("world.yaml"), work=4.5e13)


def demonstration(model: str | None = None) -> tuple[Demonstration, str | None]:
    """The demonstration of a model, or else the best that is to be had here.

    Args:
        model: ``demo``, ``smollm2``, or None for either.

    Returns:
        It, and why it is not the one on a real model, as a sentence, where that was not asked for.
    """
    if model is not None:
        return (FACTS if model == PRESET else WORLD), None
    lacking = why_no_real_model()
    return (FACTS, None) if lacking is None else (WORLD, f"{lacking}: this is the invented world, on a tiny model")


def why_no_real_model() -> str | None:
    """What there is to install before the demonstration's model can be read; None where nothing is."""
    preset = PRESETS[PRESET]
    if not isinstance(preset.locate(), Path):
        return f"the demonstration's model is not installed ({preset.install})"
    if find_spec("gguf") is None:
        return "the demonstration's model cannot be read (pip install 'aspire-llm[gguf]')"
    return None


def introduction(shown: Demonstration, note: str | None, folder: Path) -> tuple[str, ...]:
    """What to say before a demonstration: that it is not the one meant, and how long it takes, where it is to begin."""
    about = () if folder.exists() else (f"this takes about {_in_words(shown.minutes())} on this machine",)
    return (*([note] if note else []), *about)


def _in_words(minutes: float) -> str:
    return "a minute" if minutes < 1.5 else f"{minutes:.0f} minutes"


def _products_a_second() -> float:
    """Rate of float32 products in flop/s: the best of a few, since other programs may be at work."""
    square = np.ones((_PRODUCT, _PRODUCT), dtype=np.float32)
    seconds = []
    for _ in range(4):
        started = time.perf_counter()
        square @ square
        seconds.append(time.perf_counter() - started)
    return 2.0 * _PRODUCT**3 / min(seconds)
