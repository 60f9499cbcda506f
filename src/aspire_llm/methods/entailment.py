"""An NLI model that says which texts entail which (for semantic entropy and SAR)."""

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import AutoModelForSequenceClassification

from aspire_llm.errors import ModelError
from aspire_llm.lm.loading import load

_BATCH = 64


class EntailmentModel:
    """A sequence classifier with a label for entailment.

    Args:
        name: Folder or hub id; no code of a repository is run.
        device: Where it runs.

    Raises:
        ModelError: It cannot be loaded, or none of its labels is entailment.
    """

    def __init__(self, name: str | Path, device: torch.device) -> None:
        loaded = load(AutoModelForSequenceClassification, name, torch.float32, "NLI model", place=device)
        self._model, self._tokenizer = loaded
        labels = {index: label.lower() for index, label in self._model.config.id2label.items()}
        entailment = [i for i, label in labels.items() if label.startswith("entail")]
        if len(entailment) != 1:
            raise ModelError(
                f"NLI model {str(name)!r} has the labels {', '.join(labels.values())}; one is to be entailment"
            )
        self._entailment = entailment[0]
        self._model.eval()

    def entails(self, pairs: Sequence[tuple[str, str]]) -> list[bool]:
        """Whether each premise entails its hypothesis: entailment is the likeliest label."""
        return [bool(row.argmax() == self._entailment) for row in self._logits(pairs)]

    def probabilities(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """The probability that each premise entails its hypothesis."""
        return [float(torch.softmax(row, dim=-1)[self._entailment]) for row in self._logits(pairs)]

    @torch.no_grad()
    def _logits(self, pairs: Sequence[tuple[str, str]]) -> list[torch.Tensor]:
        order = sorted(range(len(pairs)), key=lambda i: sum(map(len, pairs[i])))
        found: dict[int, torch.Tensor] = {}
        for start in range(0, len(order), _BATCH):
            indices = order[start : start + _BATCH]
            encoded = self._tokenizer(
                [pairs[i][0] for i in indices],
                [pairs[i][1] for i in indices],
                padding=True,
                truncation=True,
                split_special_tokens=True,  # "[SEP]" in an answer is text
                return_tensors="pt",
            ).to(self._model.device)
            found |= zip(indices, self._model(**encoded).logits.float(), strict=True)
        return [found[i] for i in range(len(pairs))]
