"""What is stored is read back as it was, for any record, and keeps the names that users read."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from results.any_records import RECORDS, reranked

from aspire_llm.records import Prediction
from aspire_llm.results.predictions import DECIDED_PREDICTIONS, PREDICTIONS, prediction_to_json
from aspire_llm.rundir.files import Document, Lines


@pytest.mark.parametrize(("file", "records"), RECORDS, ids=[file.name for file, _ in RECORDS])
@given(data=st.data())
def test_a_record_is_read_back(file: Document[Any] | Lines[Any], records: st.SearchStrategy[Any], data) -> None:
    record = data.draw(records)
    text = json.dumps(file.to_json(record), allow_nan=False)
    assert file.from_json(json.loads(text)) == record


@given(reranked)
def test_what_was_decided_is_read_without_the_other_hypotheses(own: Prediction) -> None:
    read = DECIDED_PREDICTIONS.from_json(json.loads(json.dumps(PREDICTIONS.to_json(own))))
    assert prediction_to_json(read) == prediction_to_json(own)
    assert prediction_to_json(read.likeliest) == prediction_to_json(own.likeliest)
    assert read.scored.evidence.beams == own.scored.evidence.beams[:1]
