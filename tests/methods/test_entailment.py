"""The NLI model: batches change nothing, labels are found by name, and what cannot be used is refused."""

from pathlib import Path

import pytest
import torch
from nli import save_nli_model
from transformers import BertForSequenceClassification, PreTrainedTokenizerFast

from aspire_llm.errors import ModelError
from aspire_llm.methods.entailment import EntailmentModel

PAIRS = [("it rains", "it is wet"), ("a", "b"), ("was the old piano built in Paris by the sea", "no"), ("b", "a")]


def test_a_batch_gives_what_single_pairs_give(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    folder = save_nli_model(tmp_path, tokenizer, ["CONTRADICTION", "NEUTRAL", "ENTAILMENT"])
    model = EntailmentModel(folder, torch.device("cpu"))
    plain = BertForSequenceClassification.from_pretrained(folder).eval()
    expected = []
    for premise, hypothesis in PAIRS:
        with torch.no_grad():
            logits = plain(**tokenizer(premise, hypothesis, return_tensors="pt")).logits[0]
        expected.append(logits.softmax(-1).tolist())
    assert model.probabilities(PAIRS) == pytest.approx([row[2] for row in expected], abs=1e-5)
    assert model.entails(PAIRS) == [row.index(max(row)) == 2 for row in expected]
    assert model.entails([]) == []


def test_the_label_is_found_wherever_it_stands(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    first = EntailmentModel(save_nli_model(tmp_path / "a", tokenizer, ["entailment", "other"]), torch.device("cpu"))
    second = EntailmentModel(save_nli_model(tmp_path / "b", tokenizer, ["other", "entailment"]), torch.device("cpu"))
    assert first.probabilities(PAIRS) == pytest.approx([1 - p for p in second.probabilities(PAIRS)], abs=1e-5)


def test_what_is_no_nli_model_is_refused(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(ModelError, match="one is to be entailment"):
        EntailmentModel(save_nli_model(tmp_path, tokenizer, ["good", "bad"]), torch.device("cpu"))
    with pytest.raises(ModelError, match="no such model"):
        EntailmentModel(tmp_path / "nowhere", torch.device("cpu"))
