"""How a server listens, what it refuses, and how long it waits."""

import hashlib
import hmac
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from aspire_llm.errors import ConfigError

System = Literal["context", "ignore"]

_MAX_QUESTIONS = 256


class ApiKeys:
    """The keys that open a server; without any, everything is open.

    Args:
        keys: In clear text; only their digests are kept.
    """

    def __init__(self, keys: tuple[str, ...] = ()) -> None:
        self._digests = tuple(_digest(key) for key in keys)

    @classmethod
    def read(cls, path: Path) -> "ApiKeys":
        """The keys of a file, one a line; empty lines and those that begin with # are none.

        Raises:
            ConfigError: It cannot be read, or holds no key, or one that no header can carry.
        """
        try:
            lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
        except (OSError, ValueError) as error:
            raise ConfigError(f"--api-key-file {path}: cannot read it as UTF-8 text ({error})") from error
        keys = tuple(line for line in lines if line and not line.startswith("#"))
        if not keys:
            raise ConfigError(f"--api-key-file {path} holds no key; write one a line")
        for key in keys:
            if not key.isascii() or not key.isprintable() or " " in key:
                raise ConfigError(f"--api-key-file {path}: a key may hold printable ASCII without spaces alone")
        return cls(keys)

    def __bool__(self) -> bool:
        return bool(self._digests)

    def accept(self, key: str) -> bool:
        """Whether a key is one of them; it takes the same time whichever, if any, it is."""
        given = _digest(key)
        return sum(hmac.compare_digest(given, own) for own in self._digests) > 0  # all are compared


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """The settings of a server.

    Attributes:
        host, port: Where it listens; port 0 is any free one.
        root_path: The path below which a proxy shows it, such as ``/aspire``; a slash at its end says nothing.
        keys: That open everything but ``/health``.
        max_waiting: Questions of a run that may wait for an answer; further ones get 429.
        max_batch: Questions that are answered together; None: `stage2.batch_size` of the run.
        batch_wait: Seconds that a question waits for company, at most.
        timeout: Seconds after which a request that is still unanswered gets 504.
        max_body: Bytes of a request's body.
        body_timeout: Seconds within which a body must have come.
        ping: Seconds between comments in a stream whose verdict is not known yet.
        system: What text of the system role is: the context of the question, or nothing.
        log_texts: Whether the log holds questions and answers.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    root_path: str = ""
    keys: ApiKeys = field(default_factory=ApiKeys)
    max_waiting: int = 512
    max_batch: int | None = None
    batch_wait: float = 0.002
    timeout: float = 60.0
    max_body: int = 4 * 2**20
    body_timeout: float = 20.0
    ping: float = 2.0
    system: System = "context"
    log_texts: bool = False

    @property
    def max_questions(self) -> int:
        """Of one request: no more than can wait, which an idle server would refuse as if it were busy."""
        return min(_MAX_QUESTIONS, self.max_waiting)

    def __post_init__(self) -> None:
        counts = {"--max-waiting": self.max_waiting, "--max-batch": self.max_batch}
        for name, value in counts.items():
            if value is not None and value < 1:
                raise ConfigError(f"{name} is {value}; it must be at least 1")
        if not 0 <= self.port < 2**16:
            raise ConfigError(f"--port is {self.port}; it must lie between 0 and 65535")
        if not 0.0 < self.timeout < math.inf:
            raise ConfigError(f"--timeout is {self.timeout:g}; it must be a number of seconds above 0")
        if self.root_path and not self.root_path.startswith("/"):
            raise ConfigError(f"--root-path is {self.root_path!r}; it must begin with /")
        object.__setattr__(self, "root_path", self.root_path.rstrip("/"))


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
