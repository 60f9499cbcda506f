"""The plain schema: questions in, rows out; and what the runs say of themselves."""

from fastapi import Request, Response
from fastapi.responses import JSONResponse

from aspire_llm.records import Question
from aspire_llm.serving.asking import Pending, Reply, readable
from aspire_llm.serving.card import drift_card
from aspire_llm.serving.errors import limit_questions
from aspire_llm.serving.guard import note
from aspire_llm.serving.replies import JsonObject, answer_row, failed_row
from aspire_llm.serving.routes import model_of, new_router, settings_of, shelf_of
from aspire_llm.serving.schema import AnswerRequest, AskedQuestion

router = new_router("aspire")


@router.post("/v1/answer")
async def answer(body: AnswerRequest, request: Request) -> Response:
    """Answer questions, or withhold the answers, in order; what cannot be put to the model has its error in its row."""
    model, settings = model_of(request, body.model), settings_of(request)
    limit_questions(len(body.questions), settings.max_questions)
    questions = [_question(own, place) for place, own in enumerate(body.questions)]
    pending = Pending(model, [readable(own) for own in questions], body, settings.timeout)
    await pending.wait_with(request)
    outcomes = pending.outcomes()
    rows = [
        answer_row(own) if isinstance(own, Reply) else failed_row(question.id, question.question, str(own))
        for question, own in zip(questions, outcomes, strict=True)
    ]
    note(request.scope, questions=len(rows), abstained=sum(row["abstained"] for row in rows))
    if settings.log_texts:
        note(request.scope, texts=[[row["question"], row["text"]] for row in rows])
    return JSONResponse({"model": model.name, "answers": rows})


@router.get("/v1/runs")
async def runs(request: Request) -> JsonObject:
    """Model, data, figures, promises and drift of every run."""
    cards = request.app.state.cards
    return {"runs": [{**cards[own.name], "drift": drift_card(own)} for own in shelf_of(request).models.values()]}


def _question(own: str | AskedQuestion, place: int) -> Question:
    if isinstance(own, str):
        return Question(str(place), own)
    return Question(
        str(place) if own.id is None else own.id,
        own.question,
        context=own.context,
        history=tuple((turn.question, turn.answer) for turn in own.history),
        metadata=dict(own.metadata or {}),
    )
