"""What is loaded is the whole model that its files describe, and none of their code; all else is refused in a line."""

import io
import json
import pickle
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import tiny_model
from nli import save_nli_model
from peft import LoraConfig
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    GPTNeoConfig,
    GPTNeoForCausalLM,
    PreTrainedTokenizerFast,
)

from aspire_llm.cli import main
from aspire_llm.errors import ConfigError, ModelError
from aspire_llm.lm import loading
from aspire_llm.lm.loading import load_backbone, resolve_device
from aspire_llm.methods.entailment import EntailmentModel
from aspire_llm.processes import Processes

LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1044992\n"


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def rewrite_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def drop(pattern: str) -> Callable[[Path], None]:
    def dropped(weights: dict[str, torch.Tensor]) -> None:
        for key in [key for key in weights if pattern in key]:
            del weights[key]

    return lambda folder: rewrite_weights(folder, dropped)


def code_in_tokenizer(folder: Path) -> None:
    edit(folder / "tokenizer_config.json", tokenizer_class="Mine", auto_map={"AutoTokenizer": [None, "code.Mine"]})


def code_in_config(folder: Path) -> None:
    edit(folder / "config.json", model_type="mine", auto_map={"AutoConfig": "code.Mine"})


def add_token(special: bool) -> Callable[[Path], None]:
    def add(folder: Path) -> None:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        tokenizer.add_tokens([AddedToken("<city>", special=special)], special_tokens=special)
        tokenizer.save_pretrained(folder)

    return add


def cut(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-1000])


def poison(folder: Path) -> None:
    rewrite_weights(folder, lambda weights: weights["model.norm.weight"].fill_(torch.nan))


def extra_bias(folder: Path) -> None:
    rewrite_weights(folder, lambda weights: weights.update({"model.layers.0.self_attn.q_proj.bias": torch.ones(32)}))


def replace_by(content: str, name: str = "model.safetensors") -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(content)


def remove(*names: str) -> Callable[[Path], object]:
    return lambda folder: [(folder / name).unlink() for name in names]


def pickle_with_code(folder: Path) -> None:
    """In the place of weights, what writes beside the folder when it is unpickled."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights | {"extra": Harm(folder.parent / "RAN")}, folder / "pytorch_model.bin")


class Harm:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


def configure(**changes: object) -> Callable[[Path], object]:
    return lambda folder: edit(folder / "config.json", **changes)


def quantise(method: str, **changes: object) -> Callable[[Path], object]:
    return configure(quantization_config={"quant_method": method, **changes})


BROKEN: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "code in the tokenizer": (code_in_tokenizer, ["code", "never run"]),
    "code in the config": (code_in_config, ["code", "never run"]),
    "a kernel of the hub": (configure(_attn_implementation="someone/kernel"), ["code", "never run"]),
    "a pointer for weights": (replace_by(LFS), ["git lfs pull"]),
    "a pointer for the tokenizer": (replace_by(LFS, "tokenizer.json"), ["git lfs pull"]),
    "cut weights": (cut("model.safetensors"), ["bytes", "cut", "download"]),
    "empty weights": (replace_by(""), ["is empty"]),
    "an empty config": (replace_by("", "config.json"), ["config.json is empty"]),
    "a cut tokenizer": (cut("tokenizer.json"), ["tokenizer.json", "no valid JSON"]),
    "no weights": (remove("model.safetensors"), ["no weights"]),
    "no tokenizer": (remove("tokenizer.json", "tokenizer_config.json"), ["cannot load"]),
    "a layer missing": (drop("layers.1."), ["9 weights are missing", "model.layers.1.input_layernorm.weight"]),
    "the head missing": (drop("lm_head"), ["1 weight is missing", "lm_head.weight"]),
    "another width": (configure(intermediate_size=44), ["6 weights", "another shape", "is (32, 48), not (32, 44)"]),
    "a layer too many": (configure(num_hidden_layers=1), ["no place for", "model.layers.1."]),
    "a bias unused": (extra_bias, ["no place for", "q_proj.bias"]),
    "a number that is none": (poison, ["not finite"]),
    "a terminator outside": (configure(eos_token_id=50256), ["50256", "outside the vocabulary"]),
    "one of several outside": (configure(eos_token_id=[0, 999]), ["999", "outside the vocabulary"]),
    "a token added": (add_token(special=False), ["<city>", "resize_token_embeddings"]),
    "a quantisation not installed": (quantise("bitsandbytes", load_in_8bit=True), ["bitsandbytes"]),
    "a quantisation not known": (quantise("mine"), ["'mine'", "does not know"]),
    "an encoder-decoder": (configure(model_type="t5"), ["cannot load"]),
}


@pytest.fixture
def folder(model_folder: Path, tmp_path: Path) -> Path:
    """A model to be broken, with code that leaves a mark where it runs."""
    copy = shutil.copytree(model_folder, tmp_path / "model")
    (copy / "code.py").write_text(f"open({str(tmp_path / 'RAN')!r}, 'w')\nclass Mine: pass\n")
    return copy


@pytest.mark.parametrize("case", BROKEN)
def test_a_run_refuses_it_in_one_line(
    case: str, folder: Path, data_file: Path, tmp_path: Path, capsys, monkeypatch
) -> None:
    damage, parts = BROKEN[case]
    damage(folder)
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n" * 10))  # whoever asks gets a yes
    capsys.readouterr()
    assert main(["run", "--model", str(folder), "--data", str(data_file), "--output", str(tmp_path / "run")]) == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1, printed.err
    assert printed.out == ""
    for part in parts:
        assert part in printed.err
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "RAN").exists()


@pytest.mark.parametrize(
    ("damage", "part"),
    [
        (code_in_tokenizer, "never run"),
        (code_in_config, "never run"),
        (drop("classifier"), "missing"),
        (lambda f: (f / "model.safetensors").write_text(LFS), "git lfs pull"),
        (pickle_with_code, "never run"),
    ],
)
def test_an_nli_model_is_loaded_with_the_same_care(damage, part: str, tmp_path: Path, tokenizer) -> None:
    nli = save_nli_model(tmp_path / "nli", tokenizer, ["entailment", "other"])
    (nli / "code.py").write_text(f"open({str(tmp_path / 'RAN')!r}, 'w')\nclass Mine: pass\n")
    damage(nli)
    with pytest.raises(ModelError, match=part) as caught:
        EntailmentModel(nli, torch.device("cpu"))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "RAN").exists()


def test_a_masked_lm_is_refused(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64
    )
    BertForMaskedLM(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="masked LM"):
        load_backbone(tmp_path)


def test_what_is_harmless_is_loaded(folder: Path) -> None:
    """A special token without embedding, which text never gives; weights of a head that another use of it has."""
    add_token(special=True)(folder)
    rewrite_weights(folder, lambda weights: weights.update({"v_head.summary.weight": torch.ones(1, 32)}))
    backbone = load_backbone(folder)
    assert all(token < backbone.num_embeddings for token, _ in backbone.text.encode("the <city>"))


def test_a_tied_head_is_no_missing_weight(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    model = tiny_model("gpt2", len(tokenizer))
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert "lm_head.weight" not in load_file(tmp_path / "model.safetensors")
    assert torch.equal(load_backbone(tmp_path, device="cpu").model.lm_head.weight, model.lm_head.weight)


def test_masks_in_old_checkpoints_are_no_weights(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    config = GPTNeoConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_layers=1,
        num_heads=2,
        attention_types=[[["global"], 1]],
        max_position_embeddings=64,
        bos_token_id=0,
        eos_token_id=0,
    )
    GPTNeoForCausalLM(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    attention = "transformer.h.0.attn.attention"
    masks = {f"{attention}.bias": torch.ones(1, 1, 64, 64), f"{attention}.masked_bias": torch.tensor(-1e9)}
    rewrite_weights(tmp_path, lambda weights: weights.update(masks))
    load_backbone(tmp_path)
    rewrite_weights(tmp_path, lambda weights: weights.update({f"{attention}.q_proj.bias": torch.ones(32)}))
    with pytest.raises(ModelError, match="no place for"):
        load_backbone(tmp_path)


def test_an_adapter_on_top_is_refused(folder: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    """It would be switched off without a word wherever no adapter of ours is active."""
    model = tiny_model("llama", len(tokenizer))
    model.add_adapter(LoraConfig(r=2, target_modules=["q_proj"]))
    model.save_pretrained(folder)
    edit(folder / "adapter_config.json", base_model_name_or_path=str(folder))
    with pytest.raises(ModelError, match=r"adapter of peft.*merge_and_unload"):
        load_backbone(folder)


def test_a_slow_tokenizer_is_refused(folder: Path, monkeypatch) -> None:
    monkeypatch.setattr(PreTrainedTokenizerFast, "is_fast", False)
    with pytest.raises(ModelError, match=r"tells no offsets.*tokenizer.json"):
        load_backbone(folder)


def test_pickled_tensors_are_read_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    loaded = load_backbone(folder, device="cpu").model.state_dict()
    assert all(torch.equal(loaded[key], weights[key]) for key in weights)

    torch.save(weights | {"extra": Harm(tmp_path / "RAN")}, folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="never run") as caught:
        load_backbone(folder)
    assert "\n" not in str(caught.value)
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Harm(tmp_path / "RAN")))
    with warnings.catch_warnings(record=True) as said, pytest.raises(ModelError, match="never run"):
        load_backbone(folder)
    assert not said  # our line alone
    assert not (tmp_path / "RAN").exists()


def test_no_path_is_taken_for_a_hub_id(tmp_path: Path) -> None:
    for model in (tmp_path / "none", "./none", "~/none/at/all", "none.gguf"):
        with pytest.raises(ModelError, match="no such model"):
            load_backbone(model)


class Two(Processes):
    count = 2


@pytest.fixture
def second_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if two processes were on this machine, which had two GPUs, and this were the second of them."""
    monkeypatch.setattr(loading, "processes", Two)
    monkeypatch.setattr(loading, "process_count", lambda: 2)
    monkeypatch.setattr(loading, "processes_here", lambda: 2)
    monkeypatch.setattr(loading, "process_index_here", lambda: 1)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch, "empty", lambda *_, **__: None)


@pytest.mark.parametrize("device", ["auto", "cuda"])
@pytest.mark.usefixtures("second_of_two")
def test_processes_take_a_gpu_each(device: str) -> None:
    assert resolve_device(device) == torch.device("cuda:1")


@pytest.mark.usefixtures("second_of_two")
def test_a_gpu_by_its_number_is_for_one_process_of_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"cuda:0 is one GPU, and 2 processes .* --set device=cuda"):
        resolve_device("cuda:0")
    monkeypatch.setattr(loading, "processes_here", lambda: 1)  # on two machines
    assert resolve_device("cuda:0") == torch.device("cuda:0")
    monkeypatch.undo()  # a program of several processes, each with a predictor
    monkeypatch.setattr(torch, "empty", lambda *_, **__: None)
    monkeypatch.setattr(loading, "processes_here", lambda: 2)
    assert resolve_device("cuda:1") == torch.device("cuda:1")


@pytest.mark.usefixtures("second_of_two")
def test_that_is_said_in_a_line(model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["run", "--model", str(model_folder), "--data", "demo", "--set", "device=cuda:0"]
    assert main([*arguments, "--output", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("aspire-llm: device: cuda:0 is one GPU")
    assert "\n" not in said
    assert not (tmp_path / "run").exists()
