"""Errors as OpenAI's clients expect them: a status, and `{"error": {message, type, param, code}}`."""

from typing import Any

INVALID, AUTHENTICATION, RATE_LIMIT, SERVER = (
    "invalid_request_error",
    "authentication_error",
    "rate_limit_error",
    "server_error",
)
CLIENT_GONE = 499  # nobody reads it; logs do
_KINDS = {401: AUTHENTICATION, 429: RATE_LIMIT}


class ApiError(Exception):
    """What a request gets instead of an answer.

    Args:
        status: Of HTTP.
        message: What was got, what is needed, what to do.
        param: The part of the request that it is about.
        code: For programs.
        retry_after: Seconds after which it may be tried again.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code
        self.headers = {} if retry_after is None else {"Retry-After": str(max(1, round(retry_after)))}

    @property
    def body(self) -> dict[str, Any]:
        """The JSON object."""
        kind = _KINDS.get(self.status, SERVER if self.status >= 500 else INVALID)
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


def limit_questions(count: int, most: int) -> None:
    """Refuse a request that asks too much, before any of it is looked at.

    Raises:
        ApiError: There are more than so many.
    """
    if count > most:
        message = f"{count} questions in one request; at most {most} are taken: send several"
        raise ApiError(413, message, code="too_many_questions")


def bad_request(message: str, param: str | None = None) -> ApiError:
    """A request that no server could answer."""
    return ApiError(400, message, param=param)
