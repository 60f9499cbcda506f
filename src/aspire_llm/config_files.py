"""Reading, checking and changing the settings of a run: YAML files and `key.path=value` overrides."""

import difflib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from aspire_llm.config import MODEL_NAMES, RunConfig
from aspire_llm.data_config import DATA_NAMES
from aspire_llm.errors import ConfigError, first_line
from aspire_llm.records import Split


class _MisreadError(yaml.YAMLError):
    """What stands somewhere in a YAML text cannot be taken as it is meant.

    Attributes:
        line: Where it stands, counted from 1.
        problem: What to tell the user.
    """

    def __init__(self, node: yaml.Node, problem: str) -> None:
        super().__init__(problem)
        self.line, self.problem = node.start_mark.line + 1, problem


class _StrictLoader(yaml.SafeLoader):
    """YAML in which no mapping has a key twice, of which readers take the last, and values are what their tags say."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                if (key.tag, key.value) in seen:
                    problem = f"the key {key.value!r} stands twice; keep one of them, with all that belongs to it"
                    raise _MisreadError(key, problem)
                seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, OverflowError, LookupError, AttributeError) as error:  # whatever the parsers of values say
            kind = node.tag.rpartition(":")[2]
            problem = f"{node.value!r:.60} is no {kind}; write a text in quotes, without a tag"
            raise _MisreadError(node, problem) from error


def _read(text: str) -> Any:
    try:
        return yaml.load(text, Loader=_StrictLoader)  # noqa: S506 a SafeLoader
    except RecursionError as error:
        raise yaml.YAMLError("it is nested beyond all limits") from error
    except (ValueError, OverflowError) as error:  # of the number of a character that there is none of
        raise yaml.YAMLError(str(error)) from error


def load_config(path: Path | None = None, changes: Sequence[tuple[str, object]] = ()) -> RunConfig:
    """Read a YAML file, or the defaults, and change some keys.

    Args:
        path: The file.
        changes: Dotted keys and their values, e.g. ``("stage1.epochs", 3)``.

    Raises:
        ConfigError: The file is missing or not a YAML mapping, a key is unknown, or a value is out of range.
    """
    settings = read_yaml(path) if path is not None else {}
    for key, value in changes:
        _set(settings, key.split("."), value)
    return parse_config(settings)


def with_changes(config: RunConfig, changes: Sequence[tuple[str, object]]) -> RunConfig:
    """The configuration with some dotted keys set to other values; ConfigError where one is unknown or unfit."""
    settings = config.model_dump(mode="json")
    for key, value in changes:
        _set(settings, key.split("."), value)
    return parse_config(settings)


def with_whole_paths(config: RunConfig) -> RunConfig:
    """The configuration with absolute paths, which mean the same wherever it is read; names and hub ids stay."""
    return with_changes(config, list(paths_of(config).items()))


def paths_of(config: RunConfig) -> dict[str, str]:
    """The settings that are paths, made absolute, by dotted keys; names and hub ids are none."""
    settings = flatten(config.model_dump(mode="json"))
    named = ("data.path", "prompts.template", "rivals.judge", "offload_folder")
    paths = {key: settings[key] for key in named if settings[key] is not None}
    for key in ("model", "rivals.nli_model"):
        text, path = settings[key], Path(settings[key] or "")
        if text and text not in MODEL_NAMES and (text.startswith(("~", ".")) or path.exists()):
            paths[key] = text
    for key in (f"data.{split}" for split in Split):
        text = settings[key] or ""
        # What is a name and a path here is refused when it is read.
        if os.path.exists(os.path.expanduser(text)) and text.partition(":")[0] not in (*DATA_NAMES, "name", "hf"):
            paths[key] = text
    return {key: os.path.abspath(os.path.expanduser(path)) for key, path in paths.items()}


def parse_change(text: str) -> tuple[str, object]:
    """The key and the value of ``key.path=value``; the value is YAML.

    Raises:
        ConfigError: The text has another form.
    """
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise ConfigError(f"--set got {text!r}; write it as key.path=value, e.g. stage1.epochs=3")
    try:
        return key, _read(value)
    except _MisreadError as error:
        raise ConfigError(f"--set {key}: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {key}: {value!r} is not a YAML value") from error


def parse_config(settings: Mapping[str, Any]) -> RunConfig:
    """Check settings against the schema; ConfigError names the first unknown or unfit key."""
    try:
        return RunConfig.model_validate(settings)
    except ValidationError as error:
        raise ConfigError(_explain(error)) from error


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file that holds a mapping; an empty file is an empty one."""
    try:
        settings = _read(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the config ({error.strerror}); give an existing YAML file") from error
    except _MisreadError as error:
        raise ConfigError(f"{path}, line {error.line}: {error.problem}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML ({first_line(error)})") from error
    if settings is None:
        return {}
    if not isinstance(settings, dict):
        raise ConfigError(f"{path}: got a {type(settings).__name__}; a config is a mapping such as 'model: …'")
    return settings


def differing_keys(ours: RunConfig, theirs: RunConfig) -> list[str]:
    """Dotted keys in which two configurations differ."""
    mine, other = flatten(ours.model_dump(mode="json")), flatten(theirs.model_dump(mode="json"))
    return sorted(key for key in mine.keys() | other.keys() if mine.get(key) != other.get(key))


def _set(settings: dict[str, Any], path: Sequence[str], value: object) -> None:
    for key in path[:-1]:
        settings = settings.setdefault(key, {})
        if not isinstance(settings, dict):
            raise ConfigError(f"config key {'.'.join(path)!r}: {key} is a value, not a section")
    settings[path[-1]] = value


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"]) or "config"
    if first["type"] == "extra_forbidden":
        known = list(flatten(RunConfig().model_dump(mode="json")))
        nearest = difflib.get_close_matches(key, known, n=1, cutoff=0)[0]
        if any("." in str(part) for part in first["loc"]):  # as --set has it
            return f"config key {key!r} stands with a dot; in a file it is {_as_sections(nearest)}"
        return f"unknown config key {key!r}; the nearest known key is {nearest!r}"
    return f"config key {key!r}: got {first['input']!r}; {first['msg'].removeprefix('Value error, ')}"


def _as_sections(key: str) -> str:
    """A dotted key as YAML has it.

    >>> _as_sections("data.splits.train")
    'data: {splits: {train: …}}'
    """
    *sections, name = key.split(".")
    return "".join(f"{own}: {{" for own in sections) + f"{name}: …" + "}" * len(sections)
