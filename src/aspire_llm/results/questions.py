"""Questions that a run keeps whole: its few-shot examples."""

from aspire_llm.records import Question
from aspire_llm.rundir.files import Document
from aspire_llm.rundir.typed import typed_document

EXAMPLES: Document[tuple[Question, ...]] = typed_document("few_shot.json", "few-shot examples", tuple[Question, ...])
