"""The runs of a server, from the moment it listens until it ends."""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future

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
        self._loader: threading.Thread | None = None
        self.closing = False
        self.failure: BaseException | None = None

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
    def is_loading(self) -> bool:
        """Whether a thread loads them right now."""
        return self._loader is not None and self._loader.is_alive()

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
        """Load them, on a thread that no end of the server waits for; what goes wrong is kept in `failure`."""
        loaded: Future[Mapping[str, ServedModel]] = Future()
        loaded.set_running_or_notify_cancel()  # from now on, who stops waiting stops nothing
        self._loader = threading.Thread(target=self._load_into, args=(loaded,), name="loader", daemon=True)
        self._loader.start()
        try:
            self._models = await asyncio.wrap_future(loaded)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # a panic of the tokenizer's is no Exception
            self.failure = error

    def _load_into(self, loaded: "Future[Mapping[str, ServedModel]]") -> None:
        try:
            loaded.set_result(self._load())
        except BaseException as error:  # as an executor does
            loaded.set_exception(error)

    async def close(self) -> None:
        """Take no question any more, and answer those that were taken."""
        self.closing = True
        for model in self.loaded:
            await asyncio.to_thread(model.batcher.close)
