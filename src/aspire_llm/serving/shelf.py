"""The runs of a server, from the moment it listens until it ends."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from aspire_llm.serving.asking import shutting_down
from aspire_llm.serving.errors import ApiError, bad_request
from aspire_llm.serving.served_model import ServedModel


class Shelf:
    """Runs by name, which are loaded while the server listens already.

    Args:
        names: Of the runs.
        load: Loads them, on another thread.

    Attributes:
        closing: Whether no question is taken any more.
        failure: Why the runs could not be loaded, whatever it is: a server that never will answer must end.
    """

    def __init__(self, names: Sequence[str], load: Callable[[], Mapping[str, ServedModel]]) -> None:
        self.names, self._load = tuple(names), load
        self._models: Mapping[str, ServedModel] | None = None
        self.closing = False
        self.failure: Exception | None = None

    @property
    def models(self) -> Mapping[str, ServedModel]:
        """All of them.

        Raises:
            ApiError: They are not there yet, or not any more.
        """
        if self.closing:
            raise shutting_down()
        if self._models is None:
            raise ApiError(503, f"loading {', '.join(self.names)}", code="loading", retry_after=2)
        return self._models

    @property
    def loaded(self) -> list[ServedModel]:
        """Those that are there, whether or not they take questions."""
        return list((self._models or {}).values())

    def model(self, name: str | None) -> ServedModel:
        """The one that a request names, or the only one.

        Raises:
            ApiError: There is none of that name, or none is named and there are several.
        """
        models = self.models
        if name is None and len(models) == 1:
            return next(iter(models.values()))
        known = ", ".join(models)
        if name is None:
            raise bad_request(f"which model? Served are {known}", "model")
        if name not in models:
            message = f"there is no model {name!r} here; served are {known}"
            raise ApiError(404, message, param="model", code="model_not_found")
        return models[name]

    async def fill(self) -> None:
        """Load them; what goes wrong is kept in `failure`."""
        try:
            self._models = await asyncio.to_thread(self._load)
        except Exception as error:
            self.failure = error

    async def close(self) -> None:
        """Take no question any more, and answer those that were taken."""
        self.closing = True
        for model in self.loaded:
            await asyncio.to_thread(model.batcher.close)
