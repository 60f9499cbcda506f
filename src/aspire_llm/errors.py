"""The errors a user can cause. Each message is one line: what was got, what is needed, what to do."""


class AspireError(Exception):
    """Base of every error that bad input causes; the command line prints it alone and exits with code 2."""


class ConfigError(AspireError, ValueError):
    """A setting is unknown, out of range, or at odds with the run directory."""


class DataError(AspireError, ValueError):
    """A data set, or one of its rows, cannot be read as questions and answers."""


class ModelError(AspireError, ValueError):
    """A model folder, its tokenizer or its window does not fit what was asked of it."""


class TooLongError(ModelError):
    """A question does not fit the model's window, even without its context."""


class ProcessLostError(AspireError, RuntimeError):
    """One of several processes that work on a command has ended."""


class RunDirectoryError(AspireError, RuntimeError):
    """A run directory lacks a file, holds a broken one, or belongs to another configuration."""


def first_line(error: Exception) -> str:
    """What another library's error says in its first line, or its name: messages of this package are one line."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
