"""GGUF files, converted once into a folder that transformers loads like any other."""

import logging
import os
import shutil
import tempfile
from contextlib import redirect_stderr
from importlib.util import find_spec
from io import StringIO
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from aspire_llm.errors import ModelError
from aspire_llm.lm.model_files import cache_folder, file_digest

_logger = logging.getLogger(__name__)


def converted(file: Path) -> Path:
    """The folder with the dequantised weights (float32), configuration and tokenizer of a GGUF file.

    It is kept under `$XDG_CACHE_HOME/aspire-llm` (`~/.cache/aspire-llm`) by the digest of the file, whole or absent.

    Raises:
        ModelError: The package `gguf` is missing, or the file cannot be read.
    """
    with file.open("rb") as opened:
        if opened.read(4) != b"GGUF":
            raise ModelError(f"{file} is no GGUF file (or a pointer of Git LFS); download it again")
    folder = cache_folder() / "gguf" / file_digest(file)
    if folder.is_dir():
        return folder
    if find_spec("gguf") is None:
        raise ModelError(f"{file}: reading GGUF needs a package; pip install 'aspire-llm[gguf]'")
    _logger.warning("reading %s for the first time; it is kept, converted, in %s", file.name, folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".converting-") as temporary:
            with redirect_stderr(StringIO()):  # progress bars that cannot be turned off
                _convert(file, Path(temporary) / "model")
            _move(Path(temporary) / "model", folder)
    except OSError as error:
        raise ModelError(f"{file}: cannot keep it converted in {folder.parent} ({error.strerror or error})") from error
    return folder


def _convert(file: Path, folder: Path) -> None:
    try:
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name, trust_remote_code=False)
        packed = AutoModelForCausalLM.from_pretrained(
            file.parent,
            gguf_file=file.name,
            quantization_config=GgufConfig(gguf_file=file.name, dequantize=True),
            dtype=torch.float32,
            trust_remote_code=False,
        )
        config = packed.config
        if hasattr(config, "quantization_config"):  # with which save_pretrained refuses
            del config.quantization_config
        plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32, trust_remote_code=False)
        plain.load_state_dict(packed.state_dict())
    except Exception as error:  # whatever other libraries make of a file that they cannot read
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"{file}: cannot read it as GGUF: {reason}") from error
    plain.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _move(made: Path, folder: Path) -> None:
    """Into place, in one step; a folder that another process made meanwhile is the same, and stays."""
    for path in made.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    try:
        made.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
        shutil.rmtree(made)
