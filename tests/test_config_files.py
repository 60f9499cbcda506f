"""Settings from files and overrides: what is merged, and what is refused by name."""

from pathlib import Path

import pytest

from aspire_llm.config import RunConfig
from aspire_llm.config_files import differing_keys, flatten, load_config, parse_change, parse_config, with_changes
from aspire_llm.data_config import SplitSizes
from aspire_llm.errors import ConfigError


def test_overrides_stand_above_the_file_and_the_file_above_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("stage1: {epochs: 3, batch_size: 2}\nseed: 4\n", encoding="utf-8")
    config = load_config(path, [("stage1.epochs", 5), ("score.alpha", 0.5)])
    assert (config.stage1.epochs, config.stage1.batch_size, config.seed, config.score.alpha) == (5, 2, 4, 0.5)
    assert differing_keys(config, RunConfig()) == ["score.alpha", "seed", "stage1.batch_size", "stage1.epochs"]


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    config = with_changes(RunConfig(), [("data.splits.train", 7), ("stage3.verdict_words", ["yes", "no"])])
    path = tmp_path / "config.yaml"
    path.write_text(config.to_yaml(), encoding="utf-8")
    assert load_config(path) == config


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.b=1", ("a.b", 1)),
        ("a=[1, x]", ("a", [1, "x"])),
        ("a=", ("a", None)),
        ("a=b=c", ("a", "b=c")),
        ("a=1e-3", ("a", "1e-3")),  # YAML 1.1 wants a point in a number; pydantic reads it all the same
    ],
)
def test_a_change_is_a_key_and_a_yaml_value(text: str, expected: tuple[str, object]) -> None:
    assert parse_change(text) == expected


@pytest.mark.parametrize("text", ["a", "=1", "a=[1"])
def test_what_is_no_change_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_change(text)


def test_the_nearest_key_is_named() -> None:
    with pytest.raises(ConfigError, match=r"'stage3.epoch'; the nearest known key is 'stage3.epochs'"):
        parse_config({"stage3": {"epoch": 1}})
    with pytest.raises(ConfigError, match=r"'score.alpha': got 2"):
        parse_config({"score": {"alpha": 2}})
    with pytest.raises(ConfigError, match="seed is a value, not a section"):
        with_changes(RunConfig(), [("seed.x", 1)])


UNSET = {"data.limit": 1, "data.max_train": 1, "data.splits.train": 1, "score.target_risk": 0.1}
DEFAULTS = flatten(RunConfig().model_dump(mode="json")) | UNSET | {"stage3.kept_prefixes": 1}
NUMBERS = {key: type(value) for key, value in DEFAULTS.items() if type(value) in (int, float)}
COUNTS = [key for key, kind in NUMBERS.items() if kind is int]


@pytest.mark.parametrize("value", [".nan", ".inf", "-.inf"])
@pytest.mark.parametrize("key", NUMBERS)
def test_every_number_is_finite(key: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"{key}.*: got -?(nan|inf); Input should be"):
        load_config(None, [parse_change(f"{key}={value}")])


@pytest.mark.parametrize("key", [*COUNTS, "stage2.length_penalty"])
def test_no_number_is_beyond_what_a_run_computes_with(key: str) -> None:
    with pytest.raises(ConfigError, match=f"{key}.*: got {10**21}; Input should be less than"):
        load_config(None, [(key, 10**21)])


@pytest.mark.parametrize(
    ("key", "value"), [("stage2.temperature", 1e-38), ("rivals.temperature", 0), ("stage2.length_penalty", -5)]
)
def test_no_number_is_below_what_a_run_computes_with(key: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"{key}.*: got {value}; Input should be greater than or equal to"):
        load_config(None, [(key, value)])


@pytest.mark.parametrize("hundredths", range(1, 100))
def test_a_share_is_of_as_many_questions_as_it_says(hundredths: int) -> None:
    assert SplitSizes(test=hundredths / 100).counts(100)[0]["test"] == hundredths


def test_a_seed_leaves_room_for_others() -> None:
    last = 2**63 - 1
    assert load_config(None, [("seed", last)]).seed == last
    with pytest.raises(ConfigError, match=f"'seed': got {last + 1}; Input should be less than {2**63}"):
        load_config(None, [("seed", last + 1)])


def test_only_the_fused_score_ranks_beams_and_no_more_than_there_are() -> None:
    fused = with_changes(RunConfig(), [("score.kind", "fused"), ("stage2.num_beams", 4), ("score.candidates", 4)])
    with pytest.raises(
        ConfigError, match=r"score\.candidates is 4, and only the fused score .* set score\.kind to fused"
    ):
        with_changes(fused, [("score.kind", "aspire")])
    with pytest.raises(ConfigError, match=r"score\.candidates is 4, stage2\.num_beams only 3; set it to at most that"):
        with_changes(fused, [("stage2.num_beams", 3)])


@pytest.mark.parametrize(
    ("tagged", "kind"),
    [
        ('!!int ""', "int"),
        ("!!int ten", "int"),
        ("!!float _", "float"),
        ("!!bool maybe", "bool"),
        ("!!timestamp tomorrow", "timestamp"),
        ("2024-13-41", "timestamp"),  # looks like one
    ],
)
@pytest.mark.parametrize("place", ["stage1: {{epochs: {}}}", "stage1: [{}]", "stage1: {{? {} : 1}}", "{}: 1"])
def test_a_value_that_is_not_what_its_tag_says(tmp_path: Path, place: str, tagged: str, kind: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"seed: 1\n{place.format(tagged)}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"config.yaml, line 2: '.*' is no {kind}; write a text in quotes"):
        load_config(path)
    with pytest.raises(ConfigError, match=rf"--set stage1: '.*' is no {kind}; write a text in quotes"):
        parse_change(f"stage1={place.format(tagged)}")


@pytest.mark.parametrize("tag", ["map", "set", "omap", "pairs", "seq", "binary", "python/object:os.system", "unknown"])
@pytest.mark.parametrize("value", ["x", "[1]", "{a: 1}", "[[1]]", '""'])
def test_a_tag_is_read_or_refused(tmp_path: Path, tag: str, value: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"stage1: !!{tag} {value}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"config.yaml|config key 'stage1"):
        load_config(path)


@pytest.mark.parametrize(
    ("text", "key", "instead"),
    [
        ("stage1.epochs: 3", "stage1.epochs", "stage1: {epochs: …}"),
        ("stage1.epoch: 3", "stage1.epoch", "stage1: {epochs: …}"),
        ("data.splits.train: 3", "data.splits.train", "data: {splits: {train: …}}"),
        ("data: {splits.train: 3}", "data.splits.train", "data: {splits: {train: …}}"),
    ],
)
def test_a_dotted_key_in_a_file(tmp_path: Path, text: str, key: str, instead: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value) == f"config key '{key}' stands with a dot; in a file it is {instead}"


@pytest.mark.parametrize("text", ["- a\n", "seed: [\n", "\x00"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"config.yaml"):
        load_config(path)


def test_flat_keys_are_those_of_set() -> None:
    flat = flatten(RunConfig().model_dump(mode="json"))
    assert flat["stage1.epochs"] == RunConfig().stage1.epochs
    assert with_changes(RunConfig(), list(flat.items())) == RunConfig()
